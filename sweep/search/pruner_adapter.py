"""Puts the two questions to an Optuna pruner: about an epoch, and about a fold."""

from __future__ import annotations

import copy
import math
from typing import Any

from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from sweep.ledger.compat import trial_id
from sweep.ledger.projection import Projection
from sweep.pruners import PrunerPair, level_of
from sweep.search.optuna_views import MARKS_NOTE, OptunaView, epoch_view, fold_view

#: Of the range of all values: a difference of 1 is found to 0.0001.
_HALVINGS = 14


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

    def judged_epoch(
        self, projection: Projection, number: int, fold: int
    ) -> tuple[float, float] | None:
        """What a trial was just stopped for by its epochs, see `_judged`."""
        if self.epoch is None:
            return None
        view = epoch_view(projection, fold)  # of its own: nothing here is to be kept
        return _judged(self.epoch, view, view.trial(number), maximize=projection.maximize)

    def judged_fold(self, projection: Projection, number: int) -> tuple[float, float] | None:
        """Likewise by its folds: means over those it has."""
        if self.fold is None:
            return None
        view = fold_view(projection, raw=self._is_paired, parked_count=not self._is_paired)
        trial = view.trial(number)
        trial = trial if self._is_paired else _only_last_step(trial)
        return _judged(
            self.fold, view, trial, maximize=projection.maximize, is_mean=self._is_paired
        )

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


def _judged(
    pruner: BasePruner,
    view: OptunaView,
    trial: FrozenTrial,
    *,
    maximize: bool,
    is_mean: bool = False,
) -> tuple[float, float] | None:
    """The value that a pruner stopped a trial for, and the one from which on it would not have.

    The same pruner is asked about the same trial with all its values better by some amount, and
    the least amount that lets it go on is found by halving.

    Args:
        pruner: One that just stopped the trial.
        view: The others as they are; not used for anything else.
        trial: The trial as the pruner saw it.
        maximize: Whether higher values are better.
        is_mean: Whether the mean of its values counts, not the last one.

    Returns:
        None where a better trial would have been stopped too, or the pruner marks trials as it
        judges them.
    """
    values, sign = trial.intermediate_values, 1.0 if maximize else -1.0
    others = view.study.get_trials(deepcopy=False)
    known = [v for one in (*others, trial) for v in one.intermediate_values.values()]
    known = [value for value in known if math.isfinite(value)]
    if not values or not known:
        return None

    def is_stopped(by: float) -> bool:
        asked = copy.copy(trial)
        asked.intermediate_values = {step: v + sign * by for step, v in values.items()}
        return bool(pruner.prune(view.study, asked))

    low, high = 0.0, 2 * (max(known) - min(known)) or 1.0
    if is_stopped(high) or not is_stopped(low) or view.take_rung_marks():
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_stopped(middle) else (low, middle)
    value = level_of(pruner, trial, maximize=maximize)
    if is_mean:
        value = math.fsum(values.values()) / len(values)
    return value, value + sign * high


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
