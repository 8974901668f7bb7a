"""A budget of hours ends a running sweep as its stop rule would: everything recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from command_line import ptxsweep

from sweep.ledger import Ledger


@pytest.mark.slow
def test_hours_end_a_sweep_that_would_take_far_longer(
    tmp_path: Path, phantom_store: Path, space_file: Callable[..., Path]
) -> None:
    home, space = tmp_path / "home", space_file("standard", 2000)
    space.write_text(space.read_text().replace("patience: 20", "patience: 2000"))
    summary = ptxsweep(
        *("run", space, "--store", phantom_store, "--precision", "float32"),
        *("--workers", "1", "--hours", "0.005"),
        home=home,
    )
    assert summary["state"] == "finished"
    assert summary["reason"] == "the budget of 0.005 h is used"

    ledger = Ledger.open(f"sqlite:///{home / 'ledger.db'}", "tiny")
    trials = ledger.projection.trials
    ledger.close()
    assert all(one.state.is_final for one in trials)
    assert all(attempt.ended_at is not None for one in trials for attempt in one.log)

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert len(runs) == 1 + len(trials)
    assert "RUNNING" not in {run.info.status for run in runs}
    assert "tiny" in ptxsweep("show", "tiny", home=home)["name"]
    ptxsweep("resume", "tiny", home=home, check=2)
