"""The three views, as functions of a projection."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweep.ledger.projection import NAN_REASON, Projection, Trial
from sweep.policies import Rung
from sweep.records import State
from sweep.search.optuna_views._storage import VIEW_NAME, ProposalStorage, ReadOnlyStorage

_NEVER = datetime(2000, 1, 1)  # Optuna wants a start; no sampler or pruner reads it


class OptunaView:
    """A read-only Optuna study over a projection, cheap to ask again after a change."""

    def __init__(
        self, projection: Projection, trial_of: Callable[[Trial], FrozenTrial], scope: str
    ) -> None:
        """Build from a projection.

        Args:
            projection: Followed as it changes.
            trial_of: What a trial looks like in this view.
            scope: Tells the marks of this view from those of other views.
        """
        self._storage = ReadOnlyStorage(projection, trial_of, scope)
        self.study = optuna.Study(VIEW_NAME, self._storage)

    def trial(self, number: int) -> FrozenTrial:
        """The trial as the view shows it."""
        return self._storage.get_trial(number)

    def take_rung_marks(self) -> dict[int, dict[str, Any]]:
        """Marks that a pruner left on trials since the last call, by trial.

        Successive halving notes the value that a trial had at each rung. These marks are part of
        what it decides on, so the driver keeps them in the ledger.
        """
        marks, self._storage.new_marks = self._storage.new_marks, {}
        return marks


def epoch_view(projection: Projection, fold: int) -> OptunaView:
    """Step = epoch of one fold; trials that never began it are WAITING."""

    def trial_of(trial: Trial) -> FrozenTrial:
        steps = trial.epochs.get(fold, {})
        if fold in trial.folds:
            state, value = TrialState.COMPLETE, trial.folds[fold].value
            if not math.isfinite(value):
                state = TrialState.FAIL
        elif fold not in trial.attempts:
            state, value = TrialState.WAITING, math.nan
        else:
            state = _ended_or_running(trial)
            value = math.nan
        return _trial(trial, state, value, steps)

    return OptunaView(projection, trial_of, f"fold {fold}")


def fold_view(projection: Projection, *, raw: bool, parked_count: bool) -> OptunaView:
    """Step = fold.

    Args:
        projection: Followed as it changes.
        raw: Whether a step's value is the fold's score (what a paired test wants) or the mean of
            the folds up to it.
        parked_count: Whether trials that miss folds are COMPLETE with their running mean; if
            not, they are RUNNING, so that the best trial is a whole one.
    """

    def trial_of(trial: Trial) -> FrozenTrial:
        values = {fold: trial.folds[fold].value for fold in sorted(trial.folds)}
        state = _ended_or_running(trial)
        if state is TrialState.RUNNING and parked_count and values:
            state = TrialState.COMPLETE
        steps = values if raw else _running_means(values)
        return _trial(trial, state, trial.mean_value, steps)

    return OptunaView(projection, trial_of, "folds")


class SamplerView:
    """Studies in which trials stand at their current estimate, one for each proposal.

    Trials with no finished fold are RUNNING; pruned ones are PRUNED at the number of their
    finished folds, or worst when they have nothing; diverged ones are the worst; other failures
    say nothing about the configuration and are FAIL.

    With a rung every trial that came to it stands at its level there, whatever it has scored since:
    epochs of different length tell nothing of each other.
    """

    def __init__(
        self, projection: Projection, *, looks: bool = True, rung: Rung | None = None
    ) -> None:
        """Build from a projection.

        Args:
            projection: Followed as it changes.
            looks: Whether the sampler looks at other trials; if not, it is shown none.
            rung: Where trials are compared; None where they are by their folds.
        """
        shown = _estimate if rung is None else partial(_at_rung, rung)
        self._storage = ProposalStorage(projection, shown, looks=looks)

    def study(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """A study that a sampler can be asked for one trial in; the one before is void."""
        self._storage.begin()
        return optuna.Study(VIEW_NAME, self._storage, sampler=sampler)


def sampler_study(projection: Projection, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """The study of a single proposal, see `SamplerView`."""
    return SamplerView(projection).study(sampler)


def _estimate(trial: Trial) -> FrozenTrial:
    if trial.state is State.FAILED:
        diverged = trial.reason == NAN_REASON
        state = TrialState.PRUNED if diverged else TrialState.FAIL
        return _trial(trial, state, math.nan, {})
    if trial.state is State.PRUNED:
        steps = {len(trial.folds): trial.mean_value} if trial.folds else {}
        if not steps and trial.epochs.get(0):
            steps = {0: trial.epochs[0][max(trial.epochs[0])]}
        return _trial(trial, TrialState.PRUNED, math.nan, steps)
    if trial.folds and math.isfinite(trial.mean):
        return _trial(trial, TrialState.COMPLETE, trial.mean_value, {})
    state = TrialState.FAIL if trial.state is State.ABANDONED else TrialState.RUNNING
    return _trial(trial, state, math.nan, {})


def _at_rung(rung: Rung, trial: Trial) -> FrozenTrial:
    epochs = trial.epochs.get(0, {})
    values = [epochs[epoch] for epoch in sorted(epochs) if epoch <= rung.epoch]
    has_come = bool(values) and (max(epochs) >= rung.epoch or 0 in trial.folds)
    if trial.state is State.FAILED or not has_come:
        return _estimate(trial)
    level = rung.level(values)
    if not math.isfinite(level):
        return _trial(trial, TrialState.PRUNED, math.nan, {})
    return _trial(trial, TrialState.COMPLETE, level, {})


def _ended_or_running(trial: Trial) -> TrialState:
    match trial.state:
        case State.COMPLETE:
            return TrialState.COMPLETE
        case State.PRUNED:
            return TrialState.PRUNED
        case State.FAILED:
            return TrialState.FAIL
        case _:
            return TrialState.RUNNING


def _running_means(values: dict[int, float]) -> dict[int, float]:
    means, total = {}, 0.0
    for count, (fold, value) in enumerate(values.items(), start=1):
        total += value
        means[fold] = total / count
    return means


def _trial(trial: Trial, state: TrialState, value: float, steps: dict[int, float]) -> FrozenTrial:
    has_value = state is TrialState.COMPLETE
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=value if has_value else None,
        datetime_start=None if state is TrialState.WAITING else _NEVER,
        datetime_complete=_NEVER if state.is_finished() else None,
        params=trial.parameters,
        distributions=trial.distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values=dict(steps),
    )
