"""What workers are told: they run in folders of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TINY_SPACE
from tiny_store import drawn_store

from ptxcore.data.store import CaseStore
from sweep.home import Home
from sweep.launch import _job
from sweep.ledger import Ledger
from sweep.space import parse_space


def test_a_store_given_relative_to_here_is_found_elsewhere(
    trained_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_store(tmp_path / "store", num_cases=4, num_positive=2)
    monkeypatch.chdir(tmp_path)
    cases = CaseStore.open(Path("store"))
    ledger = Ledger.open(trained_home.ledger_url, "tiny")
    space = parse_space(TINY_SPACE.replace("POLICY", "greedy").replace("EPOCHS", "1"), "tiny")
    job = _job(ledger, space, cases, trained_home.sweep_folder("tiny"), None)
    ledger.close()
    assert job.store == str(tmp_path / "store")
