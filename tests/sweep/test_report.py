"""A report of what has not changed is written again without PyTorch and without MLflow."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tiny_sweep import NAME

from sweep.ledger import Ledger
from sweep.mlflow.in_step import run_in_step
from sweep.report import publish_report
from sweep.storage.home import Home

CASE_PICTURE = "data:image/jpeg"
_REPORT = """
import sys
from sweep.cli import main
code = main(sys.argv[1:])
print("LOADED", *sorted({"mlflow", "torch", "pandas"} & set(sys.modules)))
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def _no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def in_step(home: Home) -> bool:
    ledger = Ledger.open(home.ledger_url, NAME)
    try:
        return run_in_step(home, ledger) is not None
    finally:
        ledger.close()


def change(home: Home, statement: str) -> None:
    with closing(sqlite3.connect(home.folder / "mlflow.db")) as database, database:
        database.execute(statement)


def test_a_second_report_imports_neither_and_copies_the_same(tiny_home: Home) -> None:
    assert not in_step(tiny_home)
    first = publish_report(tiny_home, NAME)
    assert (first.is_logged, first.has_pictures) == (True, True)
    (logged,) = tiny_home.artifacts.rglob("report.html")
    (drawn,) = (tiny_home.sweep_folder(NAME) / "pictures").iterdir()
    shown = drawn.read_text(encoding="utf-8")
    assert CASE_PICTURE in shown
    assert shown in first.path.read_text(encoding="utf-8")
    logged.unlink()
    words = ["report", NAME, "--home", str(tiny_home.folder)]
    done = subprocess.run(
        [sys.executable, "-c", _REPORT, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert "not logged" not in done.stderr
    assert shown in first.path.read_text(encoding="utf-8")
    assert CASE_PICTURE not in logged.read_text(encoding="utf-8")


def test_mlflow_is_asked_where_it_lacks_something(tiny_home: Home, tmp_path: Path) -> None:
    publish_report(tiny_home, NAME)
    assert in_step(tiny_home)
    for damage, mend in (
        ("lifecycle_stage = 'deleted' WHERE name = 'tiny-0001'", "lifecycle_stage = 'active'"),
        ("lifecycle_stage = 'deleted' WHERE name = 'tiny'", "lifecycle_stage = 'active'"),
        ("status = 'RUNNING' WHERE name = 'tiny'", "status = 'FINISHED'"),
    ):
        change(tiny_home, f"UPDATE runs SET {damage}")
        assert not in_step(tiny_home), damage
        change(tiny_home, f"UPDATE runs SET {mend}")
        assert in_step(tiny_home)
    elsewhere = Home.from_environment(tmp_path, tracking_uri=tiny_home.tracking_uri)
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    assert run_in_step(elsewhere, ledger) is None
    ledger.acquire("a note")
    ledger.note_resources({"cpus": 3, "gpus": 0})
    ledger.close()
    assert not in_step(tiny_home)
    publish_report(tiny_home, NAME)
    assert in_step(tiny_home)
