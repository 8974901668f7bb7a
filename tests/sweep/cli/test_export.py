"""`export-table`: what it writes is what `simulate` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sweep.cli import main
from sweep.ledger import Ledger
from sweep.simulate import Table, load_table, save_table
from sweep.storage.home import Home


@pytest.mark.usefixtures("ledger")
def test_complete_trials_become_a_table(
    home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.npz"
    words = ["export-table", "small", "--out", str(out), "--home", str(home.folder), "--json"]
    assert main(words) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["num_trials"], said["num_folds"], said["num_epochs"]) == (1, 2, 0)
    assert said["notes"] == ["2 of 3 trials are left out: not complete"]
    table = load_table(out)
    np.testing.assert_allclose(table.scores, [[[0.5, 0.7]]], rtol=1e-6)
    np.testing.assert_allclose(table.seconds, [[[10.0, 11.0]]])
    assert table.params == ({"learning_rate": 0.001},)
    plain = [*words[:3], str(tmp_path / "again.npz"), *words[4:-1]]
    assert main(plain) == 0
    assert said["notes"][0] in capfd.readouterr().out
    assert main(words) == 2
    assert "found a file, expected a new file" in capfd.readouterr().err
    assert main(["simulate", str(out), "--policy", "standard", "--seeds", "1"]) == 0


def test_a_sweep_without_a_complete_trial_is_no_table(
    home: Home, ledger: Ledger, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Ledger.create(home.ledger_url, "empty", header=ledger.header).close()
    out = tmp_path / "x.npz"
    assert main(["export-table", "empty", "--out", str(out), "--home", str(home.folder)]) == 2
    assert "no trial is complete" in capfd.readouterr().err
    assert not out.exists()


def test_curves_survive_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    curves = np.array([[[[0.1, 0.2, np.nan], [0.3, np.nan, np.nan]]]])
    table = Table(
        name="made",
        scores=np.array([[[0.25, 0.5]]]),
        seconds=np.array([[[2.0, 4.0]]]),
        curves=curves,
        params=({"rate": 0.5},),
    )
    save_table(table, tmp_path / "made.npz")
    again = load_table(tmp_path / "made.npz")
    assert again.curves is not None
    np.testing.assert_allclose(again.curves, curves, rtol=1e-6)
    assert again.num_epochs(0, 0, 0) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["made.npz"]
