"""The doctor finds what is there, and shows no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweep.cli import main
from sweep.doctor import examine, mask, read_constraints
from sweep.home import Home


def test_addresses_lose_their_passwords() -> None:
    assert mask("postgresql://me:geheim@db/x") == "postgresql://me:***@db/x"
    assert mask("http://:geheim@h:1") == "http://:***@h:1"
    assert mask("http://h/x?password=geheim&a=1") == "http://h/x?password=***&a=1"
    assert mask("sqlite:////tmp/a.db") == "sqlite:////tmp/a.db"


def test_constraints_are_read() -> None:
    assert read_constraints("# x\nTorch==2.0  # why\n\nnumpy>=1\n") == {"torch": "2.0"}


def test_versions_are_compared(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("numpy==0.1\nclick==0.2\nno-such-package==1\n")
    found = {one.topic: one for one in examine(Home.at(tmp_path), constraints=pins)}
    assert found["numpy"].status == "note"
    assert "tested with 0.1" in found["numpy"].text
    assert "click" in found["other versions"].text
    assert "no-such-package" not in found["other versions"].text
    assert found["torch"].status == "ok"


def test_doctor_prints_no_secret_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "geheim")
    monkeypatch.setenv("PTXSWEEP_LEDGER", "postgresql+psycopg://me:geheim@localhost:1/none")
    code = main(["doctor", "--home", str(tmp_path / "home"), "--json"])
    shown = capfd.readouterr()
    report = json.loads(shown.out)
    ledger = next(one for one in report["findings"] if one["topic"] == "ledger")
    assert ledger["status"] == "problem"
    assert code == 1
    assert "geheim" not in shown.out + shown.err
    assert not (tmp_path / "home").exists()
