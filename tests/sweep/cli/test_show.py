"""`list` and `show` tell what a ledger holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic_sweeps import Story, projection_of, run_sweep, stamp

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
    assert "complete      0.6000  0.500 0.700" in shown
    assert "abandoned   (0.8000)  0.800 -" in shown
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


def test_list_and_show_say_what_was_spent_where_prices_are_known(
    home: Home, ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    def said(command: str, *words: str) -> str:
        assert main([command, *words, "--home", str(home.folder)]) == 0
        return capfd.readouterr().out

    def listed() -> dict[str, Any]:
        (one,) = json.loads(said("list", "--json"))["sweeps"]
        return dict(one["cost"])

    assert listed()["price"] is None
    assert "cost" not in said("list") + said("show", "small")
    ledger.acquire("driver")
    ledger.note_resources({"cpus": 2, "gpus": 0.0, "price_per_cpu_hour": 1e6, "max_cost": 1e9})
    found = listed()
    assert found["unit"] == "CPU"
    assert found["price"] == pytest.approx(1e6 * found["hours"], rel=0.2)  # one fold still runs
    assert found["max_cost"] == 1e9
    assert " of 1,000,000,000.00" in said("list")
    assert "CPU hours of trials" in said("show", "small")
    ledger.note_resources({"cpus": 2, "gpus": 0.0})  # the next driver: the prices stay
    assert listed()["price"] > 0
    assert listed()["max_cost"] is None
    ledger.release()


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a sweep of forty trials, most of them pruned."""
    folder = tmp_path_factory.mktemp("home")
    story = Story(diverges=frozenset({3}))
    run_sweep(
        f"sqlite:///{folder / 'ledger.db'}", "done", num_trials=40, num_completions=6, story=story
    ).close()
    return folder


def shown(
    forty: Path, capfd: pytest.CaptureFixture[str], *words: str, name: str = "done"
) -> list[str]:
    """The rows of `show`, without what stands above and below them."""
    assert main(["show", name, "--home", str(forty), *words]) == 0
    lines = capfd.readouterr().out.splitlines()
    return [line for line in lines if line[:6].strip(" *").isdecimal()]


def test_show_begins_with_the_best_and_fits_a_screen(
    forty: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    rows = shown(forty, capfd)
    assert len(rows) == 20
    assert " * " in rows[0]
    scores = [float(row[27:43].split()[-1]) for row in rows if "complete" in row]
    assert scores == sorted(scores, reverse=True)
    states = ["complete" in row for row in rows]
    assert states == sorted(states, reverse=True)  # partial means below, however high
    assert any("pruned in fold" in row for row in rows)
    everything = shown(forty, capfd, "--all")
    assert (everything[:20], len(everything)) == (rows, 40)


def test_show_takes_an_order_and_states(forty: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (row,) = shown(forty, capfd, "--state", "failed")
    assert "failed: objective is NaN" in row
    assert shown(forty, capfd, "--sort", "number")[0].split()[0] == "0"
    words = ["show", "done", "--home", str(forty), "--json"]
    assert main([*words, "--sort", "seconds", "--state", "pruned"]) == 0
    seconds = [trial["seconds"] for trial in json.loads(capfd.readouterr().out)["trials"]]
    assert seconds == sorted(seconds, reverse=True)
    assert min(seconds) > 0  # also those stopped in their first fold
    assert main(words) == 0
    numbers = [trial["number"] for trial in json.loads(capfd.readouterr().out)["trials"]]
    assert numbers == list(range(40))
    assert main([*words, "--state", "lost"]) == 2
    assert "--state: found 'lost', expected one of running," in capfd.readouterr().err


@pytest.mark.parametrize("columns", [70, 100, 160])
def test_a_trial_takes_one_line_however_narrow_the_terminal(
    forty: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = shown(forty, capfd)
    assert len(rows) == 20
    assert max(map(len, rows)) <= columns
    assert ("0.0028" in rows[0]) == (columns > 70)  # a parameter
    wide = shown(forty, capfd, "--wide")
    assert len(wide) == 20
    assert all(row.count("0.") > 5 for row in wide[:5])
