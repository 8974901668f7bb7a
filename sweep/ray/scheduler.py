"""Ray's scheduler interface around the controller: it translates and decides nothing.

A trial is parked by `pause_trial(should_checkpoint=False)`: what a fold needs to go on lies in
the fold's own folder, and what to train next is set in the trial's configuration when it is
chosen, so Ray saves and restores nothing. Ray starts every PENDING trial by itself, in its own
order; therefore a trial is made or woken only when the controller gives it a slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from sweep.ray.compat import park
from sweep.ray.lost_workers import LostWorkers
from sweep.records import Assignment, RunFold, State
from sweep.search.controller import Controller

#: Why a fold that was told to stop has no score; its epochs are kept and it goes on from there.
STOPPED = "the sweep was stopped"


class Slots:
    """How many folds may run at once, and which trials hold a slot now."""

    def __init__(
        self, total: Callable[[], int], *, is_closing: Callable[[], bool] = lambda: False
    ) -> None:
        """All free.

        Args:
            total: How many there are by now.
            is_closing: Whether no fold shall begin or go on any more.
        """
        self._total, self._is_closing = total, is_closing
        self.busy: set[int] = set()

    @property
    def is_closing(self) -> bool:
        """Whether running folds end with their epoch, and none begins."""
        return self._is_closing()

    @property
    def free(self) -> int:
        """Slots that no trial holds; 0 when the cluster shrank below what runs, or on closing."""
        return 0 if self.is_closing else max(0, self._total() - len(self.busy))


def as_config(assignment: Assignment) -> dict[str, Any]:
    """The part of a trial's configuration that says what to train."""
    return {"assignment": assignment}


def assigned(trial: Trial) -> Assignment:
    """What a trial's configuration says to train."""
    found: Assignment = trial.config["assignment"]
    return found


class FoldScheduler(TrialScheduler):  # type: ignore[misc]  # Ray ships no types
    """Parks a trial at the end of each fold and wakes the one the policy names."""

    def __init__(
        self,
        controller: Controller,
        slots: Slots,
        *,
        max_attempts: int = 3,
        on_poll: Callable[[], None] = lambda: None,
        on_halt: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Around a controller.

        Args:
            controller: Decides.
            slots: Shared with the searcher.
            max_attempts: Losses of one fold, in this run of the driver, that end its trial.
            on_poll: Called many times a second.
            on_halt: Called with the reason when a host says that no trial can train on it.
        """
        super().__init__()
        self._controller = controller
        self._slots = slots
        self._lost_workers = LostWorkers(controller, max_attempts)
        self._on_poll, self._on_halt = on_poll, on_halt
        self._trials: dict[int, Trial] = {}
        self._ended: set[int] = set()

    def knows(self, number: int) -> bool:
        """Whether Ray has this trial already."""
        return number in self._trials

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A new trial, or one that Ray put back in its queue after its worker died."""
        number = _number(trial)
        if self._trials.setdefault(number, trial) is trial and number in self._slots.busy:
            return
        # Back after a lost worker. Ray would start it at once, in front of what the policy wants,
        # so it is parked; `choose_trial_to_run` wakes it when its turn comes.
        if number in self._ended or self._controller.stop_reason() is not None:
            tune_controller.stop_trial(trial)
        else:
            park(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """The worker died (errors of the training code arrive as results)."""
        self._lost(trial, "the worker process was lost", final=False)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Pass on what the worker reports; park the trial at the end of its fold."""
        if result["attempt"] != assigned(trial).attempt:
            return str(self.CONTINUE)  # a late report of an attempt that was given up
        if "failed" in result:
            if (reason := result.get("halt")) is not None:
                self._on_halt(reason)
                self._controller.on_failure(_number(trial), result["failed"], final=False)
                return self._park(tune_controller, trial)
            if self._lost(trial, result["failed"], final=result["final"]):
                return self._end(trial)
            return self._park(tune_controller, trial)
        if "score" not in result:
            state = self._controller.on_epoch(result["epoch"])
            if state is State.PARKED:
                return self._park(tune_controller, trial)
            if state is not State.RUNNING:
                return self._end(trial)
            if not self._slots.is_closing:
                return str(self.CONTINUE)
            self._controller.on_failure(_number(trial), STOPPED, final=False)
            return self._park(tune_controller, trial)
        if self._controller.on_fold(result["score"], result["epoch"]) is not State.PARKED:
            return self._end(trial)
        return self._park(tune_controller, trial)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing to do: completion was decided in `on_trial_result`."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing to do: a parked trial is dropped only when the sweep ends."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Wake the parked trial that the policy wants next; Ray polls this all the time."""
        self._on_poll()
        for decision in self._controller.wanted(self._slots.free)[:1]:
            if isinstance(decision, RunFold) and decision.trial in self._trials:
                trial = self._trials[decision.trial]
                self._give_slot(decision.trial, trial)
                return trial
        return None

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray pickles this for `Tuner.restore`, which a resume by ledger replaces."""
        return {}

    def debug_string(self) -> str:
        """One line for Ray's own status output."""
        return f"{len(self._slots.busy)} folds running"

    def _give_slot(self, number: int, trial: Trial) -> None:
        assignment = self._controller.start(number)
        self._slots.busy.add(number)
        trial.set_config({**trial.config, **as_config(assignment)})

    def _lost(self, trial: Trial, reason: str, *, final: bool) -> bool:
        is_over = self._lost_workers.note(assigned(trial), reason, is_final=final)
        self._slots.busy.discard(_number(trial))
        if is_over:
            self._ended.add(_number(trial))
        return is_over

    def _end(self, trial: Trial) -> str:
        self._slots.busy.discard(_number(trial))
        self._ended.add(_number(trial))
        return str(self.STOP)

    def _park(self, tune_controller: Any, trial: Trial) -> str:
        self._slots.busy.discard(_number(trial))
        tune_controller.pause_trial(trial, should_checkpoint=False)
        return str(self.NOOP)


def _number(trial: Trial) -> int:
    return assigned(trial).trial
