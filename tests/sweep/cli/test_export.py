"""`export-table`: what it writes is what `simulate` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import toy_space

from ptxcore.metrics import average_precision
from ptxcore.metrics import save_table as save_cases
from ptxcore.types import NUM_LOGIT_BINS, CaseTable
from sweep.cli import main
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.records import FoldScore, State
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


def test_cases_are_written_without_their_ids_and_their_mean_is_the_score(
    home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    space = toy_space(policy="standard", num_trials=2, num_completions=None, folds=2)
    text = space.text.replace("metric: quality, direction: maximize", "metric: average_precision")
    header = SweepHeader(
        metric="average_precision", maximize=True, num_folds=2, seed=0, space_text=text
    )
    ledger = Ledger.create(home.ledger_url, "told", header=header)
    ledger.acquire("test")
    for trial in range(2):
        ledger.add_trial({}, {})
        for fold in range(2):
            attempt = ledger.start_fold(trial, fold)
            table = random_table(np.random.default_rng([trial, fold]), fold)
            name = f"{trial}-{fold}.npz"
            home.sweep_folder("told").mkdir(parents=True, exist_ok=True)
            save_cases(home.sweep_folder("told") / name, table)
            value = average_precision(table)
            score = FoldScore(
                trial=trial, fold=fold, attempt=attempt, value=value, score=value, seconds=1.0,
                num_epochs=1, best_epoch=1, cases=name,
            )  # fmt: skip
            assert ledger.finish_fold(score)
        ledger.end(trial, State.COMPLETE)
    ledger.close()
    out = tmp_path / "told.npz"
    words = ["export-table", "told", "--cases", "--home", str(home.folder)]
    assert main([*words, "--out", str(out), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["num_cases"] == 5 + 6  # healthy ones left out
    found = load_table(out)
    assert found.cases is not None
    assert found.case_folds is not None
    for fold in range(2):
        means = found.cases[0][:, found.case_folds[0] == fold].mean(axis=1)
        np.testing.assert_allclose(means, found.scores[0, :, fold], rtol=1e-5)
    with np.load(out) as arrays:
        assert not any(
            array.dtype.kind == "U" and "case-" in str(array) for array in arrays.values()
        )
    (home.sweep_folder("told") / "1-0.npz").unlink()
    assert main([*words, "--out", str(tmp_path / "again.npz")]) == 2
    assert "trial 1 has no table of cases for fold 0" in capfd.readouterr().err


def random_table(generator: np.random.Generator, fold: int) -> CaseTable:
    """Five positive cases and one more in the second fold, and three healthy ones."""
    num_positive = 5 + fold
    truth = generator.integers(0, 9, (num_positive + 3, NUM_LOGIT_BINS))
    truth[num_positive:] = 0
    background = generator.integers(0, 30, truth.shape)
    ids = np.array([f"case-{fold}-{number}" for number in range(len(truth))])
    return CaseTable(
        case_ids=ids, truth=truth.astype(np.int64), background=background.astype(np.int64)
    )


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"cases": np.ones((1, 2, 4))}, "found shapes .*None"),
        ({"cases": np.ones((1, 2, 4)), "case_folds": np.zeros((1, 3), int)}, "found shapes"),
        ({"cases": np.ones((1, 1, 4)), "case_folds": np.zeros((1, 4), int)}, "found shapes"),
        ({"cases": np.ones((1, 2, 4)), "case_folds": np.full((1, 4), 2)}, "from 0 to 1"),
    ],
)
def test_cases_that_do_not_fit_are_refused(changes: dict[str, Any], found: str) -> None:
    scores = np.ones((1, 2, 2))
    with pytest.raises(UsageError, match=found):
        Table(name="made", scores=scores, seconds=scores, curves=None, params=({}, {}), **changes)


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
