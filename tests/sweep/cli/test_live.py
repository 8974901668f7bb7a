"""What a driver shows while it works."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from sweep.cli.live import duration, line, table, watching
from sweep.ledger import Ledger
from sweep.progress import overview


def test_overview_counts_and_estimates(ledger: Ledger) -> None:
    now = overview(ledger.projection)
    assert now.num_candidates == 3
    assert now.num_wanted == 4
    assert now.states == {"running": 1, "parked": 1, "complete": 1}
    assert now.num_folds_run == 3
    # One more completion is wanted, the parked candidate lacks one fold; the running one and the
    # one still to come get their first.
    assert now.num_folds_expected == 3 + 1 + 1 + 1
    assert now.leader == 0
    assert now.score == pytest.approx(0.6)
    assert now.is_complete
    assert now.dice == pytest.approx(0.9)
    assert now.baseline == pytest.approx(0.78)
    assert now.seconds_left == pytest.approx(3 * 31.0 / 3)


def test_line(ledger: Ledger) -> None:
    assert line(overview(ledger.projection)) == (
        "trials 3/4, folds 3/~6, best #0 0.600, Dice 0.900 (predicting nothing 0.780), "
        "about 31 s left"
    )


def test_a_policy_that_ends_by_itself_has_a_bound_and_no_time(ledger: Ledger) -> None:
    now = dataclasses.replace(overview(ledger.projection), is_bound=True, seconds_left=None)
    assert "folds 3/at most 6, best" in line(now)
    assert not line(now).endswith("left")


def test_table_has_a_row_for_each_candidate(ledger: Ledger) -> None:
    stream = io.StringIO()
    Console(width=120, file=stream).print(table("small", ledger.projection))
    shown = stream.getvalue()
    assert "small (phantom)" in shown
    assert "running fold 0 epoch 1" in shown
    assert "parked" in shown


def test_without_a_terminal_each_change_is_a_line(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    with watching("small") as on_progress:
        on_progress(ledger.projection)
        on_progress(ledger.projection)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("small: trials 3/4")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (12000, "3 h 20 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
