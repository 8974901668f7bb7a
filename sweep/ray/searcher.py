"""Ray's searcher interface around the controller: it makes a Ray trial when the policy wants one.

That is a new trial, or after a resume a known one that this Ray run has not seen yet.
"""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from sweep.ray.scheduler import FoldScheduler, Slots, as_config
from sweep.records import NewTrial
from sweep.search.controller import Controller


class FoldSearch(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Gives Ray the first fold of a trial; the scheduler gives it the others."""

    def __init__(self, controller: Controller, scheduler: FoldScheduler, slots: Slots) -> None:
        super().__init__()
        self._controller = controller
        self._scheduler = scheduler
        self._slots = slots

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The configuration of a trial to start now; None when no new trial is wanted."""
        if self._controller.stop_reason() is not None:
            return str(Searcher.FINISHED)
        for decision in self._controller.wanted(self._slots.free)[:1]:
            if isinstance(decision, NewTrial):
                assignment = self._controller.add_trial()
            elif not self._scheduler.knows(decision.trial):
                assignment = self._controller.start(decision.trial)
            else:
                return None
            self._slots.busy.add(assignment.trial)
            return as_config(assignment)
        return None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to do: the scheduler told the controller already."""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray pickles this for `Tuner.restore`, which a resume by ledger replaces."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a sweep is resumed from its ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a sweep is resumed from its ledger."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save, see `save`; Ray would pickle the controller otherwise."""
