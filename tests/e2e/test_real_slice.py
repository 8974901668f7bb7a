"""The main job on real radiographs, positives alone, at a size that a CPU finishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from command_line import ptxsweep

SPACE = """
name: slice
description: real radiographs at a CPU size
objective: {metric: average_precision}
folds: 3
policy: {name: greedy, num_trials: 2, num_completions: 1}
pruner: {name: median, scope: epochs, n_startup_trials: 1, n_warmup_steps: 1}
sampler: {name: tpe, n_startup_trials: 1}
fixed:
  channels: 4
  levels: 3
  image_size: 64
  patch_size: 0
  warmup_epochs: 0
  max_epochs: 3
  positive_fraction: 1.0
parameters:
  learning_rate: {type: float, low: 1.0e-3, high: 1.0e-2, log: true, default: 0.005}
"""


@pytest.mark.slow
@pytest.mark.siim
def test_import_run_show_and_report(siim: Path, tmp_path: Path) -> None:
    home, store = tmp_path / "home", tmp_path / "store"
    imported = ptxsweep(
        *("data", "import", "--dicom", siim / "dicom", "--rle", siim / "train-rle.csv"),
        *("--store", store),
        home=None,
    )
    assert (imported["num_cases"], imported["num_positive"]) == (252, 87)
    assert imported["num_excluded"] == 5

    space = tmp_path / "slice.yaml"
    space.write_text(SPACE)
    summary = ptxsweep("run", space, "--store", store, "--cases", "positive", home=home)
    assert summary["state"] == "finished"
    assert summary["phantom"] is False
    winner = summary["trials"][summary["best"]]
    assert winner["metrics"]["dice_all_empty"]["mean"] == 0.0, "positives alone: nothing scores 0"
    assert 0 <= winner["metrics"]["dice_positive"]["mean"] <= 1
    shown = ptxsweep("show", "slice", home=home)
    assert [one["fold_scores"] for one in shown["trials"]] == [
        one["fold_scores"] for one in summary["trials"]
    ]
    _check_tracked(home, summary["mlflow_run_id"], winner)

    report = ptxsweep("report", "slice", home=home)
    text = Path(report["path"]).read_text(encoding="utf-8")
    assert "slice" in text
    uids = [path.stem for path in (siim / "dicom").glob("*.dcm")]
    assert not any(uid in text for uid in uids), "the report names an image by its UID"


def _check_tracked(home: Path, run_id: str, winner: dict[str, Any]) -> None:
    """MLflow's own client finds the winner's mean and SD over the folds."""
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    parent = client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    tracked, objective = parent.data.metrics, winner["metrics"]["average_precision"]
    assert tracked["score"] == pytest.approx(objective["mean"])
    assert tracked["score_sd"] == pytest.approx(objective["sd"])
    assert tracked["dice_positive"] == pytest.approx(winner["metrics"]["dice_positive"]["mean"])
