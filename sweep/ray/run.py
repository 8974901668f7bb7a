"""Hands a controller to Ray Tune and waits until the sweep ends or is interrupted."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

# First: it sets what Ray reads when it is imported.
from sweep.ray.cluster import slot_counter  # isort: skip
from ray import tune
from ray.tune.error import TuneError

from sweep.errors import SweepError
from sweep.ray.resources import Resources
from sweep.ray.scheduler import FoldScheduler, Slots, assigned
from sweep.ray.searcher import FoldSearch
from sweep.ray.trainable import FoldTrainable, Job
from sweep.search.controller import Controller


class Interrupt:
    """Set by SIGINT, SIGTERM or a host: the sweep stops cleanly and can be resumed.

    Attributes:
        reason: The signal's name, or what must be mended; None while nothing happened.
        closing: Why no epoch begins any more, while those that run still end; None while they do.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.closing: str | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the two signals while the block runs; elsewhere than in the main thread, none."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self, reason: str) -> None:
        """Stop for a reason; the first one counts."""
        self.reason = self.reason or reason

    def close(self, reason: str) -> None:
        """Stop for a reason once every running epoch has ended."""
        self.closing = self.closing or reason

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.reason = signal.Signals(number).name


class _EndOfSweep(tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Ends Ray's run, never a single trial, when the controller or a signal says so."""

    def __init__(self, controller: Controller, interrupt: Interrupt, slots: Slots) -> None:
        self._controller, self._interrupt, self._slots = controller, interrupt, slots

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray pickles this for `Tuner.restore`, which a resume by ledger replaces."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._interrupt.closing is not None and not self._slots.busy:
            self._interrupt.stop(self._interrupt.closing)
        return self._interrupt.reason is not None or self._controller.stop_reason() is not None


def drive(
    controller: Controller,
    job: Job,
    resources: Resources,
    *,
    folder: Path,
    interrupt: Interrupt,
    on_poll: Callable[[], None],
    trainable: type[tune.Trainable] = FoldTrainable,
) -> None:
    """Run the sweep on Ray until its end or an interrupt. `ray_cluster` must be open.

    Args:
        controller: Decides; Ray only executes.
        job: What is the same for all trials.
        resources: Per trial.
        folder: Folder of the sweep; Ray's own files go below it and are removed in the end.
        interrupt: Ends the run early.
        on_poll: Called many times a second on the driver: lease, progress, tracking.
        trainable: Another one that reports as `FoldTrainable` does, to measure the platform alone.

    Raises:
        SweepError: What the controller raised, as when another driver took the lease.
    """
    slots = Slots(slot_counter(resources), is_closing=lambda: interrupt.closing is not None)
    scheduler = FoldScheduler(controller, slots, on_poll=on_poll, on_halt=interrupt.stop)
    ray_folder = folder / "ray"
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        param_space={"job": job},
        tune_config=tune.TuneConfig(
            search_alg=FoldSearch(controller, scheduler, slots),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=_trial_name,
            trial_name_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(ray_folder),
            stop=_EndOfSweep(controller, interrupt, slots),
            failure_config=tune.FailureConfig(max_failures=-1),
            # Its default saves every trial that ends, which costs the actor if it cannot save.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except TuneError as error:
        # What the controller raises, as for a lost lease, comes back as text in an error of Ray's.
        raise _ours(error) or error from None
    finally:
        shutil.rmtree(ray_folder, ignore_errors=True)


def _ours(error: BaseException | None) -> SweepError | None:
    """The error of this project that made Ray raise its own, if one did."""
    while error is not None:
        if isinstance(error, SweepError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _trial_name(trial: Any) -> str:
    return f"{assigned(trial).trial:04d}"
