"""The simulator: accounts by hand, every policy with trouble, and live sweeps replayed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path
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
from projections import add, finish, projection, report, start

from dashboards.figures.anytime import anytime_info
from sweep.cli import main
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.policies import PolicySpec, make_policy
from sweep.pruners import PrunerSpec, pruner_spec
from sweep.records import FoldFinished, FoldStarted, State
from sweep.search.stop_rules import AllDone, make_stop_rule
from sweep.simulate import (
    Arm,
    Cluster,
    ReplayOrder,
    Simulation,
    Table,
    drop_missing,
    load_table,
    outcome,
    parse_arm,
    replay,
    replay_order,
    replay_seeds,
    table_of,
)

TABLES = Path(__file__).resolve().parents[2] / "data" / "tables"
NAMES = sorted(PolicySpec.known)


def table(scores: Any, seconds: Any = None, curves: Any = None) -> Table:
    values = np.array(scores, np.float64)
    return Table(
        name="made",
        scores=values,
        seconds=np.ones_like(values) if seconds is None else np.array(seconds, np.float64),
        curves=curves,
        params=tuple({"x": row / 7} for row in range(values.shape[1])),
    )


def noisy(num_trials: int = 30, num_folds: int = 4, partitions: int = 2) -> Table:
    generator = np.random.default_rng(0)
    good = generator.normal(0.8, 0.05, (1, num_trials, 1))
    noise = generator.normal(0, 0.02, (partitions, num_trials, num_folds))
    return table(good + noise, generator.uniform(1, 3, noise.shape))


def natural(one: Table) -> ReplayOrder:
    return ReplayOrder(
        partitions=(0,),
        order=tuple(range(one.num_trials)),
        folds=tuple((0, fold) for fold in range(one.num_folds)),
    )


def arm(policy: str, **changes: Any) -> Arm:
    return dataclasses.replace(parse_arm(policy), **changes)


def test_greedy_by_hand() -> None:
    one = table([[[0.5, 0.1], [0.9, 0.2], [0.6, 0.6]]], [[[1, 2], [3, 4], [5, 6]]])
    policy = make_policy("greedy", {"num_trials": 3, "pinned": None}, 2)
    rule = make_stop_rule(3, 1, 2, required=())
    run = Simulation(one, natural(one), policy, rule).run()
    assert run.started == [(0, 0), (1, 0), (2, 0), (1, 1)]
    assert (run.chosen, run.num_folds, run.makespan_seconds) == (1, 4, 1 + 3 + 5 + 4)
    found = outcome(one, natural(one), run, Cluster())
    # Means 0.3, 0.55, 0.6: the best is 0.6, the median 0.55.
    assert found.regret == pytest.approx(1.0)
    assert (found.cost, found.hit, found.idle) == (4 / 6, 0.0, 0.0)
    assert found.cost_seconds == pytest.approx(13 / 21)
    assert math.isnan(found.regret_fresh)


def test_workers_are_asynchronous() -> None:
    one = table([[[1.0], [2.0], [3.0]]], [[[4.0], [1.0], [2.0]]])
    policy = make_policy("standard", {"num_trials": 3}, 1)
    cluster = Cluster(num_workers=2)
    run = Simulation(one, natural(one), policy, AllDone(3, num_folds=1), cluster=cluster).run()
    assert run.makespan_seconds == 4.0  # the third began when the second was done
    assert outcome(one, natural(one), run, cluster).idle == pytest.approx(1 - 7 / 8)


def test_what_runs_when_the_sweep_ends_is_paid_by_its_share() -> None:
    one = table([[[1.0], [2.0]]], [[[1.0], [4.0]]])
    policy = make_policy("greedy", {"num_trials": 2, "pinned": None}, 1)
    rule = make_stop_rule(2, 1, 1, required=())
    run = Simulation(one, natural(one), policy, rule, cluster=Cluster(num_workers=2)).run()
    assert run.num_folds == pytest.approx(1.25)
    assert run.busy_seconds == pytest.approx(2.0)


def test_a_search_over_two_partitions_is_judged_on_the_third() -> None:
    first = [[0.9, 0.7], [0.8, 0.8], [0.1, 0.1]]
    second = [[0.6, 0.6], [0.8, 0.8], [0.1, 0.1]]
    third = [[1.0, 1.0], [0.6, 0.6], [0.1, 0.1]]
    one = table([first, second, third])
    layout, run = replay(one, parse_arm("standard@2"), Cluster(), 0)
    found = outcome(one, layout, run, Cluster())
    assert layout.partitions == (0, 1)
    assert found.cost == 2
    assert (run.chosen, found.regret, found.hit) == (1, 0, 1)
    assert found.regret_fresh == pytest.approx((1.0 - 0.6) / (1.0 - 0.6))


def test_more_partitions_than_a_table_has_are_refused() -> None:
    with pytest.raises(UsageError, match="4 partitions were asked for, found 2"):
        replay(noisy(), parse_arm("standard@4"), Cluster(), 0)
    for text in ("default@0", "default@", "default@two"):
        with pytest.raises(UsageError, match="NAME@PARTITIONS"):
            parse_arm(text)


def test_settings_of_a_policy_as_a_search_space_has_them() -> None:
    by_name, settled = parse_arm("greedy:7"), parse_arm("{name: greedy, num_completions: 7}")
    assert dataclasses.replace(settled, label=by_name.label) == by_name
    assert parse_arm("{name: greedy, num_completions: 60}").num_completions == 60
    assert parse_arm("{name: wave}@2").repeats == 2
    for policy in ("wave", "expected_improvement"):  # ends by a count, and not by a gain
        one = parse_arm(f"{{name: {policy}, num_completions: 3}}")
        assert (one.num_completions, one.min_gain) == (3, None)
        replay(noisy(num_trials=8), one, Cluster(), 0)
    assert parse_arm("expected_improvement").settings["lookahead"] is None
    assert parse_arm("{name: expected_improvement, lookahead: 2}").settings["lookahead"] == 2
    wave = parse_arm("{name: wave, epochs: [1], keep: [0.25], min_gain: 0.5 errors}")
    assert (wave.settings["epochs"], wave.settings["keep"]) == ([1], [0.25])
    assert wave.min_gain == wave.settings["min_gain"] == "0.5 errors"
    one = load_table(TABLES.parent / "curves" / "phantom_sgd_curves_k5.npz")
    _, run = replay(one, wave, Cluster(), 0)
    assert len({trial for trial, _ in run.started}) == one.num_trials
    # Forty first epochs, then whole folds of the best ten at most: a partition has 2,400 epochs.
    assert run.num_epochs <= 40 + 10 * 5 * 12


def test_a_partial_leader_that_falls_back_is_replaced() -> None:
    one = table([[[0.9, 0.0, 0.0], [0.8, 0.8, 0.8]]])
    policy = make_policy("greedy", {"num_trials": 2, "pinned": None}, 3)
    run = Simulation(one, natural(one), policy, make_stop_rule(2, 1, 3, required=())).run()
    assert [chosen for *_, chosen in run.anytime] == [0, 1]


@pytest.mark.parametrize(
    ("others", "leaders"), [([0.8, 0.8, 0.8], [0, 1]), ([np.nan] * 3, [0, -1])]
)
def test_a_partial_leader_that_diverges_is_replaced(
    others: list[float], leaders: list[int]
) -> None:
    one = table([[[0.9, np.nan, 0.9], others], [[0.5, 0.5, 0.5], [0.6, 0.6, 0.6]]])
    policy = make_policy("greedy", {"num_trials": 2, "pinned": None}, 3)
    run = Simulation(one, natural(one), policy, make_stop_rule(2, 1, 3, required=())).run()
    assert [chosen for *_, chosen in run.anytime] == leaders
    assert run.chosen == leaders[-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_partition_without_a_finite_score_is_left_out(name: str) -> None:
    scores = noisy().scores.copy()
    scores[1] = np.nan
    one = table(scores)
    found = replay_seeds(one, arm(name), Cluster(), range(2))
    assert [math.isnan(each.regret) for each in found.outcomes] == [False, True]
    assert [math.isnan(each.hit) for each in found.outcomes] == [False, True]
    assert found.outcome.regret == found.outcomes[0].regret
    assert math.isnan(found.outcomes[0].regret_fresh)
    assert np.isnan(found.regrets[1]).all()
    (curve,) = anytime_info({name: (found.costs, [found.regrets])})
    assert curve.mean[-1] == pytest.approx(found.outcome.regret)
    assert anytime_info({name: (found.costs, [found.regrets[1:]])}) == ()


def test_who_scored_nothing_found_nothing() -> None:
    one = table([[[0.5, 0.6]], [[0.7, 0.8]]])
    cluster = Cluster(loss_rate=0.999)
    layout, run = replay(one, arm("standard"), cluster, 0)
    assert (run.chosen, run.anytime, run.num_folds) == (-1, [], 1.5)
    found = outcome(one, layout, run, cluster)
    assert (found.hit, found.regret, found.regret_fresh) == (0, 1, 1)
    (regrets,) = replay_seeds(one, arm("standard"), cluster, [0]).regrets
    assert np.isnan(regrets[0])
    assert regrets[-1] == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("workers", [1, 7, 200])
def test_every_policy_survives_losses_and_stragglers(name: str, workers: int) -> None:
    one = noisy()
    cluster = Cluster(num_workers=workers, loss_rate=0.2, straggler_rate=0.2)
    layout, run = replay(one, arm(name), cluster, 3)
    found = outcome(one, layout, run, cluster)
    assert 0 < found.cost < 2
    assert 0 <= found.idle <= 1
    assert run.chosen >= 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "scores",
    [
        np.ones((1, 6, 3)),  # all equal
        np.ones((1, 1, 3)),  # one trial
        np.arange(6.0).reshape(1, 6, 1),  # one fold
    ],
)
def test_every_policy_on_small_tables(name: str, scores: Any) -> None:
    one = table(scores)
    layout, run = replay(one, arm(name), Cluster(num_workers=3), 0)
    found = outcome(one, layout, run, Cluster(num_workers=3))
    assert (found.regret, found.hit) == (0.0, 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_scores_that_are_not_finite_count_as_worst(name: str) -> None:
    one = noisy()
    scores = one.scores.copy()
    scores[:, 3, 0], scores[:, 5, 2] = np.nan, np.inf
    layout, run = replay(dataclasses.replace(one, scores=scores), arm(name), Cluster(), 0)
    assert run.chosen not in (3, 5)
    odd = {
        (layout.order.index(3), layout.folds.index((0, 0))),
        (layout.order.index(5), layout.folds.index((0, 2))),
    }
    assert run.num_worst == len(odd & set(run.started))
    assert all(
        math.isfinite(value)
        for value in dataclasses.astuple(
            outcome(dataclasses.replace(one, scores=scores), layout, run, Cluster())
        )
    )


def test_missing_scores_are_refused_dropped_or_worst() -> None:
    one = noisy()
    scores = one.scores.copy()
    scores[0, 3, 1] = np.nan
    holed = dataclasses.replace(one, scores=scores)
    with pytest.raises(UsageError, match="1 of 30 configurations miss scores"):
        drop_missing(holed, "refuse")
    assert drop_missing(holed, "drop").num_trials == 29
    assert drop_missing(holed, "worst") is holed
    with pytest.raises(UsageError, match="every configuration misses a score"):
        drop_missing(table(np.full((1, 2, 2), np.nan)), "drop")


@pytest.mark.parametrize("pruner", ["bergman_aggressive", "bergman_forgiving", "paired_folds"])
def test_fold_pruners_save_folds_in_standard_order(pruner: str) -> None:
    settings = {"false_prune": 0.1, "min_folds": 1} if "pair" in pruner else {}
    one = noisy()
    plain, pruned = (
        replay(one, arm("standard", pruner=pruner_spec(name, given)), Cluster(), 0)[1]
        for name, given in (("none", {}), (pruner, settings))
    )
    assert pruned.num_folds < plain.num_folds == 120


def test_a_curve_pruner_goes_below_one_fold_each() -> None:
    one = noisy()
    epochs = np.linspace(0.5, 1.0, 10)
    one = dataclasses.replace(one, curves=one.scores[..., None] * epochs)
    settings = {"keep_share": 0.3, "n_startup_trials": 5, "n_warmup_steps": 1, "interval_steps": 2}
    pruned = arm("greedy:5", pruner=pruner_spec("same_epoch", settings))
    layout, run = replay(one, pruned, Cluster(), 0)
    found = outcome(one, layout, run, Cluster())
    assert found.cost_epochs < 1 / one.num_folds
    assert found.cost_epochs == pytest.approx(found.cost)
    assert found.regret < 0.2


@pytest.mark.parametrize(("num_folds", "most"), [(5, 3), (10, 2)])
def test_many_workers_do_not_all_race_to_be_the_first_complete_trial(
    num_folds: int, most: int
) -> None:
    one, given = noisy(num_trials=100, num_folds=num_folds), arm("default")
    policy = make_policy(given.policy, {"num_trials": 100, **given.settings}, num_folds)
    simulation = Simulation(
        one,
        replay_order(one, 0),
        policy,
        make_stop_rule(100, 1, num_folds),
        cluster=Cluster(num_workers=16),
        keep_events=True,
    )
    scores: Counter[int] = Counter()
    running: set[int] = set()
    seen = []
    for event in simulation.run().events:
        if isinstance(event, FoldStarted):
            running.add(event.trial)
            # The first five get a second fold unasked.
            leaders = [n for n in running if scores[n] >= 1 + (n < 5)]
            seen.append(len(leaders))
        elif isinstance(event, FoldFinished):
            running.discard(event.trial)
            scores[event.trial] += 1
            if scores[event.trial] == num_folds:
                break
    assert max(seen) == most


def test_seeds_shuffle_and_repeat() -> None:
    one = noisy()
    assert replay_order(one, 4) == replay_order(one, 4)
    assert replay_order(one, 4).order != replay_order(one, 6).order
    assert {replay_order(one, seed).partitions for seed in range(4)} == {(0,), (1,)}


def test_ours_on_a_real_table() -> None:
    one = load_table(TABLES / "sk_wine_svm_k5.npz").rows(np.arange(60))
    layout, run = replay(one, parse_arm("default"), Cluster(), 0)
    found = outcome(one, layout, run, Cluster())
    assert run.reason == "no fold promises a gain of 0.8 errors any more"
    assert found.cost < 0.5
    assert found.regret < 0.1


@pytest.mark.parametrize("policy", NAMES)
def test_a_live_sweep_replays_to_the_same_decisions(policy: str) -> None:
    space = toy_space(policy=policy, num_trials=12, num_completions=4, folds=3)
    storage = memory_storage()
    name = new_sweep(storage, space)
    ledger = Ledger(storage, name)
    ledger.acquire("test")
    driver = Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=3)
    assert driver.run()
    assert_replays(ledger, policy, 12)


def test_who_is_not_worth_a_first_fold_never_trains_and_the_rest_replays() -> None:
    space = toy_space(
        policy="expected_improvement, lookahead: 6, min_gain: 2",
        num_trials=30,
        num_completions=None,
    )
    storage = memory_storage()
    ledger = Ledger(storage, new_sweep(storage, space))
    ledger.acquire("test")
    driver = Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=3)
    assert driver.run()
    driver.controller.close("unused")
    rows = ledger.projection.trials
    assert len(rows) == 30
    assert all(one.state.is_final for one in rows)
    idle = [one for one in rows if not one.attempts]
    assert idle
    assert {one.state for one in idle} == {State.ABANDONED}
    assert_replays(ledger, "expected_improvement", 30, lookahead=6, min_gain=2)


def test_equal_settings_are_trained_once() -> None:
    values = np.repeat(np.linspace(0.1, 0.9, 20), 3)
    scores = values[None, :, None] + 0.01 * np.arange(4)[None, None]
    params = tuple({"x": float(value)} for value in values)
    one = Table(
        name="thrice", scores=scores, seconds=np.ones_like(scores), curves=None, params=params
    )
    layout, run = replay(one, parse_arm("default"), Cluster(), 0)
    begun = [params[layout.order[number]]["x"] for number, fold in run.started if fold == 0]
    assert len(begun) == len(set(begun))
    assert outcome(one, layout, run, Cluster()).hit == 1


@pytest.mark.parametrize("policy", NAMES)
def test_one_live_worker_and_the_simulator_agree(policy: str) -> None:
    space = toy_space(policy=policy, num_trials=12, num_completions=4, folds=3)
    storage = memory_storage()
    ledger = Ledger(storage, new_sweep(storage, space))
    ledger.acquire("test")
    driver = Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=1)
    assert driver.run()
    rows = ledger.projection.trials
    found = [[toy_fold(one.settings, fold) for fold in range(3)] for one in rows]
    one = dataclasses.replace(
        table([[[score for _, score in folds] for folds in found]]),
        curves=np.array([[[values for values, _ in folds] for folds in found]]),
        params=tuple(trial.parameters for trial in rows),
    )
    fresh = make_policy(policy, {"num_trials": 12}, 3)
    rule = make_stop_rule(12, 4, 3)
    # Trials that never entered are not in the ledger, so the table may be short of some.
    assert len(rows) == 12 or policy in ("standard", "intensify")
    if len(rows) == 12:
        run = Simulation(one, natural(one), fresh, rule).run()
        assert run.started == driver.started


def test_a_finished_sweep_is_a_table() -> None:
    space = toy_space(policy="standard", num_trials=5, num_completions=None, folds=2)
    storage = memory_storage()
    ledger = Ledger(storage, new_sweep(storage, space))
    with pytest.raises(UsageError, match="no trial is complete"):
        table_of("toy", ledger.projection)
    ledger.acquire("test")
    assert Driver(make_controller(ledger, space), ledger, toy_fold).run()
    one = table_of("toy", ledger.projection)
    assert one.scores.shape == (1, 5, 2)
    assert one.curves is not None
    assert one.curves.shape == (1, 5, 2, 3)
    assert parse_arm("default").policy == "expected_improvement"
    _, run = replay(one, parse_arm("default"), Cluster(), 0)
    assert run.chosen >= 0


def test_a_minimised_sweep_is_a_table_of_scores() -> None:
    made = projection(num_folds=1, maximize=False)
    start(made, add(made), 0)
    report(made, 0, 0, [2.0, 1.5])
    finish(made, 0, 0, -1.0)
    made.end(0, State.COMPLETE, None, "then")
    found = table_of("loss", made)
    assert found.curves is not None
    assert found.curves.tolist() == [[[[-2.0, -1.5]]]]
    assert found.scores.tolist() == [[[-1.0]]]


def test_the_command_prints_a_list(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paths = []
    for number in range(2):
        made = noisy(num_trials=20 + number)
        np.savez(tmp_path / f"{number}.npz", scores=made.scores, fit_s=made.seconds)
        paths.append(str(tmp_path / f"{number}.npz"))
    figure = tmp_path / "anytime.html"
    arguments = ["--policy", "default,greedy:3", "--seeds", "1", "--json", "--figure", str(figure)]
    code = main(["simulate", *paths, *arguments])
    assert code == 0
    rows = json.loads(capfd.readouterr().out)
    assert [(row["table"] == "mean", row["policy"]) for row in rows[:2]] == [
        (True, "default"),
        (True, "greedy:3"),
    ]
    assert len(rows) == 6
    assert set(rows[0]) == {
        "table", "policy", "cost", "cost_epochs", "cost_seconds", "regret", "regret_fresh",
        "hit", "makespan_seconds", "idle",
    }  # fmt: skip
    assert figure.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npz"], "no such table"),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "greedy:x"], "NAME or NAME:NUMBER"),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "gredy"], "did you mean"),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "{name: wav}"], "did you mean 'wave'"),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "{epochs: [2]}"], "expected {name: NAME"),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "{name: wave"], "not YAML"),
        (
            [str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "greedy,{name: wave, epochs: [3, 2]}"],
            "expected rising epochs",
        ),
        (
            [str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "{name: wave, num_trials: 3}"],
            "which is the table's",
        ),
        (
            [str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "{name: wave, epoch: [2]}"],
            "found an unknown key, did you mean 'epochs'?",
        ),
        (
            [str(TABLES / "sk_wine_svm_k5.npz"), "--policy", "{name: wave, min_gain: foo}"],
            "policy wave: min_gain: found 'foo'",
        ),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--sampler", "tbe"], "sampler: found 'tbe'"),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--pruner", "medan"], "did you mean 'median'"),
        (
            [str(TABLES / "sk_wine_svm_k5.npz"), "--pruner", "median", "--set", "x=1"],
            "x: found an unknown",
        ),
        ([str(TABLES / "sk_wine_svm_k5.npz"), "--pruner", "hyperband"], "max_resource: Field req"),
    ],
)
def test_bad_usage(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize("pruner", sorted({*PrunerSpec.known} - {"hyperband", "threshold"}))
def test_every_pruner_by_its_name_alone(pruner: str, capfd: pytest.CaptureFixture[str]) -> None:
    table = str(TABLES / "siim_unet_k5.npz")
    words = ["--policy", "greedy:3", "--pruner", pruner, "--seeds", "1", "--json"]
    assert main(["simulate", table, *words]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert 0 < row["cost_epochs"] <= 1
    assert row["hit"] in (0.0, 1.0)


def test_bad_files_and_clusters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no table")
    with pytest.raises(UsageError, match="cannot be read as a table"):
        load_table(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", other=np.ones(3))
    with pytest.raises(UsageError, match="expected one named scores"):
        load_table(tmp_path / "other.npz")
    np.savez(tmp_path / "flat.npz", scores=np.ones(3))
    with pytest.raises(UsageError, match=r"found shape \(3,\)"):
        load_table(tmp_path / "flat.npz")
    for changes, message in (
        ({"num_workers": 0}, "num_workers: found 0"),
        ({"loss_rate": 1.0}, "loss_rate: found 1.0"),
        ({"straggler_rate": 2.0}, "straggler_rate: found 2.0"),
        ({"straggler_factor": 0.5}, "straggler_factor: found 0.5"),
    ):
        with pytest.raises(UsageError, match=message):
            Cluster(**changes)  # type: ignore[arg-type]
