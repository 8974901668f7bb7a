"""What samplers and pruners are shown."""

from __future__ import annotations

import math

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState
from projections import add, finish, folds, projection, report, start

from sweep.ledger.projection import NAN_REASON
from sweep.policies import Rung
from sweep.records import State
from sweep.search.optuna_views import MARKS_NOTE, SamplerView, epoch_view, fold_view, sampler_study
from sweep.search.samplers import make_sampler


def test_epoch_view_shows_one_fold_and_who_finished_it() -> None:
    made = projection()
    folds(made, [0.5, 0.6])
    report(made, 0, 0, [0.1, 0.4])
    report(made, 0, 1, [0.2, 0.3])
    running, pruned, waiting = add(made), add(made), add(made)
    start(made, running, 0)
    report(made, running, 0, [0.05])
    start(made, pruned, 0)
    made.end(pruned, State.PRUNED, "weak", "then")
    view = epoch_view(made, 0)
    trials = view.study.get_trials(deepcopy=False)
    assert [trial.state for trial in trials] == [
        TrialState.COMPLETE,
        TrialState.RUNNING,
        TrialState.PRUNED,
        TrialState.WAITING,
    ]
    assert trials[0].intermediate_values == {1: 0.1, 2: 0.4}
    assert trials[0].value == 0.5
    assert view.trial(waiting).number == waiting
    assert epoch_view(made, 1).study.trials[0].intermediate_values == {1: 0.2, 2: 0.3}
    assert epoch_view(made, 1).study.best_value == 0.6


def test_views_follow_the_projection_and_build_again_only_what_changed() -> None:
    made = projection()
    folds(made, [0.5])
    number = add(made)
    start(made, number, 0)
    view = epoch_view(made, 0)
    before = view.study.get_trials(deepcopy=False)
    report(made, number, 0, [0.3])
    after = view.study.get_trials(deepcopy=False)
    assert after[0] is before[0]
    assert after[1].intermediate_values == {1: 0.3}
    folds(made, [0.7])
    assert len(view.study.get_trials(deepcopy=False)) == 3


def test_fold_view_shows_running_means_or_raw_scores() -> None:
    made = projection(num_folds=2)
    folds(made, [0.5, 0.7])
    made.end(0, State.COMPLETE, None, "then")
    folds(made, [0.9])
    means = fold_view(made, raw=False, parked_count=True).study
    assert means.trials[0].intermediate_values == {0: 0.5, 1: pytest.approx(0.6)}
    assert [trial.state for trial in means.trials] == [TrialState.COMPLETE, TrialState.COMPLETE]
    assert means.best_trial.number == 1
    raw = fold_view(made, raw=True, parked_count=False).study
    assert raw.trials[0].intermediate_values == {0: 0.5, 1: 0.7}
    assert [trial.state for trial in raw.trials] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert raw.best_trial.number == 0


def test_values_are_in_the_metrics_own_sign() -> None:
    made = projection(num_folds=2, maximize=False)
    folds(made, [-0.5, -0.7])
    report(made, 0, 0, [2.0])
    made.end(0, State.COMPLETE, None, "then")
    assert epoch_view(made, 0).study.direction is StudyDirection.MINIMIZE
    assert epoch_view(made, 0).study.trials[0].intermediate_values == {1: 2.0}
    assert fold_view(made, raw=True, parked_count=True).study.best_value == pytest.approx(0.6)
    study = sampler_study(made, optuna.samplers.RandomSampler(seed=0))
    assert study.best_value == pytest.approx(0.6)


def test_a_view_cannot_be_written_but_takes_marks() -> None:
    made = projection()
    folds(made, [0.5])
    view = epoch_view(made, 0)
    with pytest.raises(RuntimeError, match="a view of the ledger is read-only"):
        view.study.ask()
    with pytest.raises(RuntimeError, match="read-only"):
        view.study.set_user_attr("a", 1)
    view.study._storage.set_trial_system_attr(0, "rung", 0.5)
    assert view.take_rung_marks() == {0: {"fold 0": {"rung": 0.5}}}
    assert view.take_rung_marks() == {}
    assert view.trial(0).system_attrs == {}  # until the ledger has it
    made.note(0, MARKS_NOTE, {"fold 0": {"rung": 0.5}, "fold 1": {"rung": 0.9}})
    assert view.trial(0).system_attrs == {"rung": 0.5}


def test_the_sampler_sees_current_estimates() -> None:
    made = projection(num_folds=2)
    folds(made, [0.5, 0.7])
    made.end(0, State.COMPLETE, None, "then")
    folds(made, [0.9])  # parked
    start(made, folds(made, [0.8]), 1)  # running, with an estimate
    start(made, add(made), 0)  # running, without one
    for state, reason in (
        (State.PRUNED, "weak"),
        (State.FAILED, NAN_REASON),
        (State.FAILED, "out of memory"),
    ):
        number = add(made)
        start(made, number, 0)
        report(made, number, 0, [0.3, 0.2])
        made.end(number, state, reason, "then")
    made.end(folds(made, [0.4]), State.PRUNED, "weak", "then")
    made.end(folds(made, [0.6]), State.ABANDONED, "over", "then")
    study = sampler_study(made, optuna.samplers.RandomSampler(seed=0))
    shown = [(t.state, t.values and t.value, t.intermediate_values) for t in study.trials]
    complete, pruned = TrialState.COMPLETE, TrialState.PRUNED
    assert shown == [
        (complete, pytest.approx(0.6), {}),
        (complete, 0.9, {}),
        (complete, 0.8, {}),
        (TrialState.RUNNING, None, {}),
        (pruned, None, {0: 0.2}),
        (pruned, None, {}),
        (TrialState.FAIL, None, {}),
        (pruned, None, {1: 0.4}),
        (complete, 0.6, {}),
    ]


def test_at_a_rung_the_sampler_sees_who_came_there_by_the_same_epochs() -> None:
    made = projection(num_folds=2)
    report(made, folds(made, [0.9]), 0, [0.1, 0.3, 0.8, 0.9])  # long past it
    for values, end in (
        ([0.2, 0.4, 0.6], None),  # paused there
        ([0.5], None),  # not there yet
        ([0.2, math.nan, 0.4], None),
        ([0.1, 0.2, 0.4], State.PRUNED),  # stopped later
        ([0.1], State.PRUNED),
        ([0.1, 0.2, 0.4], State.FAILED),
    ):
        start(made, number := add(made), 0)
        report(made, number, 0, values)
        if end is not None:
            made.end(number, end, NAN_REASON, "then")
    report(made, folds(made, [0.7]), 0, [0.5])  # its fold ended before
    view = SamplerView(made, rung=Rung(epoch=3, window=2))
    study = view.study(optuna.samplers.RandomSampler(seed=0))
    shown = [(t.state, t.values and t.value, t.intermediate_values) for t in study.trials]
    complete, pruned = TrialState.COMPLETE, TrialState.PRUNED
    assert shown == [
        (complete, pytest.approx(0.55), {}),
        (complete, pytest.approx(0.5), {}),
        (TrialState.RUNNING, None, {}),
        (pruned, None, {}),
        (complete, pytest.approx(0.3), {}),
        (pruned, None, {0: 0.1}),
        (pruned, None, {}),
        (complete, 0.5, {}),
    ]


def test_parked_trials_attract_the_sampler_and_in_the_raw_study_repel_it() -> None:
    """Twenty first folds, better the nearer x is to 0.7; all are parked."""
    made, raw = projection(num_folds=5), optuna.create_study(direction="maximize")
    for step in range(20):
        x = (step + 0.5) / 20
        folds(made, [1 - abs(x - 0.7)], {"x": x})
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params={"x": x},
            distributions=made.trials[0].distributions,
        )
        raw.add_trial(trial)
    # The one trial that is complete is far away.
    folds(made, [0.4] * 5, {"x": 0.1})
    made.end(20, State.COMPLETE, None, "then")
    distributions = dict(made.trials[0].distributions)
    raw.add_trial(
        optuna.trial.create_trial(value=0.4, params={"x": 0.1}, distributions=distributions)
    )

    def mean_distance(shows_projection: bool) -> float:
        distances = []
        for trial in range(21, 61):
            sampler = make_sampler("tpe", {"n_startup_trials": 1}, 0, trial)
            if shows_projection:
                study = sampler_study(made, sampler)
            else:
                study = optuna.create_study(direction="maximize", sampler=sampler)
                study.add_trials(raw.trials)
            distances.append(abs(study.ask(distributions).params["x"] - 0.7))
        return math.fsum(distances) / len(distances)

    assert mean_distance(True) < 0.15
    assert mean_distance(False) > 0.25


def test_finish_of_a_fold_makes_it_complete_in_its_own_view_alone() -> None:
    made = projection()
    number = add(made)
    start(made, number, 0)
    view = epoch_view(made, 0)
    assert view.trial(number).state is TrialState.RUNNING
    finish(made, number, 0, 0.5)
    assert view.trial(number).state is TrialState.COMPLETE
    assert epoch_view(made, 1).trial(number).state is TrialState.WAITING
