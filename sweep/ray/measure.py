"""Device, precision and layout of a sweep, measured where its trials will run.

The driver may sit on a laptop, or on the head of a cluster that has neither GPU nor matrix units.
And it never imports PyTorch, which would be half of its memory for as long as the sweep runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import ray

from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime
from sweep.errors import UsageError
from sweep.ray.nodes import LOOK_SECONDS, alive
from sweep.ray.resources import Resources
from sweep.ray.trainable import require_device

#: How long a slot may take to fall free before the driver says that it waits for one.
_REMINDER_SECONDS = 30.0
_log = logging.getLogger(__name__)


def choose_runtime(
    settings: FoldSettings, resources: Resources, precision: str, *, is_here: bool
) -> Runtime:
    """How all folds of a sweep are computed. Ray must be connected.

    Args:
        settings: Settings of a typical fold.
        resources: Resources of a trial; with GPUs it trains on one, without on CPUs.
        precision: "float32", "bfloat16", or "auto" for the faster one.
        is_here: Whether trials run on this machine alone.

    Raises:
        UsageError: The precision is none of these, or a trial's GPU cannot be used.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"precision: found {precision!r}, expected auto, float32 or bfloat16")
    device = "cuda" if resources.gpus > 0 else "cpu"
    if device == "cpu" and is_here and precision != "auto":
        return _given(device, resources.cpus, precision)
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_choose)
    try:
        found: Runtime = ray.get(
            _done(lambda: task.remote(settings, device, resources.cpus, precision))
        )
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UsageError):
            raise UsageError(str(error.cause)) from error
        raise
    return found


def _done(start: Callable[[], ray.ObjectRef]) -> ray.ObjectRef:
    """A task that is done; one more is started for every host that leaves meanwhile.

    A task that Ray was handing to a host that fell silent stays there, even once Ray counts the
    host as dead, and so does the next one of its kind if the first is withdrawn.
    """
    tasks, hosts, reminded_at = [start()], alive(), time.monotonic()
    while not (done := ray.wait(tasks, timeout=LOOK_SECONDS)[0]):
        before, hosts = hosts, alive()
        tasks += [start() for _ in before - hosts]
        if time.monotonic() - reminded_at >= _REMINDER_SECONDS:
            reminded_at = time.monotonic()
            _log.warning("waiting for a free slot, to measure how fast a trial trains there")
    for task in tasks:
        if task != done[0]:
            ray.cancel(task, force=True)
    return done[0]


def _choose(settings: FoldSettings, device: str, num_threads: int, precision: str) -> Runtime:
    require_device(device)
    if precision == "auto":
        from ptxcore.training import measure_runtime

        return measure_runtime(settings, device=device, num_threads=num_threads)
    return _given(device, num_threads, precision)


def _given(device: str, num_threads: int, precision: str) -> Runtime:
    return Runtime(
        device=device,
        precision=precision,
        channels_last=precision == "bfloat16",
        num_threads=num_threads,
        folded_norms=device == "cpu",
    )
