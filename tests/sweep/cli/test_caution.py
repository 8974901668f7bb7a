"""Scores of checkpoints that were chosen on the scored folds are labelled wherever they stand."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from sweep.analysis.progress import make_overview
from sweep.analysis.selection_bias import POSITIVES_ALONE, caution
from sweep.cli import main
from sweep.cli.live import line, table
from sweep.ledger import Ledger
from sweep.storage.home import Home

CAUTION = (
    "checkpoints were chosen on the scored folds themselves (checkpoint-selected): these scores "
    "are optimistic and not comparable with leak-free ones"
)


def test_who_chose_on_the_scored_folds(ledger: Ledger, selected_ledger: Ledger) -> None:
    assert caution(ledger.projection) is None
    assert caution(selected_ledger.projection) == CAUTION
    ledger.projection.trials[1].settings["selection"] = "fold"
    assert str(caution(ledger.projection)).startswith("checkpoints of 1 of 3 trials were chosen")


@pytest.mark.usefixtures("selected_ledger", "ledger")
@pytest.mark.parametrize("command", ["show", "compare"])
def test_in_show_and_compare(home: Home, command: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name, expected in (("selected", CAUTION), ("small", None)):
        words = [command, name, "--home", str(home.folder)]
        words += ["--metric", "dice"] if command == "compare" else []
        assert main([*words, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["caution"] == expected
        assert main(words) == 0
        shown = capfd.readouterr()
        text = " ".join((shown.out + shown.err).split())
        assert ("not comparable with leak-free ones" in text) == (expected is not None)


@pytest.mark.usefixtures("selected_ledger", "ledger")
def test_in_list(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--home", str(home.folder), "--json"]) == 0
    found = {one["name"]: one["caution"] for one in json.loads(capfd.readouterr().out)["sweeps"]}
    assert found == {"selected": CAUTION, "small": None}
    assert main(["list", "--home", str(home.folder)]) == 0
    said = [row for row in capfd.readouterr().out.splitlines() if "checkpoint-selected" in row]
    assert [row.split()[0] for row in said] == ["selected"]


def test_while_it_runs(ledger: Ledger, selected_ledger: Ledger) -> None:
    assert "checkpoint-selected" not in line(make_overview(ledger.projection))
    assert "checkpoint-selected" in line(make_overview(selected_ledger.projection))
    stream = io.StringIO()
    Console(width=200, file=stream).print(table("selected", selected_ledger.projection))
    assert "leak-free" in stream.getvalue()


@pytest.mark.usefixtures("positives_ledger", "ledger")
def test_positive_cases_alone(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("show", "compare"):
        words = [command, "positives", "--home", str(home.folder)]
        words += ["--metric", "dice"] if command == "compare" else []
        assert main([*words, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["caution"] == POSITIVES_ALONE.text
        assert main(words) == 0
        shown = capfd.readouterr()
        assert "say nothing about healthy images" in " ".join((shown.out + shown.err).split())
        assert ("cases: 20 of the store's 100 cases" in shown.out) == (command == "show")
    assert main(["list", "--home", str(home.folder), "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capfd.readouterr().out)["sweeps"]}
    assert listed["positives"]["cautions"] == ["positive cases alone"]
    assert listed["positives"]["cohort"]["num_cases"] == 20
    assert (listed["small"]["cautions"], listed["small"]["cohort"]) == ([], {})
    assert main(["list", "--home", str(home.folder)]) == 0
    (row,) = [one for one in capfd.readouterr().out.splitlines() if "positives" in one]
    assert "cases 20 (20 positive)" in row
    assert "positive cases alone" in row


def test_positive_cases_alone_while_it_runs(positives_ledger: Ledger) -> None:
    assert "positive cases alone" in line(make_overview(positives_ledger.projection))
