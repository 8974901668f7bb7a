"""Hosts, what one trial takes of them, and how many trials fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sweep.errors import UsageError

#: CPUs of a trial with a GPU unless given: each makes batches, and a few keep up with a GPU.
MAX_CPUS_BESIDE_GPU = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Host:
    """A host of a Ray cluster.

    Attributes:
        name: Name of the machine.
        cpus: CPUs that Ray gives away there; 0 where nothing may train.
        gpus: GPUs likewise.
    """

    name: str
    cpus: float
    gpus: float

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> Host:
        """From an entry of `ray.nodes()`."""
        found = node["Resources"]
        return cls(
            name=str(node["NodeManagerHostname"]),
            cpus=found.get("CPU", 0.0),
            gpus=found.get("GPU", 0.0),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """What the user asks for.

    Attributes:
        cpus: CPUs per trial; None for 1, beside a GPU for as many as each host has for it, 4 at
            most.
        gpus: GPUs per trial, a fraction shares one; None for 1 if a host has any, else 0.
        workers: Folds at once at most; None for as many as fit.
        address: Address of a running Ray cluster; None starts one on this machine.
        niceness: Priority of the processes that train, 0 (full) to 19, where Ray is started
            here; None for 0.
    """

    cpus: int | None = None
    gpus: float | None = None
    workers: int | None = None
    address: str | None = None
    niceness: int | None = None

    def on(self, device: str) -> ResourceRequest:
        """The same for a sweep that has begun on a device.

        Args:
            device: "cuda" or "cpu"; all folds of a sweep are trained on one.

        Raises:
            UsageError: The other one was asked for.
        """
        gpus = (1.0 if device == "cuda" else 0.0) if self.gpus is None else self.gpus
        if (gpus > 0) != (device == "cuda"):
            raise UsageError(
                f"--gpus-per-trial: found {gpus:g}, but the sweep began on "
                f"{'GPUs' if device == 'cuda' else 'CPUs'}, and its folds must be comparable; "
                "leave it out or start another sweep"
            )
        return dataclasses.replace(self, gpus=gpus)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial takes and how many may run at once.

    Attributes:
        cpus: CPUs per trial: its threads, and beside a GPU the processes that make its batches.
        gpus: GPUs per trial, a fraction shares one.
        workers: Folds at once at most; None for as many as fit.
    """

    cpus: int = 1
    gpus: float = 0.0
    workers: int | None = None


def decide(request: ResourceRequest, hosts: Sequence[Host]) -> Resources:
    """Fill in what the user left open.

    Args:
        request: Request of the user.
        hosts: Hosts of the cluster.
    """
    with_gpus = [host for host in hosts if host.gpus > 0]
    gpus = float(bool(with_gpus)) if request.gpus is None else request.gpus
    cpus = request.cpus
    if cpus is None:
        shares = [int(host.cpus * gpus / host.gpus) for host in with_gpus]
        cpus = max(1, min([MAX_CPUS_BESIDE_GPU, *shares])) if gpus > 0 else 1
    return Resources(cpus=cpus, gpus=gpus, workers=request.workers)


def count_slots(hosts: Sequence[Host], resources: Resources) -> int:
    """Trials that the hosts hold at once: none is spread over two.

    Args:
        hosts: Hosts of the cluster.
        resources: Resources of a trial.
    """
    fits = sum(_fits(host, resources) for host in hosts)
    return fits if resources.workers is None else min(fits, resources.workers)


def refuse_too_large(hosts: Sequence[Host], resources: Resources) -> None:
    """Make sure that some host holds a trial.

    Args:
        hosts: Hosts of the cluster.
        resources: Resources of a trial.

    Raises:
        UsageError: None does.
    """
    if count_slots(hosts, resources):
        return
    found = ", ".join(sorted({f"{host.cpus:g} CPUs and {host.gpus:g} GPUs" for host in hosts}))
    raise UsageError(
        f"one trial needs {resources.cpus} CPUs and {resources.gpus:g} GPUs on one host, the hosts "
        f"have {found or 'nothing'}; lower --cpus-per-trial or --gpus-per-trial"
    )


def _fits(host: Host, resources: Resources) -> int:
    fits = int(host.cpus // resources.cpus)
    if resources.gpus <= 0:
        return fits
    if resources.gpus >= 1:  # whole ones, as Ray gives them
        return min(fits, int(host.gpus // resources.gpus))
    # Each on one GPU, which three thirds fill in spite of rounding.
    return min(fits, int(host.gpus) * int(1 / resources.gpus + 1e-9))
