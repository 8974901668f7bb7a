"""A read-only Optuna storage over a projection."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.ledger.compat import FrozenStudy
from sweep.ledger.projection import Projection, Trial

#: Name of every view; a constant, because Hyperband draws a bracket from it and the number.
VIEW_NAME = "ptxsweep-view"
#: Annotation under which marks of a pruner lie in the ledger.
MARKS_NOTE = "pruner-marks"


def direction(projection: Projection) -> StudyDirection:
    """The study's direction: that of the metric itself."""
    return StudyDirection.MAXIMIZE if projection.maximize else StudyDirection.MINIMIZE


class ReadOnlyStorage(BaseStorage):
    """One study with trials that are built from the projection's when those changed.

    Only marks of a pruner can be written, and they go to a buffer.
    """

    def __init__(
        self, projection: Projection, trial_of: Callable[[Trial], FrozenTrial], scope: str
    ) -> None:
        self._projection, self._trial_of, self._scope = projection, trial_of, scope
        self._trials: list[FrozenTrial] = []
        self._revisions: list[int] = []
        self.new_marks: dict[int, dict[str, Any]] = {}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial as Optuna sees it, built anew where its revision has changed."""
        ours = self._projection.trials[trial_id]
        while len(self._trials) <= trial_id:
            self._revisions.append(-1)
            self._trials.append(self._trial_of(self._projection.trials[len(self._trials)]))
        if self._revisions[trial_id] != ours.revision:
            trial = self._trial_of(ours)
            marks = ours.notes.get(MARKS_NOTE, {})
            trial.system_attrs = dict(marks.get(self._scope, {}))
            self._trials[trial_id], self._revisions[trial_id] = trial, ours.revision
        return self._trials[trial_id]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Trials in the order of their numbers; never copied, whatever `deepcopy` says."""
        trials = [self.get_trial(number) for number in range(len(self._projection.trials))]
        return trials if states is None else [trial for trial in trials if trial.state in states]

    def get_n_trials(
        self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None
    ) -> int:
        states = (state,) if isinstance(state, TrialState) else state
        return len(self.get_all_trials(study_id, deepcopy=False, states=states))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Put a mark of a pruner into the buffer `new_marks`."""
        marks = self.new_marks.setdefault(trial_id, {}).setdefault(self._scope, {})
        marks[key] = value

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:
        return VIEW_NAME

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [direction(self._projection)]

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


class ProposalStorage(ReadOnlyStorage):
    """Trials as a sampler is to see them, and beside them the one that is being proposed.

    That one is kept until the next begins. The others are built anew only where they changed
    since the last proposal, which else was most of its time.
    """

    def __init__(
        self, projection: Projection, trial_of: Callable[[Trial], FrozenTrial], *, looks: bool
    ) -> None:
        super().__init__(projection, trial_of, "proposals")
        self._looks = looks
        self._asked: FrozenTrial | None = None
        self.begin()

    def begin(self) -> None:
        """Forget the trial that was proposed last, and see what has changed since."""
        self._asked = None
        if self._looks:
            for number in range(len(self._projection.trials)):
                super().get_trial(number)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial as it was at the begin; the proposed one itself, which then changes."""
        if self._asked is not None and trial_id == self._asked.number:
            return self._asked
        return self._trials[trial_id]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Trials in the order of their numbers, the proposed one last; never copied."""
        trials = self._trials if self._asked is None else [*self._trials, self._asked]
        return [trial for trial in trials if states is None or trial.state in states]

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:  # type: ignore[override]
        """Begin a proposal; only one without a template."""
        if template_trial is not None or self._asked is not None:
            _refuse()
        number = len(self._projection.trials)
        self._asked = FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        return number

    def set_trial_param(  # type: ignore[override]
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """What a sampler chose for its own proposal."""
        asked = self._own(trial_id)
        asked.params[param_name] = distribution.to_external_repr(param_value_internal)
        asked.distributions[param_name] = distribution

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """What a sampler notes on its own proposal."""
        self._own(trial_id).system_attrs[key] = value

    def _own(self, trial_id: int) -> FrozenTrial:
        if self._asked is None or trial_id != self._asked.number:
            _refuse()
        return self._asked


def _refuse() -> NoReturn:
    raise RuntimeError("a view of the ledger is read-only; write through the ledger")
