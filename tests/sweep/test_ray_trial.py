"""What a worker refuses before it trains: it says why, and that no candidate can train there."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from sweep.ray_trial import FoldTrainable, Job


def test_a_worker_of_another_version_names_both(tmp_path: Path) -> None:
    job = Job(
        store=str(tmp_path),
        data_hash="0" * 64,
        plan="",
        plan_digest="",
        folder=str(tmp_path),
        seed=0,
        metric="dice",
        sign=1.0,
        runtime={"device": "cpu"},
        version="99.0",
    )
    assignment = {"candidate": 3, "fold": 1, "attempt": 2, "parameters": {}}
    trainable = FoldTrainable({"job": job, "assignment": assignment})
    result = trainable.step()
    here = importlib.metadata.version("ptxsweep")
    assert f"this worker has ptxsweep {here}, the driver 99.0" in result["failed"]
    assert f"this worker has ptxsweep {here}, the driver 99.0" in result["halt"]
    assert not result["final"]
    assert (result["candidate"], result["attempt"]) == (3, 2)
    assert "epoch" not in result
