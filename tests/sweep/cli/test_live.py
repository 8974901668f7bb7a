"""What a driver shows while it works."""

from __future__ import annotations

import dataclasses
import io
import math

import pytest
from rich.console import Console
from synthetic_sweeps import SPACE, projection_of

from sweep.analysis.progress import MeanDice, listing, make_overview
from sweep.cli.live import NUM_ROWS, line, table, watching
from sweep.ledger import Ledger
from sweep.ledger.projection import DRIVER_STOPPED, Projection
from sweep.records import State
from sweep.util.words import duration


def test_overview_counts_and_estimates(ledger: Ledger) -> None:
    now = make_overview(ledger.projection)
    assert now.num_trials == 3
    assert now.num_wanted == 4
    assert now.states == {"running": 1, "parked": 1, "complete": 1}
    assert now.num_folds_run == 3
    # One more completion is wanted, the parked trial lacks one fold; the running one and the
    # one still to come get their first.
    assert now.num_folds_expected == 3 + 1 + 1 + 1
    assert now.standing.winner is None
    assert now.standing.leader == 1
    assert now.standing.mean == pytest.approx(0.8)
    assert now.dice == MeanDice(value=0.9, threshold="fixed threshold 0.5", baseline=0.78)
    assert now.seconds_left == pytest.approx(3 * 31.0 / 3)


def test_line(ledger: Ledger) -> None:
    assert line(make_overview(ledger.projection)) == (
        "trials 3/4, folds 3/~6, no winner yet: #1 leads the default by +0.300 on the 1 fold both "
        "have, Dice of #1 0.900 (fixed threshold 0.5; predicting nothing 0.780), 0.00 CPU h spent, "
        "about 0.01 to go, about 31 s left (3 folds of 10 s, 1 at once)"
    )


def test_a_complete_trial_shows_the_dice_that_would_be_deployed() -> None:
    """With the threshold from the other folds; one with fewer folds has none but its own."""
    made = projection_of([[0.5, 0.6, 0.7], [0.4]], metrics={"dice": 0.75, "dice_all_empty": 0.78})
    made.header = dataclasses.replace(made.header, space_text=SPACE)
    said = line(make_overview(made))
    assert "Dice of #0 0.750 (fixed threshold 0.5; no better than predicting nothing 0.780)" in said
    points = [{"dice": value, "dice_all_empty": 0.78} for value in (0.87, 0.88, 0.89)]
    made.note(0, "operating_point", {"folds": points})
    said = line(make_overview(made))
    assert "Dice of #0 0.880 (threshold from the other folds; predicting nothing 0.780)" in said
    rows = [row.split("│") for row in printed(made).splitlines() if row.startswith("│")]
    cells = {row[1].strip(): [cell.strip() for cell in row[6:9]] for row in rows}
    assert cells["0"] == ["0.880", "from the other folds", "0.780"]
    assert cells["1"] == ["0.750", "fixed 0.5", "0.780"]


def test_cost_is_of_all_tries_times_what_a_trial_takes(ledger: Ledger) -> None:
    made = ledger.projection
    made.trials = made.trials[:2]
    for start, attempt in enumerate(made.trials[0].log + made.trials[1].log):
        attempt.started_at = f"2026-01-0{1 + start}T00:00:00+00:00"
        attempt.ended_at = f"2026-01-0{1 + start}T10:00:00+00:00"
    for resources, said in (
        ({}, "30 CPU h spent"),
        ({"cpus": 4, "gpus": 0}, "120 CPU h spent"),
        ({"cpus": 4, "gpus": 0.5}, "15 GPU h spent"),
    ):
        made.resources = resources
        assert said in line(make_overview(made))
    made.resources = {"cpus": 4, "gpus": 0.5, "price_per_gpu_hour": 2.5}
    assert "15 GPU h spent (37.50)" in line(make_overview(made))
    made.resources = {**made.resources, "max_cost": 1200.0}
    assert "15 GPU h spent (37.50 of 1,200.00)" in line(make_overview(made))
    # A driver that died, and the next one that came the day after: the try has no epoch.
    last = made.trials[1].log[-1]
    last.outcome, last.reason = "lost", DRIVER_STOPPED
    assert "10 GPU h spent" in line(make_overview(made))


def test_a_narrow_table_has_no_column_that_is_cut(ledger: Ledger) -> None:
    stream = io.StringIO()
    Console(width=80, file=stream).print(table("small", ledger.projection, 80))
    shown = stream.getvalue()
    assert "…" not in shown
    assert "fold 0 epoch 1" in shown
    assert "predicting nothing scores 0.780" in " ".join(shown.split())


def test_a_policy_that_ends_by_itself_has_a_bound_and_no_time(ledger: Ledger) -> None:
    now = dataclasses.replace(make_overview(ledger.projection), is_bound=True, seconds_left=None)
    assert "folds 3/at most 6, no winner" in line(now)
    assert not line(now).endswith("left")
    assert not line(dataclasses.replace(now, is_bound=False, seconds_left=0.0)).endswith("left")


def test_table_has_a_row_for_each_trial(ledger: Ledger) -> None:
    stream = io.StringIO()
    Console(width=120, file=stream).print(table("small", ledger.projection))
    shown = stream.getvalue()
    assert "small (phantom)" in shown
    assert "running fold 0 epoch 1" in shown
    assert "parked" in shown


def test_order_of_the_table() -> None:
    """Running, complete by mean, parked by what they are ahead of the default where both have
    folds; of the others the number is enough."""
    made = projection_of(
        [[0.50, 0.60, 0.70], [0.9], [0.52, 0.62, 0.72], [0.8], [0.45], [0.49], [0.49, 0.7], []],
        ends={1: State.PRUNED, 3: State.FAILED},
    )
    made.start(4, 1, 1, "now")
    assert [(one.number, round(ahead, 3)) for one, ahead in listing(made)[:-1]] == [
        *((4, -0.05), (2, 0.02), (0, 0.0), (6, 0.045), (5, -0.01)),
    ]
    number, ahead = listing(made)[-1]
    assert (number.number, math.isnan(ahead)) == (7, True)
    made.header = dataclasses.replace(made.header, space_text=SPACE)
    shown = printed(made)
    assert "1 pruned, 1 failed" in shown
    assert "0.900" not in shown  # the fold of a pruned trial that was an easy one


def test_the_leader_is_always_in_the_table() -> None:
    scores = [[0.5] * 3, *([0.49 - n / 1000] * 3 for n in range(NUM_ROWS)), [0.6]]
    made = projection_of(scores)
    made.header = dataclasses.replace(made.header, space_text=SPACE)
    assert "#13 leads the default by +0.100 on the 1 fold" in line(make_overview(made))
    shown = printed(made)
    assert "│    13 │ parked" in shown
    assert "2 more" in shown


def test_a_value_that_is_not_finite_ranks_last() -> None:
    made = projection_of([[0.5, 0.6], [math.nan], [0.4]])
    assert [one.number for one, _ in listing(made)] == [0, 2, 1]


def printed(projection: Projection) -> str:
    stream = io.StringIO()
    Console(width=150, file=stream).print(table("synthetic", projection))
    return stream.getvalue()


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
