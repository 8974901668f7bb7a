"""Who leads, by how much and how sure: once, for every view."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from null_sweeps import null_sweep
from synthetic_sweeps import Story, projection_of, run_sweep

from dashboards.findings import find
from sweep.cli import main
from sweep.ledger import Ledger
from sweep.mlflow_view._content import winner_metrics
from sweep.records import State
from sweep.standing import Outcome, compare_folds, num_compared, sentence, standing
from sweep.statistics import paired_difference


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ledger(home: Path) -> Iterator[Ledger]:
    """Forty trials of which the best was chosen, one diverged, many stopped or left."""
    ledger = run_sweep(
        f"sqlite:///{home / 'ledger.db'}", num_trials=40, num_completions=10, seed=3,
        story=Story(diverges=frozenset({4})),
    )  # fmt: skip
    yield ledger
    ledger.close()


def said(capfd: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main([*words, "--json"]) == 0
    found: dict[str, object] = json.loads(capfd.readouterr().out)
    return found


class TestOneVerdict:
    def test_every_view_has_the_same_numbers(
        self, ledger: Ledger, home: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        projection = ledger.projection
        found = standing(projection)
        assert found.winner
        assert found.difference is not None
        parts = ("mean", "low", "high", "p_value")
        expected = {part: pytest.approx(getattr(found.difference, part)) for part in parts}

        row = find(projection).objective
        assert row is not None
        assert {part: getattr(row.difference, part) for part in parts} == expected

        where = ("synthetic", "--home", str(home))
        compared = said(capfd, "compare", *where, "--metric", "average_precision")
        trials = compared["comparisons"][0]["trials"]  # type: ignore[index]
        (own,) = [one for one in trials if one["number"] == found.winner]
        assert {part: own["difference"][part] for part in parts} == expected
        assert own["p_adjusted"] == expected["p_value"]

        shown = said(capfd, "show", *where)["standing"]
        assert {part: shown["difference"][part] for part in parts} == expected  # type: ignore[index]

        sent = {metric.key: metric.value for metric in winner_metrics(projection)}
        assert {part: sent[f"difference/{part}/objective"] for part in parts} == expected

    def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_0(
        self, ledger: Ledger, home: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        found = said(capfd, "compare", "synthetic", "--home", str(home))
        for comparison in found["comparisons"]:  # type: ignore[attr-defined]
            for one in comparison["trials"][1:]:
                low, high = one["difference"]["low"], one["difference"]["high"]
                assert (low > 0 or high < 0) == (one["p_adjusted"] < 0.05)


@pytest.mark.parametrize("size", [8, 40])
def test_equal_trials_are_rarely_called_better(size: int) -> None:
    """The whole table, 200 trials included, is `tests/benchmarks/bench_selection.py`."""
    rng = np.random.default_rng(size)
    sweeps = [null_sweep(size, rng) for _ in range(200)]
    claims = sum(standing(one).outcome is Outcome.BETTER for one in sweeps)
    assert claims / len(sweeps) <= 0.025
    single = 0
    for one in sweeps:
        best, default = one.best(), one.candidates[0]
        assert best is not None
        if default.state is State.COMPLETE:
            values = [{f: s.score for f, s in each.folds.items()} for each in (best, default)]
            raw = compare_folds(*values, num_compared=1)
            single += raw is not None and raw.low > 0
    assert single / len(sweeps) > 0.04  # tested as if it were the only one


def test_everybody_with_a_value_was_looked_at() -> None:
    projection = projection_of([[0.5] * 3, [0.6] * 3, [0.9], []], ends={2: State.PRUNED})
    assert num_compared(projection) == 2
    projection.start(3, 0, 1, "now")
    assert num_compared(projection) == 2  # has shown nothing yet
    projection.candidates[3].epochs[0] = {1: 0.4}
    assert num_compared(projection) == 3
    assert num_compared(projection, reference=1) == 6  # any of 4 may have been the reference
    assert num_compared(projection_of([[0.5] * 3])) == 1
    assert num_compared(projection_of([])) == 1


def test_a_clear_gain_is_called_so() -> None:
    default, better = [0.50, 0.40, 0.60, 0.45, 0.55], [0.60, 0.51, 0.70, 0.56, 0.65]
    projection = projection_of([default, better, [0.3] * 5], num_folds=5)
    projection.sweep_state = "finished"
    found = standing(projection)
    assert (found.winner, found.outcome) == (1, Outcome.BETTER)
    assert found.difference == paired_difference(better, default, num_compared=2)
    assert "corrected for 2 trials): better than the default" in sentence(found)
