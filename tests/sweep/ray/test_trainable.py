"""What a worker refuses before it trains: it says why, and that no trial can train there."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from pathlib import Path
from typing import Any

from ptxcore.types import CaseTable, ChoiceResult, EpochReport, FoldResult
from sweep.ray.trainable import FoldTrainable, Job
from sweep.records import Assignment
from sweep.util.provenance import pixel_versions

ASSIGNMENT = Assignment(trial=3, fold=1, attempt=2, settings={})


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


def test_a_store_that_is_not_there_is_no_fault_of_the_trial(tmp_path: Path) -> None:
    result = refused(job_in(tmp_path, version=importlib.metadata.version("ptxsweep")))
    assert "found no case store" in result["halt"]
    assert not result["final"]


def test_a_worker_of_another_version_names_both(tmp_path: Path) -> None:
    result = refused(job_in(tmp_path, version="99.0"))
    here = importlib.metadata.version("ptxsweep")
    assert f"this worker has ptxsweep {here}, the driver 99.0" in result["failed"]
    assert f"this worker has ptxsweep {here}, the driver 99.0" in result["halt"]
    assert not result["final"]
    assert (result["trial"], result["attempt"]) == (3, 2)
    assert "epoch" not in result


def test_a_minimised_objective_keeps_its_sign_as_value_and_turns_as_score(tmp_path: Path) -> None:
    job = dataclasses.replace(job_in(tmp_path, version="1"), metric="loss", maximize=False)
    trial = FoldTrainable.__new__(FoldTrainable)  # Ray's constructor makes a log folder
    trial.setup({"job": job, "assignment": ASSIGNMENT})
    table = CaseTable.__new__(CaseTable)  # the worker only stores it
    choice = ChoiceResult(inference={"tta": True}, metrics={"loss": 0.3}, cases=table)
    result = FoldResult(
        metrics={"loss": 0.25}, curves={}, cases=table, weights=None, best_epoch=1, num_epochs=1,
        seconds=1.0, selection="monitor", choices=(choice,),
    )  # fmt: skip
    score = trial._score(result)
    assert (score.value, score.score) == (0.25, -0.25)
    assert set(score.usage) == {"cpu_seconds", "peak_memory_bytes"}
    assert [(one.value, one.score) for one in score.choices] == [(0.3, -0.3)]
    report = EpochReport(
        fold=1, epoch=1, train_loss=1.0, learning_rate=0.1, monitor={"loss": 0.5}, seconds=1.0
    )
    assert trial._epoch(report).value == 0.5


def refused(job: Job) -> dict[str, Any]:
    """What the first step of a fold says."""
    return FoldTrainable({"job": job, "assignment": ASSIGNMENT}).step()


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
        maximize=True,
        runtime={"device": "cpu"},
        **more,
    )
