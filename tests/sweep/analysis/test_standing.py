"""The leader, by how much and how sure: once, for every view."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from null_sweeps import null_sweep
from synthetic_sweeps import Story, projection_of, run_sweep

from dashboards.report.findings import find
from dashboards.report.page import write_report
from sweep.analysis.standing import Outcome, compare_folds, num_compared, standing
from sweep.analysis.statistics import paired_difference
from sweep.analysis.verdict import verdict
from sweep.cli import main
from sweep.ledger import Ledger
from sweep.mlflow.view._content import progress_tags, winner_tags
from sweep.mlflow.view._metrics import winner_metrics
from sweep.records import State, SweepState


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


@pytest.fixture(scope="module")
def open_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("open")


@pytest.fixture(scope="module")
def opened(open_home: Path) -> Iterator[Ledger]:
    """The default is complete and dozens are parked, some of them ahead of it."""
    ledger = run_sweep(
        f"sqlite:///{open_home / 'ledger.db'}", num_trials=40, num_completions=10,
        story=Story(stop_after=45, diverges=frozenset({4, 9})),
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

        dice = find(projection).row("dice")  # and so of a metric that is not the objective
        compared = said(capfd, "compare", *where, "--metric", "dice")
        trials = compared["comparisons"][0]["trials"]  # type: ignore[index]
        (own,) = [one for one in trials if one["number"] == found.winner]
        assert dice is not None
        assert dice.difference is not None
        assert own["difference"]["low"] == pytest.approx(dice.difference.low)
        assert own["difference"]["p_value"] == pytest.approx(dice.difference.p_value)

        shown = said(capfd, "show", *where)["standing"]
        assert {part: shown["difference"][part] for part in parts} == expected  # type: ignore[index]

        sent = {metric.key: metric.value for metric in winner_metrics(projection)}
        names = ("score_vs_default", "vs_default_low", "vs_default_high", "vs_default_p")
        assert [sent[name] for name in names] == [
            expected[part] for part in ("mean", "low", "high", "p_value")
        ]

    def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_0(
        self, ledger: Ledger, home: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        found = said(capfd, "compare", "synthetic", "--home", str(home))
        for comparison in found["comparisons"]:  # type: ignore[attr-defined]
            for one in comparison["trials"][1:]:
                low, high = one["difference"]["low"], one["difference"]["high"]
                assert (low > 0 or high < 0) == (one["p_adjusted"] < 0.05)


class TestOpenSweep:
    """One trial is complete, the default, and others are ahead of it on the folds they have."""

    def test_nobody_has_won_and_who_leads_is_said_with_its_folds(self, opened: Ledger) -> None:
        projection = opened.projection
        found, text = standing(projection), verdict(projection).text
        assert projection.best() is projection.trials[0]  # what used to be called the winner
        assert (found.outcome, found.winner) == (Outcome.OPEN, None)
        assert found.leader
        leader = projection.trials[found.leader]
        shared = sorted(set(leader.folds) & set(projection.trials[0].folds))
        assert found.shared_folds == tuple(shared)
        lead = np.mean(
            [leader.folds[f].score - projection.trials[0].folds[f].score for f in shared]
        )
        assert lead > 0
        assert text.startswith(
            f"No winner yet: {found.num_open['parked']} trials are parked; #{found.leader} leads "
            f"the default by {lead:+.3f} on the {len(shared)} folds both have "
            f"({', '.join(map(str, shared))})"
        )

    def test_no_view_has_a_winner(
        self,
        opened: Ledger,
        open_home: Path,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        said_here = verdict(opened.projection)
        text = said_here.text
        home = str(open_home)
        shown = said(capfd, "show", "synthetic", "--home", home)
        assert (shown["best"], shown["verdict"]) == (None, text)
        (listed,) = said(capfd, "list", "--home", home)["sweeps"]  # type: ignore[misc]
        assert (listed["best"], listed["verdict"]) == (None, text)
        for command in ("show", "list"):
            words = [command, "synthetic"] if command == "show" else [command]
            assert main([*words, "--home", home]) == 0
            printed = capfd.readouterr().out.lower()
            assert "no winner yet" in printed
            assert "winner" not in printed.replace("no winner yet", "")
        page = write_report(opened, tmp_path / "report.html").read_text(encoding="utf-8")
        body = re.sub(r"<(script|style).*?</\1>|<pre>.*?</pre>", "", page, flags=re.DOTALL)
        assert all(part in html.unescape(body) for part in said_here.sentences)
        assert "winner" not in body.lower().replace("no winner yet", "")
        assert 'class="tile"' not in body
        assert winner_metrics(opened.projection) == []
        assert winner_tags(opened.projection)["ptxsweep.winner"] == "none yet"
        assert (
            progress_tags(opened.projection, verdict(opened.projection))["ptxsweep.standing"]
            == text
        )

    def test_lower_is_better_is_said(self) -> None:
        made = projection_of([[0.5] * 3, [0.4] * 2], maximize=False, metric="loss")
        assert standing(made).leader == 1
        assert "by -0.100 (lower is better) on the 2 folds" in verdict(made).text

    def test_without_the_defaults_folds_there_is_a_lead_and_no_difference(self) -> None:
        projection = projection_of([[], [0.4], [0.6]])
        assert verdict(projection).text == (
            "No winner yet: 3 trials are parked; #2 leads on 1 fold, none of which the default has."
        )

    def test_values_that_are_not_finite_lead_nobody(self) -> None:
        made = projection_of([[0.5, 0.5], [math.nan], [0.4]])
        found = standing(made)
        assert (found.leader, found.num_ahead) == (0, 0)
        assert verdict(made).text.endswith("the default leads.")

    def test_a_lead_on_fewer_folds_is_said_and_leads_not(self) -> None:
        made = projection_of([[0.5] * 3, [0.51] * 3, [0.9]])
        found = standing(made)
        assert (found.leader, found.num_ahead) == (1, 1)
        assert "1 open trial is ahead of it where both have folds" in verdict(made).text


@pytest.mark.parametrize("size", [8, 40])
def test_equal_trials_are_rarely_called_better(size: int) -> None:
    """The whole table, 200 trials included, is `tests/benchmarks/evidence_selection.py`."""
    rng = np.random.default_rng(size)
    sweeps = [null_sweep(size, rng) for _ in range(200)]
    claims = sum(standing(one).outcome is Outcome.BETTER for one in sweeps)
    assert claims / len(sweeps) <= 0.025
    single = 0
    for one in sweeps:
        best, default = one.best(), one.trials[0]
        assert best is not None
        if default.state is State.COMPLETE:
            values = [{f: s.score for f, s in each.folds.items()} for each in (best, default)]
            raw = compare_folds(*values, test_train_ratio=0.25, num_compared=1)
            single += raw is not None and raw.low > 0
    assert single / len(sweeps) > 0.04  # tested as if it were the only one


def test_everybody_with_a_value_was_looked_at() -> None:
    projection = projection_of([[0.5] * 3, [0.6] * 3, [0.9], []], ends={2: State.PRUNED})
    assert num_compared(projection) == 2
    projection.start(3, 0, 1, "now")
    assert num_compared(projection) == 2  # has shown nothing yet
    projection.trials[3].epochs[0] = {1: 0.4}
    assert num_compared(projection) == 3
    assert num_compared(projection, reference=1) == 6  # any of 4 may have been the reference
    assert num_compared(projection_of([[0.5] * 3])) == 1
    assert num_compared(projection_of([])) == 1


def test_no_trial_without_a_number_wins() -> None:
    """The gate and the views choose the winner by one function."""
    for scores in ([[math.nan, 0.9], [0.5, 0.6]], [[0.5, 0.6], [0.9, math.nan]]):
        made = projection_of(scores, num_folds=2)
        best = made.best()
        assert best is not None
        assert best.number == standing(made).winner == int(math.isnan(scores[0][0]))


def test_a_clear_gain_is_called_so() -> None:
    default, better = [0.50, 0.40, 0.60, 0.45, 0.55], [0.60, 0.51, 0.70, 0.56, 0.65]
    projection = projection_of([default, better, [0.3] * 5], num_folds=5)
    projection.sweep_state = SweepState.FINISHED
    found = standing(projection)
    assert (found.winner, found.outcome) == (1, Outcome.BETTER)
    assert found.difference == paired_difference(better, default, num_compared=2)
    assert "corrected for 2 trials): better than the default" in verdict(projection).text
