"""The hosts of a cluster, asked one by one before a sweep starts on them."""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep.errors import UsageError
from sweep.ray.compat import asks_for_token
from sweep.ray.resources import Host
from sweep.util.provenance import differences, pixel_versions

T = TypeVar("T")
_log = logging.getLogger(__name__)
_GONE = (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError)
#: A host starts a worker process, which imports this module, before it can answer.
_TIMEOUT_SECONDS = 120.0
#: How often the hosts that are left are counted while an answer is waited for.
LOOK_SECONDS = 1.0
#: What to do about hosts that ask for no token.
OPEN_TO_ALL = (
    "asks for no token: whoever reaches Ray's ports there runs any code; start every host with "
    "RAY_AUTH_MODE=token and one token (docker/README.md)"
)


def package_version() -> str:
    """The version of ptxsweep on this host, "none" where it is not installed."""
    try:
        return importlib.metadata.version("ptxsweep")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def gpus_seen() -> int:
    """How many GPUs PyTorch sees on this host."""
    import torch

    return torch.cuda.device_count()


def hosts_without_token() -> list[str]:
    """Hosts that run anybody's code; one that does not answer is not among them."""
    return [host.name for host, found in ask(asks_for_token) if found is False]


def refuse_other_versions() -> None:
    """Ask every host that may train for its version; `ray.init` must have been called.

    Raises:
        UsageError: A host has another version than the driver, of ptxsweep or of what changes
            pixels or scores, or does not answer.
    """
    here = package_version()
    for host, found in ask(package_version):
        if isinstance(found, Exception):
            raise UsageError(
                f"host {host.name} cannot run ptxsweep ({type(found).__name__}); "
                f"install ptxsweep {here} there, or take the host out of the cluster"
            ) from found
        if found != here:
            raise UsageError(
                f"host {host.name} has ptxsweep {found}, the driver {here}; "
                "install the driver's version on every host"
            )
    _refuse_other_pixels()


def versions_here() -> dict[str, str]:
    """Versions of what changes pixels or scores on this host."""
    return dict(pixel_versions())


def _refuse_other_pixels() -> None:
    """The same seed gives other pixels under another OpenCV, and other weights under another torch.

    Raises:
        UsageError: A host has other versions than the driver; says of what, which, and how many.
    """
    here, num_hosts = versions_here(), 0
    other: dict[tuple[str, str, str], list[str]] = {}
    for host, found in ask(versions_here):
        num_hosts += 1
        if isinstance(found, Exception):
            raise UsageError(
                f"host {host.name} cannot tell its versions ({type(found).__name__}); install the "
                "driver's packages there, or take the host out of the cluster"
            ) from found
        for difference in differences(here, found):
            other.setdefault(difference, []).append(host.name)
    if other:
        listed = "; ".join(
            f"{name} {theirs} on {len(names)} of {num_hosts} hosts ({', '.join(names[:3])}"
            f"{', ...' if len(names) > 3 else ''}), expected {ours}"
            for (name, ours, theirs), names in other.items()
        )
        raise UsageError(
            f"found other versions than the driver's of what changes pixels or scores: {listed}; "
            "install the driver's versions on every host"
        )


def alive() -> set[str]:
    """Ray's names of the hosts that are in the cluster now."""
    return {str(node["NodeID"]) for node in ray.nodes() if node["Alive"]}


def ask(question: Callable[[], T]) -> Iterator[tuple[Host, T | Exception]]:
    """What a function of ours says on every host that may train; an error where it cannot say.

    A host that leaves the cluster meanwhile is left out.

    Args:
        question: Function of this package, without arguments.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(question)
    asked = [
        (
            str(node["NodeID"]),
            Host.from_node(node),
            task.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(str(node["NodeID"]), soft=False)
            ).remote(),
        )
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    ]
    for node, host, answer in asked:
        try:
            yield host, _answer(node, answer)
        except _Left:
            _log.warning("host %s left the cluster before it answered", host.name)


class _Left(Exception):
    """A host is not in the cluster any more."""


def _answer(node: str, answer: ray.ObjectRef) -> Any:
    """What a host says, or the error.

    Ray itself may wait for ever for a host that fell silent, even once it counts it as dead.
    """
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if ray.wait([answer], timeout=LOOK_SECONDS)[0]:
            try:
                return ray.get(answer)
            except _GONE:  # which the list of hosts will say soon
                time.sleep(LOOK_SECONDS)
            except ray.exceptions.RayError as found:
                return found
        if node not in alive():
            raise _Left
    return ray.exceptions.GetTimeoutError(f"no answer in {_TIMEOUT_SECONDS:.0f} s")
