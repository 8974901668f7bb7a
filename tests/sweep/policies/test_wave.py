"""The first wave: who goes on, who waits, and input on which it could come to grief."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from in_process import (
    Driver,
    assert_replays,
    make_controller,
    memory_storage,
    new_sweep,
    toy_fold,
    toy_space,
)

from sweep.analysis.progress import expected_folds
from sweep.errors import SpaceError, UsageError
from sweep.ledger import Ledger
from sweep.policies import Wave, make_policy, policy_named
from sweep.records import (
    Event,
    FoldFinished,
    FoldLost,
    FoldPaused,
    FoldStarted,
    NewTrial,
    RunFold,
    State,
    TrialAdded,
    TrialStopped,
)
from sweep.search.stop_rules import AllDone, make_stop_rule
from sweep.simulate import Cluster, Run, Simulation, Table, replay_order
from sweep.space import parse_space


def begin(policy: Wave, count: int) -> None:
    for trial in range(count):
        policy.observe(TrialAdded(trial=trial))
        policy.observe(FoldStarted(trial=trial, fold=0))


def pause(policy: Wave, trial: int, *scores: float) -> None:
    policy.observe(FoldPaused(trial=trial, fold=0, scores=scores))


def run(trial: int, fold: int = 0) -> RunFold:
    return RunFold(trial=trial, fold=fold)


def wave(num_trials: int, **changes: Any) -> Wave:
    settings = {"epochs": (2,), "keep": (0.5,), "pinned": None, "stragglers": 0.0, **changes}
    return Wave(num_trials=num_trials, num_folds=2, **settings)


def test_all_train_to_the_look_and_the_best_share_goes_on() -> None:
    policy = wave(4)
    assert policy.decide(9) == [NewTrial()] * 4
    begin(policy, 4)
    assert [policy.pause_after(trial) for trial in range(4)] == [2] * 4
    for trial, level in enumerate((0.1, 0.4, 0.3)):
        pause(policy, trial, 0.0, level)
    assert policy.decide(9) == [run(1)]  # the last one cannot push it out
    pause(policy, 3, 0.0, 0.2)
    assert policy.decide(9) == [run(1), run(2)]
    assert policy.pause_after(1) is None


def test_a_straggler_is_not_waited_for_and_goes_on_if_it_is_better() -> None:
    policy = wave(4, stragglers=0.25)
    begin(policy, 4)
    for trial, level in enumerate((0.1, 0.4, 0.3)):
        pause(policy, trial, level)
    assert policy.decide(9) == [run(1), run(2)]
    policy.observe(FoldStarted(trial=1, fold=0))
    pause(policy, 3, 0.35)
    assert policy.decide(9) == [run(2), run(3)]


def test_a_pause_without_a_value_is_the_worst() -> None:
    policy = wave(2)
    begin(policy, 2)
    pause(policy, 0)
    pause(policy, 1, -0.2, -0.1)  # below 0, which a mean of nothing could pass for
    assert policy.decide(2) == [run(1)]


def test_those_that_failed_make_room() -> None:
    policy = wave(4)
    begin(policy, 4)
    policy.observe(TrialStopped(trial=1, state=State.FAILED))
    policy.observe(TrialStopped(trial=2, state=State.FAILED))
    pause(policy, 0, math.nan)
    pause(policy, 3, 0.1)
    assert policy.decide(9) == [run(3)]


def test_a_lost_fold_comes_before_new_trials_and_keeps_its_look() -> None:
    policy = wave(3)
    begin(policy, 2)
    policy.observe(FoldLost(trial=0, fold=0))
    assert policy.decide(9) == [run(0), NewTrial()]
    policy.observe(FoldStarted(trial=0, fold=0))
    assert policy.pause_after(0) == 2


def test_the_default_is_never_held_back() -> None:
    policy = wave(3, pinned=0)
    begin(policy, 3)
    assert policy.pause_after(0) is None
    policy.observe(FoldFinished(trial=0, fold=0, score=0.0, seconds=1.0))
    assert policy.decide(9) == [run(0, 1)]
    pause(policy, 1, 0.5)
    pause(policy, 2, 0.4)
    assert set(policy.decide(9)) == {run(0, 1), run(1), run(2)}  # two of three


def test_a_fold_that_ends_before_a_look_comes_to_it_with_its_score() -> None:
    policy = wave(4)
    begin(policy, 4)
    policy.observe(FoldFinished(trial=0, fold=0, score=0.9, seconds=1.0))
    for trial in (1, 2, 3):
        pause(policy, trial, trial / 10)
    assert set(policy.decide(9)) == {run(3), run(0, 1)}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"epochs": (5, 2), "keep": (0.5, 0.2)}, r"epochs \[5, 2\]"),
        ({"epochs": (2, 5), "keep": (0.2, 0.5)}, r"keep \[0.2, 0.5\]"),
        ({"epochs": (2, 5), "keep": (0.5,)}, "for each a share"),
        ({"epochs": (), "keep": ()}, "expected rising epochs"),
        ({"stragglers": 1.0}, "stragglers: found 1.0"),
        ({"window": 0}, "window: found 0"),
    ],
)
def test_settings_that_make_no_wave_are_refused(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(UsageError, match=found):
        wave(4, **changes)


def test_a_space_with_such_looks_is_refused() -> None:
    text = toy_space(policy="wave, epochs: [2, 5], keep: [0.5, 0.2]").text
    with pytest.raises(SpaceError, match=r"epochs.*expected rising epochs"):
        parse_space(text.replace("[2, 5]", "[5, 2]"), "toy.yaml")


# Whole sweeps.


def curves(num_trials: int, num_folds: int, num_epochs: int = 7) -> Table:
    generator = np.random.default_rng(3)
    good = generator.normal(0.6, 0.1, (1, num_trials, 1))
    scores = good + generator.normal(0, 0.02, (1, num_trials, num_folds))
    rise = np.linspace(0.5, 1.0, num_epochs)
    noise = generator.normal(0, 0.02, (*scores.shape, num_epochs))
    return Table(
        name="made",
        scores=scores,
        seconds=np.ones_like(scores),
        curves=scores[..., None] * rise + noise,
        params=tuple({"x": float(value)} for value in good[0, :, 0]),
    )


def short(one: Table) -> Table:
    assert one.curves is not None
    found = one.curves.copy()
    for row in range(one.num_trials):
        found[:, row, :, 1 + row % 7 :] = math.nan
    return dataclasses.replace(one, curves=found)


def diverged(one: Table) -> Table:
    assert one.curves is not None
    scores, found = one.scores.copy(), one.curves.copy()
    scores[:, ::2], found[:, ::2, :, 1:] = -math.inf, -math.inf
    return dataclasses.replace(one, scores=scores, curves=found)


def slow(one: Table) -> Table:
    seconds = one.seconds.copy()
    seconds[:, 1] = 10
    return dataclasses.replace(one, seconds=seconds)


BAD = {
    "one candidate": (curves(1, 3), Cluster()),
    "two candidates": (curves(2, 3), Cluster()),
    "all equal": (
        dataclasses.replace(
            curves(9, 3), scores=np.full((1, 9, 3), 0.5), curves=np.full((1, 9, 3, 7), 0.5)
        ),
        Cluster(num_workers=2),
    ),
    "half of them fail": (curves(12, 3), Cluster(num_workers=3, loss_rate=0.5, max_losses=1)),
    "half of them diverge": (diverged(curves(12, 3)), Cluster(num_workers=3)),
    "one is slower by ten": (slow(curves(12, 3)), Cluster(num_workers=3)),
    "curves of different lengths": (short(curves(12, 3)), Cluster(num_workers=3)),
    "two folds": (curves(12, 2), Cluster(num_workers=2)),
    "more workers than candidates": (curves(5, 3), Cluster(num_workers=16)),
    "no curves": (dataclasses.replace(curves(8, 3), curves=None), Cluster()),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("ends", [True, False])
def test_every_sweep_comes_to_an_end_and_repeats_nothing(case: str, ends: bool) -> None:
    table, cluster = BAD[case]
    num_trials, num_folds = table.num_trials, table.num_folds
    policy = make_policy("wave", {"num_trials": num_trials, "pinned": None}, num_folds)
    rule = (
        make_stop_rule(num_trials, None, num_folds, policy=policy, min_gain=0.25, required=())
        if ends
        else AllDone(num_trials, num_folds=num_folds)
    )
    found = Simulation(
        table, replay_order(table, 0), policy, rule, cluster=cluster, keep_events=True
    ).run()
    check(found, num_trials, num_folds, is_whole=not ends)


def check(found: Run, num_trials: int, num_folds: int, *, is_whole: bool) -> None:
    running: dict[int, int] = {}
    finished: set[tuple[int, int]] = set()
    stopped: set[int] = set()
    for event in found.events:
        match event:
            case FoldStarted(trial=trial, fold=fold):
                assert trial not in running, "two folds of one trial at once"
                assert (trial, fold) not in finished, "a finished fold again"
                assert trial not in stopped
                running[trial] = fold
            case FoldFinished(trial=trial, fold=fold):
                finished.add((trial, running.pop(trial)))
            case FoldPaused(trial=trial) | FoldLost(trial=trial):
                del running[trial]
            case TrialStopped(trial=trial):
                stopped.add(trial)
    assert found.reason != "nothing is left to do"
    if is_whole:
        complete = {t for t in range(num_trials) if (t, num_folds - 1) in finished}
        assert len(complete | stopped) == num_trials


def test_a_slow_one_does_not_hold_up_the_others() -> None:
    table = slow(curves(12, 3))
    policy = make_policy("wave", {"num_trials": 12, "pinned": None}, 3)
    rule = make_stop_rule(12, 2, 3, required=())
    found = Simulation(
        table, replay_order(table, 0), policy, rule, cluster=Cluster(num_workers=12)
    ).run()
    usual = curves(12, 3)
    policy = make_policy("wave", {"num_trials": 12, "pinned": None}, 3)
    rule = make_stop_rule(12, 2, 3, required=())
    other = Simulation(
        usual, replay_order(usual, 0), policy, rule, cluster=Cluster(num_workers=12)
    ).run()
    assert found.makespan_seconds == pytest.approx(other.makespan_seconds)


@pytest.mark.parametrize("num_workers", [1, 3, 16])
def test_without_stragglers_the_same_trials_go_on_whatever_the_workers(num_workers: int) -> None:
    table = curves(20, 3)
    settings = {"num_trials": 20, "pinned": None, "stragglers": 0.0}
    policy = make_policy("wave", settings, 3)
    rule = make_stop_rule(20, None, 3, policy=policy, min_gain=0.25, required=())
    layout = replay_order(table, 0)
    cluster = Cluster(num_workers=num_workers)
    found = Simulation(table, layout, policy, rule, cluster=cluster, keep_events=True).run()
    whole = {event.trial for event in found.events if isinstance(event, FoldFinished)}
    assert table.curves is not None
    column = layout.folds[0][1]
    level = table.curves[0, list(layout.order), column]
    first = np.argsort(-level[:, :2].mean(1), kind="stable")[:14]  # of twenty 14 and 8 at least
    best = first[np.argsort(-level[first, 2:5].mean(1), kind="stable")[:8]]
    assert whole == set(best.tolist())


@pytest.mark.parametrize("slots", [1, 3])
def test_a_live_wave_pauses_goes_on_and_replays_after_a_crash(slots: int) -> None:
    space = toy_space(policy="wave, epochs: [1, 2]", num_trials=10, num_completions=3)
    storage = memory_storage()
    name = new_sweep(storage, space)
    ledger = Ledger(storage, name)
    ledger.acquire("test")
    assert not Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=slots).run(12)
    ledger.release()
    ledger = Ledger(storage, name)
    ledger.acquire("test")
    assert Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=slots).run()
    paused = [event for event in ledger.projection.history if isinstance(event, FoldPaused)]
    assert len({event.trial for event in paused}) == 9  # all but the default
    assert {len(event.scores) for event in paused} == {1, 2}
    log = [one.outcome for trial in ledger.projection.trials for one in trial.log]
    assert log.count("paused") == len(paused)
    assert_replays(ledger, "wave", 10, epochs=(1, 2))
    events: list[Event] = Ledger(storage, name).projection.events()
    assert events == ledger.projection.events()


@pytest.mark.parametrize("slots", [1, 3])
def test_a_sampler_learns_from_the_first_look(slots: int) -> None:
    late = {}
    for sampler in ("random", "tpe"):
        space = toy_space(policy="wave", num_trials=30, num_completions=None, sampler=sampler)
        far = []
        for seed in range(4):
            storage = memory_storage()
            ledger = Ledger(storage, new_sweep(storage, space, seed=seed))
            ledger.acquire("test")
            driver = Driver(make_controller(ledger, space, seed=seed), ledger, toy_fold, slots)
            assert driver.run()
            trials = ledger.projection.trials
            # No fold but the default's was scored before the last was proposed.
            far += [abs(trial.parameters["x"] - 0.7) for trial in trials[15:]]
        late[sampler] = sum(far) / len(far)
    assert late["tpe"] < 0.6 * late["random"]


def test_the_settings_of_a_space_are_those_of_the_policy() -> None:
    spec = policy_named("wave")(name="wave", epochs=[3], keep=[0.3])
    policy = spec.build(5)
    assert isinstance(policy, Wave)
    assert (policy.epochs, policy.min_gain, spec.num_completions) == ((3,), 0.25, None)
    # Twelve of 40 and the default; of the others no more than a first fold.
    assert expected_folds([], 5, spec) == 13 * 5 + 27


def test_few_trials_leave_more_of_them_unless_it_is_said() -> None:
    def left(num_trials: int, **given: Any) -> list[int]:
        policy = Wave(num_trials=num_trials, num_folds=5, **given)
        return [look.num_kept for look in policy._looks]

    assert [left(number) for number in (5, 20, 40, 100)] == [[5, 5], [14, 8], [20, 8], [50, 20]]
    assert left(20, keep=(0.5, 0.2)) == [10, 4]
    assert [left(number, epochs=(3,)) for number in (5, 20, 40)] == [[5], [8], [14]]


def test_many_workers_train_three_tenths_of_what_is_left_at_once() -> None:
    policy = wave(20, keep=(1.0,))
    begin(policy, 20)
    for trial in range(20):
        pause(policy, trial, trial / 20)
    assert len(policy.decide(16)) == 6
    policy.observe(FoldStarted(trial=19, fold=0))
    assert len(policy.decide(15)) == 5
