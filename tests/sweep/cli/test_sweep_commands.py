"""What is done to a whole sweep: stopping it, notes on it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from dashboards.report.page import report_html
from sweep.analysis.verdict import verdict
from sweep.cli import main
from sweep.ledger import Ledger
from sweep.mlflow.view._words import sweep_note
from sweep.note import MAX_LENGTH
from sweep.records import SweepState
from sweep.storage.home import Home


def call(home: Home, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    """Exit code, the JSON object if asked for, and what was said otherwise."""
    capfd.readouterr()
    code = main([*words, "--home", str(home.folder)])
    out, err = capfd.readouterr()
    if "--json" in words and out:
        return code, json.loads(out), err
    return code, None, out + err


@pytest.mark.usefixtures("ledger")
def test_an_unknown_name_says_the_nearest(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    for command in (("show",), ("stop",), ("note",)):
        code, _, said = call(home, capfd, *command, "smal")
        assert code == 2
        assert "no sweep is named 'smal'; did you mean 'small'?" in said


def test_notes_are_where_people_look(
    home: Home, ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "before <b>scanner</b> [A](x) was\nreplaced"
    code, told, _ = call(home, capfd, "note", "small", text, "--json")
    line = "before <b>scanner</b> [A](x) was replaced"
    assert (code, [note["text"] for note in told["notes"]]) == (0, [line])
    call(home, capfd, "note", "small", "second")
    _, told, _ = call(home, capfd, "show", "small", "--json")
    assert [note["text"] for note in told["notes"]] == [line, "second"]
    day = told["notes"][0]["at"][:10]
    _, _, said = call(home, capfd, "show", "small")
    assert f"note of {day}: {line}\nnote of {day}: second\n" in said
    _, _, said = call(home, capfd, "list")
    assert said.rstrip().endswith(f"note of {day}: second")
    ledger.refresh()
    html = report_html("small", ledger.projection)
    assert "before &lt;b&gt;scanner&lt;/b&gt; [A](x) was replaced" in html
    description = sweep_note(ledger.projection, verdict(ledger.projection), {}, None)
    assert r"before \<b\>scanner\</b\> \[A\](x) was replaced" in description
    for bad in ("", "x" * (MAX_LENGTH + 1), "bell \x07"):
        code, _, said = call(home, capfd, "note", "small", bad)
        assert (code, "error: note: found" in said) == (2, True)


def test_stop_waits_for_the_driver(
    home: Home, ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, said = call(home, capfd, "stop", "small")
    assert code == 2
    assert "no driver is at work on the sweep 'small'" in said

    def drive() -> None:
        driver = Ledger.open(home.ledger_url, "small")
        driver.acquire("host:1", ttl_seconds=30)
        begun.set()
        while (asked := driver.listen()) is None:
            time.sleep(0.02)
        wishes.append(asked.now)
        driver.set_sweep_state(SweepState.INTERRUPTED, "ptxsweep stop")
        driver.close()

    begun, wishes = threading.Event(), list[bool]()
    thread = threading.Thread(target=drive)
    thread.start()
    begun.wait(30)
    code, told, said = call(home, capfd, "stop", "small", "--now", "--json")
    thread.join()
    assert (code, told["state"], told["has_ended"], wishes) == (0, "interrupted", True, [True])
    assert "waiting for the driver host:1 to cut its epochs off" in said
    ledger.acquire("host:2", ttl_seconds=30)
    code, _, said = call(home, capfd, "stop", "small", "--no-wait")
    assert (code, ledger.listen() is not None) == (0, True)
    assert f"`ptxsweep show small --home {home.folder}` says when" in said
    ledger.release()


@pytest.mark.usefixtures("ledger")
def test_rename_and_delete_say_what_they_did(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, said = call(home, capfd, "rename", "small", "other")
    assert (code, said) == (0, "small is other now\n")
    code, told, _ = call(home, capfd, "rename", "other", "small", "--json")
    assert (code, told["name"], told["in_mlflow"]) == (0, "small", None)
    for words in (("delete", "small"), ("delete", "small", "--json")):
        code, _, said = call(home, capfd, *words)
        assert code == 2
        assert "the sweep small (running, 3 trials, 0.0 MB of files) would be deleted" in said
    code, _, said = call(home, capfd, "delete", "small", "--yes")
    assert (code, said) == (*(0, "deleted the sweep small (running, 3 trials, 0.0 MB of files)\n"),)
    code, _, said = call(home, capfd, "delete", "small", "--yes")
    assert (code, "no sweep is named 'small'" in said) == (2, True)


@pytest.mark.usefixtures("ledger")
def test_clone_needs_the_folds(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, said = call(home, capfd, "clone", "small", "second")
    assert code == 2
    assert "plan.json" in said
    code, _, said = call(home, capfd, "clone", "small", "second", "--set", "x")
    assert (code, "expected KEY=VALUE" in said) == (2, True)
