"""A whole sweep without Ray: what is decided, and that a kill changes nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from in_process import (
    Driver,
    make_controller,
    memory_storage,
    new_sweep,
    toy_fold,
    toy_space,
)

from sweep.ledger import NAN_REASON, Ledger
from sweep.ledger.sql import LedgerStorage
from sweep.records import Epoch, FoldScore, NewTrial, RunFold, State, TrialAdded
from sweep.space import SearchSpace, parse_space


@pytest.fixture(scope="module")
def storage() -> LedgerStorage:
    return memory_storage()


_days = itertools.count(1)


def open_held(storage: LedgerStorage, name: str) -> Ledger:
    """Open a sweep a day later: if another driver was dropped, its lease ran out."""
    now = 1_700_000_000.0 + 86_400 * next(_days)
    ledger = Ledger(storage, name, clock=lambda: now)
    ledger.acquire("test", 60.0)
    return ledger


def full_run(
    storage: LedgerStorage, space: SearchSpace, *, num_slots: int = 2, fold: Any = toy_fold
) -> tuple[Ledger, Driver]:
    ledger = open_held(storage, new_sweep(storage, space))
    driver = Driver(make_controller(ledger, space), ledger, fold, num_slots)
    assert driver.run()
    driver.controller.close("unused")
    return ledger, driver


def scores_of(ledger: Ledger) -> list[tuple[State, dict[int, float]]]:
    return [
        (one.state, {fold: score.score for fold, score in one.folds.items()})
        for one in ledger.projection.trials
    ]


def test_the_first_trial_is_the_default_then_the_listed_ones(storage: LedgerStorage) -> None:
    space = parse_space(toy_space().text + "candidates: [{x: 0.9}, {kind: b}]\n", "toy.yaml")
    ledger = open_held(storage, new_sweep(storage, space))
    controller = make_controller(ledger, space)
    assert controller.wanted(2) == [NewTrial(), NewTrial()]
    assignments = [controller.add_trial() for _ in range(3)]
    assert [one.settings for one in assignments] == [
        {"x": 0.2, "kind": "a", "y": 0.5},
        {"x": 0.9, "kind": "a", "y": 0.5},
        {"x": 0.2, "kind": "b", "y": 0.5},
    ]
    assert [(one.trial, one.fold, one.attempt) for one in assignments] == [
        (0, 0, 1),
        (1, 0, 1),
        (2, 0, 1),
    ]
    assert ledger.projection.trials[1].parameters == {"x": 0.9, "kind": "a"}


@pytest.mark.parametrize("policy", ["greedy", "standard"])
@pytest.mark.parametrize("num_slots", [1, 3])
def test_a_sweep_ends_with_the_default_complete(
    storage: LedgerStorage, policy: str, num_slots: int
) -> None:
    ledger, driver = full_run(storage, toy_space(policy=policy), num_slots=num_slots)
    projection = ledger.projection
    assert projection.trials[0].state is State.COMPLETE
    assert projection.sweep_state == "finished"
    assert "2 were asked for" in str(projection.sweep_reason)
    complete = [one for one in projection.trials if one.state is State.COMPLETE]
    assert len(complete) >= 2
    assert all(one.state in (State.COMPLETE, State.ABANDONED) for one in projection.trials)
    assert len(set(driver.started)) == len(driver.started), "a fold was started twice"
    assert driver.controller.wanted(3) == []


def test_greedy_runs_fewer_folds_than_the_grid_and_finds_a_good_one(storage: LedgerStorage) -> None:
    greedy, _ = full_run(storage, toy_space(num_trials=12), num_slots=1)
    full = toy_space(num_trials=12, policy="standard", num_completions=None)
    grid, _ = full_run(storage, full, num_slots=1)
    num_greedy = sum(len(one.folds) for one in greedy.projection.trials)
    num_grid = sum(len(one.folds) for one in grid.projection.trials)
    assert num_grid == 36
    # First folds, the default, the best; later folds are harder, so a close second is looked at.
    assert 12 + 2 + 2 <= num_greedy <= 18
    best, best_of_all = greedy.projection.best(), grid.projection.best()
    assert best is not None
    assert best_of_all is not None
    assert best.parameters == best_of_all.parameters


def test_the_same_seed_gives_the_same_sweep(storage: LedgerStorage) -> None:
    space = toy_space(sampler="tpe", num_trials=10)
    first, _ = full_run(storage, space)
    second, _ = full_run(storage, space)
    assert first.projection.events() == second.projection.events()


def diverging(parameters: Mapping[str, Any], fold: int) -> tuple[list[float], float]:
    values, score = toy_fold(parameters, fold)
    if parameters["x"] < 0.35:
        return (values[:1] + [math.nan] * 2, score) if fold == 0 else (values, math.inf)
    return values, (math.nan if fold == 1 and parameters["x"] < 0.6 else score)


def test_a_value_that_is_not_finite_ends_its_trial_and_not_the_sweep(
    storage: LedgerStorage,
) -> None:
    space = toy_space(policy="standard", num_trials=10, num_completions=None)
    ledger, _ = full_run(storage, space, fold=diverging)
    projection = ledger.projection
    for one in projection.trials:
        if one.settings["x"] < 0.6:
            assert (one.state, one.reason) == (State.FAILED, NAN_REASON)
        else:
            assert one.state is State.COMPLETE
    assert projection.trials[0].state is State.FAILED  # even the default
    assert projection.sweep_reason == "all 10 trials are done"
    assert {one.state for one in projection.trials} == {State.FAILED, State.COMPLETE}


def test_the_default_is_never_pruned_and_weak_trials_are(storage: LedgerStorage) -> None:
    pruner = "{name: threshold, lower: 0.95, scope: epochs}"
    space = toy_space(pruner=pruner, num_trials=5, num_completions=None)
    ledger, driver = full_run(storage, space)
    states = [one.state for one in ledger.projection.trials]
    assert states == [State.COMPLETE] + [State.PRUNED] * 4
    assert ledger.projection.trials[1].reason == "pruned in fold 0, epoch 1"
    assert len(driver.started) == 3 + 4


def test_an_epoch_that_was_written_but_not_judged_is_judged_when_it_comes_again(
    storage: LedgerStorage,
) -> None:
    space = toy_space(pruner="{name: threshold, lower: 0.95, scope: epochs}")
    name = new_sweep(storage, space)
    ledger = open_held(storage, name)
    controller = make_controller(ledger, space)
    controller.add_trial()
    assignment = controller.add_trial()
    report = Epoch(trial=1, fold=0, attempt=assignment.attempt, epoch=1, value=0.1, seconds=1.0)
    assert ledger.record_epoch(report)
    ledger.flush()  # and here the driver dies
    resumed = open_held(storage, name)
    controller = make_controller(resumed, space)
    attempt = controller.start(1).attempt
    assert controller.on_epoch(replace(report, attempt=attempt)).is_final
    assert resumed.projection.trials[1].state is State.PRUNED


def test_pruning_between_folds(storage: LedgerStorage) -> None:
    pruner = "{name: threshold, lower: 0.95, scope: folds}"
    ledger, _ = full_run(storage, toy_space(pruner=pruner, num_trials=4, num_completions=None))
    reasons = [one.reason for one in ledger.projection.trials]
    assert reasons == [None] + ["pruned after fold 0"] * 3


def test_reports_of_an_attempt_that_was_given_up_change_nothing(storage: LedgerStorage) -> None:
    space = toy_space()
    ledger = open_held(storage, new_sweep(storage, space))
    controller = make_controller(ledger, space)
    first = controller.add_trial()
    controller.on_failure(0, "worker died", final=False)
    key = {"trial": 0, "fold": 0}
    late = FoldScore(
        **key,
        attempt=first.attempt,
        value=0.9,
        score=0.9,
        seconds=1.0,
        num_epochs=1,
        best_epoch=1,
    )
    last = Epoch(**key, attempt=first.attempt, epoch=1, value=math.nan, seconds=1.0)
    assert controller.on_fold(late, last) is State.PARKED
    assert controller.wanted(1) == [RunFold(trial=0, fold=0)]
    again = controller.start(0)
    assert again.attempt == 2
    late = Epoch(**key, attempt=1, epoch=1, value=math.nan, seconds=1.0)
    assert controller.on_epoch(late) is State.RUNNING
    assert controller.on_fold(late, last) is State.RUNNING
    controller.on_failure(0, "out of memory", final=True)
    assert ledger.projection.trials[0].state is State.FAILED
    last = Epoch(**key, attempt=2, epoch=1, value=0.1, seconds=1.0)
    assert controller.on_epoch(last).is_final
    controller.on_failure(0, "again", final=False)
    assert ledger.projection.trials[0].reason == "out of memory"


def test_an_interrupted_sweep_is_left_to_be_resumed(storage: LedgerStorage) -> None:
    space = toy_space()
    name = new_sweep(storage, space)
    ledger = open_held(storage, name)
    driver = Driver(make_controller(ledger, space), ledger, toy_fold)
    assert not driver.run(max_reports=7)
    driver.controller.close("SIGINT")
    assert (ledger.projection.sweep_state, ledger.projection.sweep_reason) == (
        "interrupted",
        "SIGINT",
    )
    assert not any(one.state is State.RUNNING for one in ledger.projection.trials)
    assert not any(one.state is State.ABANDONED for one in ledger.projection.trials)
    resumed = open_held(storage, name)
    assert Driver(make_controller(resumed, space), resumed, toy_fold).run()


@pytest.mark.parametrize("policy", ["greedy", "standard"])
def test_killed_after_any_report_and_resumed_no_fold_is_trained_again(
    storage: LedgerStorage, policy: str
) -> None:
    space = toy_space(policy=policy, num_trials=4, num_completions=2)
    _, driver = full_run(storage, space)
    num_reports = 4 * len(driver.started)
    for kill_at in range(num_reports):
        name = new_sweep(storage, space)
        ledger = open_held(storage, name)
        if Driver(make_controller(ledger, space), ledger, toy_fold).run(max_reports=kill_at):
            break
        before = scores_of(ledger)
        resumed = open_held(storage, name)
        second = Driver(make_controller(resumed, space), resumed, toy_fold)
        assert second.run()
        done = {(number, fold) for number, (_, folds) in enumerate(before) for fold in folds}
        assert not done & set(second.started), "a finished fold was trained again"
        assert resumed.projection.trials[0].state is State.COMPLETE
        assert Ledger(storage, name).projection.events() == resumed.projection.events()
    else:
        raise AssertionError("the sweep never ended by itself")


def test_standard_order_without_pruner_gives_the_same_scores_after_any_kill(
    storage: LedgerStorage,
) -> None:
    text = toy_space(policy="standard", num_trials=4, num_completions=None).text
    space = parse_space(text + "candidates: [{x: 0.9}, {kind: b}, {x: 0.6}]\n", "toy.yaml")
    undisturbed, _ = full_run(storage, space)
    expected = scores_of(undisturbed)
    for kill_at in (1, 5, 11, 17, 29, 40):
        name = new_sweep(storage, space)
        ledger = open_held(storage, name)
        Driver(make_controller(ledger, space), ledger, toy_fold, seed=kill_at).run(
            max_reports=kill_at
        )
        resumed = open_held(storage, name)
        assert Driver(make_controller(resumed, space), resumed, toy_fold, num_slots=3).run()
        assert scores_of(resumed) == expected


def test_a_sampler_goes_on_after_a_resume_instead_of_starting_again(storage: LedgerStorage) -> None:
    space = toy_space(num_trials=8, sampler="tpe", policy="standard", num_completions=None)
    name = new_sweep(storage, space)
    ledger = open_held(storage, name)
    Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=1).run(max_reports=45)
    resumed = open_held(storage, name)
    assert Driver(make_controller(resumed, space), resumed, toy_fold, num_slots=1).run()
    added = [e.parameters for e in resumed.projection.events() if isinstance(e, TrialAdded)]
    assert len({tuple(sorted(one.items())) for one in added}) == len(added)
    undisturbed, _ = full_run(storage, space, num_slots=1)
    assert [one.parameters for one in undisturbed.projection.trials] == [
        one.parameters for one in resumed.projection.trials
    ]
