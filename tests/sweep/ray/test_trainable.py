"""What a worker refuses before it trains: it says why, and that no candidate can train there."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from sweep.ray.trainable import FoldTrainable, Job
from sweep.util.provenance import pixel_versions


def test_a_worker_with_another_opencv_names_both(tmp_path: Path) -> None:
    """A host that joined after the others were asked."""
    here = pixel_versions()
    result = refused(
        job_in(
            tmp_path,
            version=importlib.metadata.version("ptxsweep"),
            versions={**here, "opencv": "4.12.0"},
        )
    )
    assert f"(opencv {here['opencv']}, not 4.12.0)" in result["halt"]
    assert not result["final"]


def test_a_store_that_is_not_there_is_no_fault_of_the_candidate(tmp_path: Path) -> None:
    result = refused(job_in(tmp_path, version=importlib.metadata.version("ptxsweep")))
    assert "found no case store" in result["halt"]
    assert not result["final"]


def test_a_worker_of_another_version_names_both(tmp_path: Path) -> None:
    result = refused(job_in(tmp_path, version="99.0"))
    here = importlib.metadata.version("ptxsweep")
    assert f"this worker has ptxsweep {here}, the driver 99.0" in result["failed"]
    assert f"this worker has ptxsweep {here}, the driver 99.0" in result["halt"]
    assert not result["final"]
    assert (result["candidate"], result["attempt"]) == (3, 2)
    assert "epoch" not in result


def refused(job: Job) -> dict[str, Any]:
    """What the first step of a fold says."""
    assignment = {"candidate": 3, "fold": 1, "attempt": 2, "parameters": {}}
    return FoldTrainable({"job": job, "assignment": assignment}).step()


def job_in(folder: Path, **more: Any) -> Job:
    """A sweep in an empty folder."""
    return Job(
        store=str(folder),
        data_hash="0" * 64,
        plan="",
        plan_digest="",
        folder=str(folder),
        seed=0,
        metric="dice",
        sign=1.0,
        runtime={"device": "cpu"},
        **more,
    )
