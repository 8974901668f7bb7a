"""Kill -9 of the driver in mid-sweep, then resume: nothing is trained twice, nothing differs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import ptxsweep, start_ptxsweep

from sweep.analysis.operating_point import rule_of
from sweep.ledger import Ledger, list_sweeps
from sweep.records import State


def _scores(ledger: Ledger) -> dict[tuple[int, int], tuple[float, tuple[float, ...]]]:
    return {
        (one.number, fold): (score.score, score.curves["train_loss"])
        for one in ledger.projection.trials
        for fold, score in one.folds.items()
    }


def _wait_for(
    driver: subprocess.Popen[bytes], url: str, name: str, enough: Callable[[Ledger], bool]
) -> Ledger:
    while name not in list_sweeps(url):  # while the driver lays the database out
        assert driver.poll() is None, "the driver ended before its sweep began"
        time.sleep(0.1)
    ledger = Ledger.open(url, name)
    while not enough(ledger):
        assert driver.poll() is None, "the sweep ended too early to be killed"
        time.sleep(0.05)
        ledger.refresh()
    return ledger


@pytest.mark.slow
def test_kill_and_resume_equals_the_undisturbed_run(
    tmp_path: Path, phantom_store: Path, space_file: Callable[..., Path]
) -> None:
    space = space_file("standard", 6)
    same = ("--store", phantom_store, "--seed", "5", "--precision", "float32")
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    ptxsweep("run", space, *same, home=calm)

    rough.mkdir()
    url = f"sqlite:///{rough / 'ledger.db'}"
    driver = start_ptxsweep("run", space, *same, home=rough, log=tmp_path / "log")
    before = _wait_for(driver, url, "tiny", _in_the_middle_of_a_fold)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before.refresh()
    finished = set(_scores(before))
    reached = {
        (one.number, fold): max(epochs)
        for one in before.projection.trials
        for fold, epochs in one.epochs.items()
        if fold not in one.folds
    }
    before.close()
    for (trial, fold), epoch in reached.items():
        # What the resumed fold goes on from holds every epoch that the ledger holds.
        assert _checkpointed_epochs(rough / "sweeps" / "tiny", trial, fold) >= epoch

    summary = ptxsweep("resume", "tiny", home=rough)
    assert summary["state"] == "finished"
    after = Ledger.open(url, "tiny")
    for one in after.projection.trials:
        assert one.state is State.COMPLETE
        assert rule_of(one, "dice") == "other folds", "the ledger lacks its thresholds"
        for fold in one.folds:
            was_finished = (one.number, fold) in finished
            assert one.attempts[fold] == 1 or not was_finished, "a finished fold ran twice"
    assert any(one.attempts[fold] > 1 for one in after.projection.trials for fold in one.folds)
    undisturbed = Ledger.open(f"sqlite:///{calm / 'ledger.db'}", "tiny")
    assert _scores(after) == _scores(undisturbed)


def _in_the_middle_of_a_fold(ledger: Ledger) -> bool:
    trials = ledger.projection.trials
    return sum(len(one.folds) for one in trials) >= 2 and any(
        len(epochs) >= 2 and fold not in one.folds
        for one in trials
        for fold, epochs in one.epochs.items()
    )


def _checkpointed_epochs(folder: Path, number: int, fold: int) -> int:
    path = folder / "trials" / f"{number:04d}" / f"fold-{fold}" / "attempt-1"
    done = path / "result.json"
    state: Any = json.loads((done if done.exists() else path / "last" / "state.json").read_text())
    return len(state["curves"]["train_loss"])


def test_a_finished_sweep_trains_nothing_again(
    tmp_path: Path, phantom_store: Path, space_file: Callable[..., Path]
) -> None:
    home = tmp_path / "home"
    words = ("run", space_file("greedy", 1), "--store", phantom_store)
    first = ptxsweep(*words, "--or-resume", home=home)
    assert first["state"] == "finished"
    again = ptxsweep(*words, "--or-resume", home=home)
    assert again["state"] == "finished"
    ptxsweep(*words, home=home, check=2)
    ptxsweep("resume", "tiny", home=home, check=2)
    ptxsweep("resume", "other", home=home, check=2)
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.db'}", "tiny")
    log = [one for trial in ledger.projection.trials for one in trial.log]
    assert len(log) == sum(len(one.folds) for one in ledger.projection.trials)
    ledger.close()
