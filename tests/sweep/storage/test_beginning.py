"""The row in the ledger is the moment at which a sweep begins, whatever ends the driver."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cut_off
import pytest
from tiny_sweep import NAME

from ptxcore.data.splits.fold_plan import FoldPlan
from sweep.errors import NameTaken
from sweep.ledger import Ledger, list_sweeps
from sweep.storage.beginning import MARK, begin, check_free
from sweep.storage.home import Home

FILES = ["plan.json", "search_plan.json", "space.yaml"]


def test_a_beginning_that_is_cut_off_before_any_of_its_steps_bricks_no_name(
    trained_home: Home, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained_home.folder, tmp_path / "home")
    done = subprocess.run(
        [sys.executable, cut_off.__file__, "begin", str(folder)],
        env=cut_off.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["left"] == FILES for line in lines), done.stdout
    assert all(line["beside"] == ["new", NAME] for line in lines)
    assert [line["code"] for line in lines] == [9] * (len(lines) - 1) + [0]
    told = [line["has_row"] for line in lines]
    assert told == sorted(told), "the row went away again"
    assert told.count(False) > 8
    assert told.count(True) > 1


def test_a_folder_that_no_kill_of_ours_left_is_never_touched(tiny_home: Home) -> None:
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    ledger.close()
    plan = FoldPlan.load(tiny_home.sweep_folder(NAME) / "plan.json")
    for name, mark in (("other", None), ("marked", {"ledger": "another one"})):
        folder = tiny_home.sweep_folder(name)
        (folder / "trials").mkdir(parents=True)
        if mark is not None:
            (folder / MARK).write_text(json.dumps(mark))
        with pytest.raises(NameTaken, match=rf"{name} is there, but .*another ledger .*--ledger"):
            begin(tiny_home, name, plan, "name: x", ledger.header)
        with pytest.raises(NameTaken, match=r"move that folder away"):
            check_free(tiny_home, name)
        assert (folder / "trials").is_dir()
    assert list_sweeps(tiny_home.ledger_url) == [NAME]
