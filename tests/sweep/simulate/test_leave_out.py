"""A figure over tables in which no policy was chosen by the table that judges it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sweep.cli import main
from sweep.errors import UsageError
from sweep.simulate import (
    COSTS,
    Cluster,
    Outcome,
    ReplayResult,
    Table,
    leave_one_out,
    parse_arm,
    replay,
    replay_seeds,
    save_table,
)


def result(cost: float, regret: float) -> ReplayResult:
    one = Outcome(
        cost=cost,
        cost_epochs=cost,
        cost_seconds=cost,
        regret=regret,
        regret_fresh=regret,
        hit=0,
        makespan_seconds=0,
        idle=0,
    )
    empty = np.empty((1, len(COSTS)))
    return ReplayResult(
        outcome=one, outcomes=(one,), costs=COSTS, regrets=empty, epoch_regrets=empty
    )


def test_each_table_has_the_policy_that_the_others_would_take() -> None:
    # The cheap one is bad on the last table alone, so that only this table is fooled by the others.
    cheap = [result(0.1, 0.0), result(0.1, 0.0), result(0.1, 0.5)]
    dear = [result(0.3, 0.01), result(0.3, 0.01), result(0.3, 0.01)]
    assert leave_one_out([cheap, dear]) == [1, 1, 0]
    assert leave_one_out([cheap, dear], max_regret=0.3) == [0, 0, 0]
    assert leave_one_out([cheap, dear], max_regret=0.0) == [1, 1, 0]  # none is good enough
    # On the others of the last table the reference has no regret, as the cheap one has none there;
    # on those of the first two it has 0.3. Its mean over all three, 0.2, would refuse the cheap one
    # (0.25) for the first two.
    reference = [result(1, 0.0), result(1, 0.0), result(1, 0.6)]
    assert leave_one_out([cheap, dear], no_worse_than=reference) == [0, 0, 0]
    reference = [result(1, 0.3), result(1, 0.3), result(1, 0.3)]
    assert leave_one_out([cheap, dear], no_worse_than=reference) == [0, 0, 0]
    with pytest.raises(UsageError, match="found 1 table"):
        leave_one_out([cheap[:1], dear[:1]])


def curved(name: str, seed: int) -> Table:
    generator = np.random.default_rng(seed)
    scores = generator.normal(0.8, 0.05, (1, 8, 1)) + generator.normal(0, 0.01, (1, 8, 3))
    curves = scores[..., None] * np.linspace(0.5, 1, 6)
    curves[0, :, 0, 3:] = np.nan  # one fold has half the epochs
    params = tuple({"x": row / 8} for row in range(8))
    return Table(
        name=name, scores=scores, seconds=np.ones_like(scores), curves=curves, params=params
    )


def test_regret_is_told_at_shares_of_the_folds_and_of_the_epochs() -> None:
    table, arm = curved("one", 0), parse_arm("standard")
    layout, run = replay(table, arm, Cluster(), 0)
    found = replay_seeds(table, arm, Cluster(), [0])
    folds, epochs, _ = run.anytime[0]  # the first fold of the first trial
    first = layout.folds[0][1]
    assert (folds, epochs) == (1, 3 if first == 0 else 6)
    for regrets, share in ((found.regrets, 1 / 24), (found.epoch_regrets, epochs / (8 * 15))):
        known = ~np.isnan(regrets[0])
        np.testing.assert_array_equal(known, share <= COSTS)
        assert regrets[0, -1] == 0


def test_the_command_leaves_one_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths = []
    for seed in range(3):
        paths.append(str(tmp_path / f"{seed}.npz"))
        save_table(curved(str(seed), seed), Path(paths[-1]))
    figure = tmp_path / "figure.html"
    words = ["--policy", "greedy:1,standard", "--seeds", "2", "--leave-one-out", "--json"]
    drawn = ["--figure", str(figure), "--over", "epochs"]
    assert main(["simulate", *paths, *words, *drawn]) == 0
    rows = json.loads(capfd.readouterr().out)
    by_policy = {row["policy"]: row for row in rows if row["table"] == "mean"}
    chosen = by_policy["leave-one-out"]
    assert by_policy["greedy:1"]["cost_epochs"] <= chosen["cost_epochs"] <= 1
    assert "share of all epochs" in figure.read_text(encoding="utf-8")
    assert main(["simulate", paths[0], *words]) == 2
