"""Projections of the ledger as Optuna studies: what samplers and pruners are allowed to see.

The raw study misleads both: to Optuna a parked candidate is still RUNNING, so TPE's constant liar
counts the most promising ones as bad, and its steps mix folds with epochs. Three views instead:

* `epoch_view`: one fold; step = epoch. Who finished the fold is COMPLETE there.
* `fold_view`: step = fold. Who is parked is COMPLETE there, with the running mean of its folds.
* `sampler_study`: no steps; every candidate with a finished fold is COMPLETE with its running
  mean, complete or not.

The first two are asked after every epoch, so they are read-only and reuse the trials that did not
change: one Optuna trial is built per decision. (Optuna's in-memory storage, filled anew each time,
would cost a deep copy of the whole sweep.) The sampler needs a study that it can add a trial to
and is asked once per candidate, so it gets Optuna's in-memory storage.

Values are in the metric's own sign, under the study's direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any, NoReturn

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from sweep.projection import NAN_REASON, Candidate, Projection
from sweep.records import State

#: Name of every view; a constant, because Hyperband draws a bracket from it and the number.
VIEW_NAME = "ptxsweep-view"
MARKS_NOTE = "pruner-marks"
_NEVER = datetime(2000, 1, 1)  # Optuna wants a start; no sampler or pruner reads it


class View:
    """A read-only Optuna study over a projection, cheap to ask again after a change."""

    def __init__(
        self, projection: Projection, trial_of: Callable[[Candidate], FrozenTrial], scope: str
    ) -> None:
        """Build from a projection.

        Args:
            projection: Followed as it changes.
            trial_of: What a candidate looks like in this view.
            scope: Tells the marks of this view from those of other views.
        """
        self._storage = _ReadOnlyStorage(projection, trial_of, scope)
        self.study = optuna.Study(VIEW_NAME, self._storage)

    def trial(self, candidate: int) -> FrozenTrial:
        """The candidate as the view shows it."""
        return self._storage.get_trial(candidate)

    def take_marks(self) -> dict[int, dict[str, Any]]:
        """Marks that a pruner left on trials since the last call, by candidate.

        Successive halving notes the value that a trial had at each rung. These marks are part of
        what it decides on, so the driver keeps them in the ledger.
        """
        marks, self._storage.new_marks = self._storage.new_marks, {}
        return marks


def epoch_view(projection: Projection, fold: int) -> View:
    """Step = epoch of one fold; candidates that never began it are WAITING."""

    def trial_of(one: Candidate) -> FrozenTrial:
        steps = one.epochs.get(fold, {})
        if fold in one.folds:
            state, value = TrialState.COMPLETE, one.folds[fold].score
            if not math.isfinite(value):
                state = TrialState.FAIL
        elif fold not in one.attempts:
            state, value = TrialState.WAITING, math.nan
        else:
            state = _ended_or_running(one)
            value = math.nan
        return _trial(projection, one, state, value, steps)

    return View(projection, trial_of, f"fold {fold}")


def fold_view(projection: Projection, *, raw: bool, parked_count: bool) -> View:
    """Step = fold.

    Args:
        projection: Followed as it changes.
        raw: Whether a step's value is the fold's score (what a paired test wants) or the mean of
            the folds up to it.
        parked_count: Whether candidates that miss folds are COMPLETE with their running mean; if
            not, they are RUNNING, so that the best trial is a whole one.
    """

    def trial_of(one: Candidate) -> FrozenTrial:
        scores = {fold: one.folds[fold].score for fold in sorted(one.folds)}
        state = _ended_or_running(one)
        if state is TrialState.RUNNING and parked_count and scores:
            state = TrialState.COMPLETE
        steps = scores if raw else _running_means(scores)
        return _trial(projection, one, state, one.mean, steps)

    return View(projection, trial_of, "folds")


def sampler_study(projection: Projection, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """A writable in-memory study in which candidates stand at their current estimate.

    Candidates with no finished fold are RUNNING; pruned ones are PRUNED at the number of their
    finished folds, or worst when they have nothing; diverged ones are the worst; other failures
    say nothing about the configuration and are FAIL.
    """
    storage = InMemoryStorage()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    study_id = storage.create_new_study([_direction(projection)], VIEW_NAME)
    optuna.logging.set_verbosity(verbosity)
    for one in projection.candidates:
        storage.create_new_trial(study_id, _estimate(projection, one))
    return optuna.Study(VIEW_NAME, storage, sampler=sampler)


def _estimate(projection: Projection, one: Candidate) -> FrozenTrial:
    if one.state is State.FAILED:
        diverged = one.reason == NAN_REASON
        state = TrialState.PRUNED if diverged else TrialState.FAIL
        return _trial(projection, one, state, math.nan, {})
    if one.state is State.PRUNED:
        steps = {len(one.folds): one.mean} if one.folds else {}
        if not steps and one.epochs.get(0):
            steps = {0: one.epochs[0][max(one.epochs[0])]}
        return _trial(projection, one, TrialState.PRUNED, math.nan, steps)
    if one.folds and math.isfinite(one.mean):
        return _trial(projection, one, TrialState.COMPLETE, one.mean, {})
    state = TrialState.FAIL if one.state is State.ABANDONED else TrialState.RUNNING
    return _trial(projection, one, state, math.nan, {})


def _ended_or_running(one: Candidate) -> TrialState:
    match one.state:
        case State.COMPLETE:
            return TrialState.COMPLETE
        case State.PRUNED:
            return TrialState.PRUNED
        case State.FAILED:
            return TrialState.FAIL
        case _:
            return TrialState.RUNNING


def _running_means(scores: dict[int, float]) -> dict[int, float]:
    means, total = {}, 0.0
    for count, (fold, score) in enumerate(scores.items(), start=1):
        total += score
        means[fold] = total / count
    return means


def _direction(projection: Projection) -> StudyDirection:
    return StudyDirection.MAXIMIZE if projection.maximize else StudyDirection.MINIMIZE


def _trial(
    projection: Projection,
    one: Candidate,
    state: TrialState,
    value: float,
    steps: dict[int, float],
) -> FrozenTrial:
    has_value = state is TrialState.COMPLETE
    return FrozenTrial(
        number=one.number,
        trial_id=one.number,
        state=state,
        value=projection.displayed(value) if has_value else None,
        datetime_start=None if state is TrialState.WAITING else _NEVER,
        datetime_complete=_NEVER if state.is_finished() else None,
        params=one.parameters,
        distributions=one.distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={step: projection.displayed(v) for step, v in steps.items()},
    )


class _ReadOnlyStorage(BaseStorage):
    """One study whose trials are built from candidates when they changed.

    Only marks of a pruner can be written, and they go to a buffer.
    """

    def __init__(
        self, projection: Projection, trial_of: Callable[[Candidate], FrozenTrial], scope: str
    ) -> None:
        self._projection, self._trial_of, self._scope = projection, trial_of, scope
        self._trials: list[FrozenTrial] = []
        self._revisions: list[int] = []
        self.new_marks: dict[int, dict[str, Any]] = {}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        one = self._projection.candidates[trial_id]
        while len(self._trials) <= trial_id:
            self._revisions.append(-1)
            self._trials.append(self._trial_of(self._projection.candidates[len(self._trials)]))
        if self._revisions[trial_id] != one.revision:
            trial = self._trial_of(one)
            marks = one.notes.get(MARKS_NOTE, {})
            trial.system_attrs = dict(marks.get(self._scope, {}))
            self._trials[trial_id], self._revisions[trial_id] = trial, one.revision
        return self._trials[trial_id]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = [self.get_trial(number) for number in range(len(self._projection.candidates))]
        return trials if states is None else [trial for trial in trials if trial.state in states]

    def get_n_trials(
        self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None
    ) -> int:
        states = (state,) if isinstance(state, TrialState) else state
        return len(self.get_all_trials(study_id, deepcopy=False, states=states))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        marks = self.new_marks.setdefault(trial_id, {}).setdefault(self._scope, {})
        marks[key] = value

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:
        return VIEW_NAME

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [_direction(self._projection)]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_all_studies(self) -> list[FrozenStudy]:
        directions = self.get_study_directions(0)
        return [FrozenStudy(VIEW_NAME, None, {}, {}, 0, directions=directions)]

    # Everything else writes, and a view cannot be written.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> NoReturn:
        _refuse()

    def delete_study(self, study_id: int) -> NoReturn:
        _refuse()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        _refuse()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        _refuse()

    def create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> NoReturn:
        _refuse()

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> NoReturn:
        _refuse()

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> NoReturn:
        _refuse()

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> NoReturn:
        _refuse()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        _refuse()


def _refuse() -> NoReturn:
    raise RuntimeError("a view of the ledger is read-only; write through the ledger")
