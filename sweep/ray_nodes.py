"""The hosts of a cluster, asked one by one before a sweep starts on them."""

from __future__ import annotations

import importlib.metadata

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep.errors import UsageError

#: A host starts a worker process, which imports this module, before it can answer.
_TIMEOUT_SECONDS = 120.0


def package_version() -> str:
    """The version of ptxsweep on this host, "none" where it is not installed."""
    try:
        return importlib.metadata.version("ptxsweep")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def refuse_other_versions() -> None:
    """Ask every host that may train for its version; `ray.init` must have been called.

    Raises:
        UsageError: A host has another version than the driver, or does not answer.
    """
    here = package_version()
    asked = {
        str(node["NodeManagerHostname"]): _ask(str(node["NodeID"]))
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    }
    for name, answer in asked.items():
        try:
            found = ray.get(answer, timeout=_TIMEOUT_SECONDS)
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError) as error:
            raise UsageError(
                f"host {name} cannot run ptxsweep ({type(error).__name__}); "
                f"install ptxsweep {here} there, or take the host out of the cluster"
            ) from error
        if found != here:
            raise UsageError(
                f"host {name} has ptxsweep {found}, the driver {here}; "
                "install the driver's version on every host"
            )


def _ask(node_id: str) -> ray.ObjectRef[str]:
    task = ray.remote(num_cpus=0, max_retries=0)(package_version)
    return task.options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)
    ).remote()
