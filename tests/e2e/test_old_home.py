"""A home of an earlier version, which has moved besides, works or says what it needs."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweep.cli import main
from sweep.mlflow.model_package._example import input_example
from sweep.mlflow.view import connect

ARCHIVE = Path(__file__).parents[1] / "data" / "homes" / "92e2493.tar.xz"
#: Where it was made; every whole path in it begins so.
OLD_PLACE = Path("/tmp/ptxsweep-before")
MOVED = "if it moved, --store of resume and promote says where it is now"
Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    if OLD_PLACE.exists():
        pytest.skip(f"{OLD_PLACE} exists, so nobody could tell which home is at work")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / OLD_PLACE.name


@pytest.fixture
def run(place: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the old home: its code, its JSON, and what it said besides."""

    def run(*words: str | Path) -> tuple[int, Any, str]:
        capfd.readouterr()
        code = main([*map(str, words), "--home", str(place / "home"), "--json"])
        said = capfd.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run


def test_what_an_earlier_version_wrote_is_read(run: Run, place: Path) -> None:
    code, found, _ = run("list")
    assert code == 0
    assert [(one["name"], one["state"]) for one in found["sweeps"]] == [
        ("whole", "finished"),
        ("cut", "interrupted"),
    ]
    code, whole, _ = run("show", "whole")
    assert (code, whole["best"]) == (0, 0)
    # That version showed 0.9755, of a fixed threshold.
    assert whole["trials"][0]["metrics"]["dice"]["mean"] == pytest.approx(0.97530, abs=1e-4)
    code, cut, _ = run("show", "cut")
    assert (code, cut["best"]) == (0, None)
    assert cut["verdict"].startswith("No winner yet: 3 trials are parked; the default leads. ")
    assert run("compare", "whole")[0] == 0

    code, report, _ = run("report", "whole")
    assert code == 0
    assert any("no case store" in note for note in report["notes"])
    assert (place / "home" / "sweeps" / "whole" / "report.html").is_file()
    assert not OLD_PLACE.exists()


def test_its_champion_predicts_under_its_old_name(run: Run, place: Path) -> None:
    image = place / "image.dcm"
    image.write_bytes(input_example()["dicom"][0])
    code, found, said = run(
        "predict", image, "--champion", "ptxsweep-whole", "--out", place / "out"
    )
    assert code == 0
    assert found["phantom"] is True
    assert found["caution"] in said
    assert Path(found["predictions"][0]["mask"]).is_file()
    assert not OLD_PLACE.exists()


def test_its_gate_asks_for_a_new_confirmation(run: Run, place: Path) -> None:
    code, _, said = run("promote", "whole")
    assert code == 3
    assert "intervals: found those of an earlier version" in said
    assert "`--again` opens the hold-out once more" in said

    code, _, said = run("promote", "whole", "--again")
    assert code == 2
    assert MOVED in said
    code, found, _ = run("promote", "whole", "--again", "--store", place / "store")
    assert code == 0
    assert found["model_name"] == "ptxsweep-whole"  # the comparison is with the champion there is
    assert not OLD_PLACE.exists()


def test_its_interrupted_sweep_goes_on(run: Run, place: Path) -> None:
    code, _, said = run("resume", "cut")
    assert code == 2
    assert MOVED in said
    before = runs_of(place, "cut")
    code, found, said = run("resume", "cut", "--store", place / "store")
    assert code == 0
    assert found["state"] == "finished"
    # Each score is that of the sweep that nobody interrupted.
    whole = run("show", "whole")[1]
    assert [one["fold_scores"] for one in found["trials"]] == [
        pytest.approx(one["fold_scores"], abs=1e-4) for one in whole["trials"]
    ]
    # The sweep's run is continued; those of its trials, which stood beside it, are sent anew.
    after = runs_of(place, "cut")
    assert before["cut"][0] == after["cut"][0]
    known = {run_id for run_id, _ in before.values()} & {run_id for run_id, _ in after.values()}
    assert known == {after["cut"][0]}
    assert sorted(after) == ["cut", *(f"cut-{trial['number']:04d}" for trial in found["trials"])]
    for trial in found["trials"]:
        tags = after[f"cut-{trial['number']:04d}"][1]
        assert tags["ptxsweep.trial"] == str(trial["number"])
        assert tags["mlflow.parentRunId"] == after["cut"][0]
    assert "ptxsweep.candidates" in before["cut"][1]
    assert "ptxsweep.candidates" not in after["cut"][1]
    assert after["cut"][1]["ptxsweep.trials"] == str(len(found["trials"]))
    assert not OLD_PLACE.exists()


def runs_of(place: Path, sweep: str) -> dict[str, tuple[str, dict[str, str]]]:
    """MLflow's runs of a sweep by name, each name once: their ids and tags."""
    client = connect(f"sqlite:///{place / 'home' / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.`ptxsweep.sweep` = '{sweep}'")
    found = {str(run.info.run_name): (str(run.info.run_id), dict(run.data.tags)) for run in runs}
    assert len(found) == len(runs)
    return found
