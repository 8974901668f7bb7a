"""`list` and `show` tell what a ledger holds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from synthetic_sweeps import projection_of, stamp

from sweep.analysis.summary import baseline_warning, summarise, summarise_trial
from sweep.cli import main
from sweep.cli.show import print_sweep
from sweep.ledger import Ledger
from sweep.ledger.projection import DRIVER_STOPPED
from sweep.records import Epoch, State, SweepState
from sweep.storage.home import Home


@pytest.mark.usefixtures("ledger")
def test_show_json_gives_every_trial(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "small", "--home", str(home.folder), "--json"]) == 0
    sweep = json.loads(capfd.readouterr().out)
    assert sweep["name"] == "small"
    assert sweep["phantom"] is True
    assert sweep["best"] is None  # two trials may still win
    assert sweep["standing"]["leader"] == 1
    assert sweep["standing"]["difference"]["mean"] == pytest.approx(0.3)
    assert sweep["standing"]["shared_folds"] == [0]
    assert sweep["verdict"].startswith("No winner yet: 1 trial is running and 1 parked; #1 leads")
    assert sweep["num_folds_run"] == 3
    first, second, third = sweep["trials"]
    assert [one["state"] for one in sweep["trials"]] == ["complete", "parked", "running"]
    assert first["fold_scores"] == [0.5, 0.7]
    assert first["fold_seconds"] == [10.0, 11.0]
    assert first["mean"] == pytest.approx(0.6)
    assert first["settings"]["learning_rate"] == 0.001
    assert first["metrics"]["dice"]["mean"] == pytest.approx(0.9)
    assert sweep["better"]["dice"] == "higher"
    assert "dice_all_empty" not in sweep["better"]
    assert "both empty = 1" in sweep["conventions"]["dice"]
    assert set(first["metrics"]) <= set(sweep["conventions"])
    assert second["fold_scores"] == [0.8, None]
    assert third["mean"] is None


@pytest.fixture
def finished(ledger: Ledger) -> Ledger:
    """The same, its open trials abandoned."""
    ledger.acquire(owner="test")
    for one in list(ledger.projection.open_trials()):
        ledger.end(one.number, State.ABANDONED, "enough")
    ledger.set_sweep_state(SweepState.FINISHED, "enough")
    ledger.release()
    return ledger


@pytest.mark.usefixtures("ledger")
def test_show_text_of_an_open_sweep(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "small", "--home", str(home.folder)]) == 0
    shown = capfd.readouterr().out
    assert "No winner yet: 1 trial is running and 1 parked; #1 leads the default by +0.300" in shown
    assert "winner:" not in shown
    assert "running; 3 folds run, a full grid takes 6" in shown
    assert " *" not in shown
    assert main(["list", "--home", str(home.folder)]) == 0
    assert "no winner yet: #1 leads the default by +0.300" in capfd.readouterr().out


@pytest.mark.usefixtures("finished")
def test_show_text_names_winner_and_baseline(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "small", "--home", str(home.folder)]) == 0
    shown = capfd.readouterr().out
    assert "small (phantom)" in shown
    assert "winner: trial 0" in shown
    assert "The default settings won" in shown
    assert "predicting nothing   0.7800 (dice, both empty = 1)" in shown
    assert main(["show", "small", "--home", str(home.folder), "--json"]) == 0
    sweep = json.loads(capfd.readouterr().out)
    assert (sweep["best"], sweep["standing"]["winner"]) == (0, 0)
    assert sweep["baseline"] == pytest.approx(0.78)
    assert main(["list", "--home", str(home.folder)]) == 0
    head, row = capfd.readouterr().out.splitlines()
    assert head.split()[:4] == ["sweep", "state", "trials", "folds"]
    assert row.split()[:4] == ["small", "finished", "3", "3"]
    assert "winner #0 average_precision 0.600, the default" in row


@pytest.mark.usefixtures("finished")
def test_a_mean_of_fewer_folds_does_not_look_like_one_of_all(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    """Trial 1 has 0.8 on its one fold, more than the winner on both."""
    assert main(["show", "small", "--home", str(home.folder)]) == 0
    shown = capfd.readouterr().out
    assert "│ 0.6000 " in shown
    assert "│ (0.8000) " in shown
    assert "in brackets: means of fewer than 2 folds, which cannot win" in shown


def test_a_winner_no_better_than_nothing_is_warned_of() -> None:
    metrics = {"dice": {"mean": 0.78, "sd": 0.0}, "dice_all_empty": {"mean": 0.78, "sd": 0.0}}
    assert baseline_warning(metrics) == (
        "the winner does not beat predicting nothing: Dice 0.7800 against 0.7800 (both empty = 1, "
        "at the threshold of its settings)"
    )
    metrics["dice"]["mean"] = 0.7801
    assert baseline_warning(metrics) is None
    assert baseline_warning({}) is None


def test_show_prints_the_warning(
    home: Home, ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    summary = summarise(ledger)
    assert summary.warning is None
    print_sweep(replace(summary, warning="it does not beat predicting nothing"))
    assert "warning: it does not beat predicting nothing" in capfd.readouterr().err


def test_seconds_and_epochs_of_an_unfinished_fold_count() -> None:
    """Of three tries: one that was lost, one whose end nobody saw, one that was pruned."""
    projection = projection_of([[0.5, 0.6, 0.7], [0.4]])
    for attempt, minute in ((1, 10), (2, 20), (3, 30)):
        projection.start(1, 1, attempt, stamp(minute))
        if attempt < 3:
            reason = "the worker died" if attempt == 1 else DRIVER_STOPPED
            projection.lose(1, 1, stamp(minute + 1.5 * attempt), reason)
    for epoch in (1, 2):
        projection.epoch(Epoch(trial=1, fold=1, attempt=3, epoch=epoch, value=0.1, seconds=1.0))
    projection.end(1, State.PRUNED, "pruned in fold 1, epoch 2", stamp(32))
    one = summarise_trial(projection.trials[1], projection)
    assert one.fold_seconds == [60.0, None, None]
    assert one.seconds == 60.0 + 90.0 + 120.0
    assert one.num_epochs == 2 + 2


@pytest.mark.usefixtures("ledger")
def test_show_of_an_unknown_sweep_names_the_known_ones(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "large", "--home", str(home.folder), "--json"]) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "small" in shown.err


def test_list_json(home: Home, ledger: Ledger, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--home", str(home.folder), "--json"]) == 0
    (one,) = json.loads(capfd.readouterr().out)["sweeps"]
    assert one["name"] == ledger.name
    assert one["state"] == "running"
    assert one["num_trials"] == 3
    assert one["best"] is None
    assert one["standing"]["leader"] == 1
