"""Puts the two questions to an Optuna pruner: about an epoch, and about a fold."""

from __future__ import annotations

from typing import Any

from optuna.trial import FrozenTrial

from sweep.ledger.compat import trial_id
from sweep.ledger.projection import Projection
from sweep.pruners import PrunerPair
from sweep.search.optuna_views import MARKS_NOTE, OptunaView, epoch_view, fold_view


class PrunerAdapter:
    """Asks pruners through views of a projection.

    Holds no state that matters: marks of rung-based pruners are handed out by `take_rung_marks`, to
    be kept in the ledger, and the views are rebuilt from it.

    Attributes:
        epoch: Judges the epochs of a fold; None never prunes there.
        fold: Judges a trial's finished folds; None never prunes there.
    """

    def __init__(self, pair: PrunerPair) -> None:
        """Set up, with what a search space's `pruner.build()` gives."""
        self.epoch, self.fold, self._is_paired = pair.epoch, pair.fold, pair.is_paired
        self._projection: Projection | None = None
        self._views: dict[int, OptunaView] = {}
        self._fold_view: OptunaView | None = None

    def should_prune_epoch(self, projection: Projection, number: int, fold: int) -> bool:
        """Whether a trial should stop for good, judged by the epochs of the fold it is in."""
        if self.epoch is None:
            return False
        self._follow(projection)
        if fold not in self._views:
            self._views[fold] = epoch_view(projection, fold)
        view = self._views[fold]
        return bool(self.epoch.prune(view.study, view.trial(number)))

    def should_prune_fold(self, projection: Projection, number: int) -> bool:
        """Whether a trial should stop for good, judged by its finished folds."""
        if self.fold is None:
            return False
        self._follow(projection)
        if self._fold_view is None:
            self._fold_view = fold_view(
                projection, raw=self._is_paired, parked_count=not self._is_paired
            )
        trial = self._fold_view.trial(number)
        if not self._is_paired:
            trial = _only_last_step(trial)
        return bool(self.fold.prune(self._fold_view.study, trial))

    def take_rung_marks(self, projection: Projection, number: int) -> tuple[str, Any] | None:
        """A note for the ledger if a pruner marked the trial since the last call."""
        marks = dict(projection.trials[number].notes.get(MARKS_NOTE, {}))
        is_new = False
        for view in self._views.values():
            for scope, values in view.take_rung_marks().get(number, {}).items():
                marks[scope] = {**marks.get(scope, {}), **values}
                is_new = True
        return (MARKS_NOTE, marks) if is_new else None

    def _follow(self, projection: Projection) -> None:
        if self._projection is not projection:
            self._projection, self._views, self._fold_view = projection, {}, None


def _only_last_step(trial: FrozenTrial) -> FrozenTrial:
    """The trial with its present running mean alone.

    Percentile pruners judge a trial's best value over all its steps, so that one lucky fold would
    protect a bad trial for ever.
    """
    step = trial.last_step
    return FrozenTrial(
        number=trial.number,
        trial_id=trial_id(trial),
        state=trial.state,
        value=trial.value,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={} if step is None else {step: trial.intermediate_values[step]},
    )
