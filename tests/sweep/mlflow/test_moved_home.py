"""A home that moved works where it is, and a copy leaves the original alone."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tiny_store import drawn_store
from tiny_sweep import NAME, copy_sweep, home_at

from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import StoreError
from sweep.cli import main
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.mlflow.model_package._example import input_example
from sweep.mlflow.view import connect
from sweep.promotion.promote import Gate, promote
from sweep.report import publish_report
from sweep.segment import predict_files
from sweep.storage.case_stores import store_of
from sweep.storage.home import Home
from sweep.storage.inputs import find_inputs

INSIDE = "inside"
URI = "models:/ptxsweep-phantom-average_precision@champion"
ANY = Gate(max_loss=1.0)
CASE_PICTURE = "data:image/jpeg"


@pytest.fixture
def home(tiny_home: Home) -> Home:
    """A home that holds its case store, a report in MLflow and a champion."""
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    store = shutil.copytree(ledger.header.store, tiny_home.folder / "store")
    ledger.close()
    copy_sweep(tiny_home, INSIDE, [0, 1], store=str(store))
    promote(tiny_home, INSIDE, gate=ANY)
    assert publish_report(tiny_home, INSIDE).has_pictures
    return tiny_home


def files(folder: Path) -> dict[str, str]:
    """Digest, or kind, of all below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def use(home: Home, folder: Path, name: str) -> str:
    """Predict, report and promote another winner in a home; its version."""
    folder.mkdir()
    (folder / "one.dcm").write_bytes(input_example()["dicom"][0])
    predict_files(home, URI, find_inputs([folder / "one.dcm"]), folder / "out")
    published = publish_report(home, INSIDE)
    assert published.is_logged
    assert published.has_pictures
    copy_sweep(home, name, [1, 0])
    version = promote(home, name, gate=ANY, force=True, reason="a test").version
    predict_files(home, URI, find_inputs([folder / "one.dcm"]), folder / "out")
    return version


def places(home: Home) -> set[str]:
    """Every place that MLflow's database holds."""
    columns = "artifact_location FROM experiments WHERE name = 'ptxsweep'", "artifact_uri FROM runs"
    columns += ("artifact_location FROM logged_models", "source FROM model_versions")
    columns += ("storage_location FROM model_versions",)
    with closing(sqlite3.connect(home.folder / "mlflow.db")) as database:
        found = [row for part in columns for row in database.execute(f"SELECT {part}")]
    return {place for (place,) in found}


def test_a_copy_never_touches_the_original(home: Home, tmp_path: Path) -> None:
    copy = home_at(shutil.copytree(home.folder, tmp_path / "a copy"))
    before = files(home.folder)
    assert use(copy, tmp_path / "work", "other") == "2"
    assert files(home.folder) == before
    assert len(list((copy.folder / "mlartifacts").rglob("ensemble.json"))) == 2
    (logged,) = (copy.folder / "mlartifacts").rglob("report.html")
    assert CASE_PICTURE in (copy.sweep_folder(INSIDE) / "report.html").read_text("utf-8")
    assert CASE_PICTURE not in logged.read_text("utf-8")
    assert publish_report(copy, INSIDE, log_pictures=True).is_logged
    assert CASE_PICTURE in logged.read_text("utf-8")
    assert all(place.startswith(f"{copy.artifacts.as_uri()}") for place in places(copy))
    # And each remains what it is when the other was at work in this very process.
    before = files(copy.folder)
    publish_report(home, INSIDE)
    assert files(copy.folder) == before


def test_a_moved_home_works_and_its_old_place_stays_empty(home: Home, tmp_path: Path) -> None:
    old = home.folder
    moved = home_at(Path(shutil.move(old, tmp_path / "elsewhere")))
    assert use(moved, tmp_path / "work", "other") == "2"
    assert not old.exists()
    assert all(place.startswith(f"{moved.artifacts.as_uri()}") for place in places(moved))
    # Back again, by a link, and nothing is rewritten for it.
    old.symlink_to(moved.folder)
    known = places(moved)
    publish_report(home_at(old), INSIDE)
    assert places(moved) == known


def test_a_report_takes_a_store_that_moved(home: Home, tmp_path: Path) -> None:
    moved = shutil.move(home.folder / "store", tmp_path / "moved")
    shutil.rmtree(home.sweep_folder(INSIDE) / "pictures", ignore_errors=True)
    without = publish_report(home, INSIDE)
    assert not without.has_pictures
    assert "`report --store` takes where it is now" in without.notes[0]
    words = ["report", INSIDE, "--home", str(home.folder), "--store"]
    assert main([*words, str(moved)]) == 0
    page = (home.sweep_folder(INSIDE) / "report.html").read_text("utf-8")
    assert CASE_PICTURE in page
    other = drawn_store(tmp_path / "other", num_cases=4, num_positive=2).folder
    with pytest.raises(StoreError, match="give the same data with --store"):
        publish_report(home, INSIDE, store=other)
    assert (home.sweep_folder(INSIDE) / "report.html").read_text("utf-8") == page


def test_what_lies_elsewhere_by_choice_stays_there(tiny_home: Home, tmp_path: Path) -> None:
    client = connect(tiny_home.tracking_uri, tiny_home.artifacts)
    client.create_experiment("theirs", artifact_location="s3://bucket/mlartifacts")
    client.create_experiment("own", artifact_location=str(tmp_path / "big-disk"))
    client.create_experiment("page", artifact_location=f"{tiny_home.artifacts.as_uri()}/7")
    moved = home_at(Path(shutil.move(tiny_home.folder, tmp_path / "elsewhere")))
    client = connect(moved.tracking_uri, moved.artifacts)
    inside = [client.get_experiment_by_name(name) for name in ("page", "Default")]
    assert [one.artifact_location for one in inside if one] == [
        f"{moved.artifacts.as_uri()}/7",
        f"{moved.artifacts.as_uri()}/default",
    ]
    kept = [client.get_experiment_by_name(name) for name in ("theirs", "own")]
    assert [one.artifact_location for one in kept if one] == [
        "s3://bucket/mlartifacts",
        str(tmp_path / "big-disk"),
    ]


def test_a_store_beside_the_home_stays_where_it_is(tiny_home: Home) -> None:
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    ledger.close()
    known = str(ledger.header.store)
    assert store_of(ledger.header, tiny_home.folder) == known
    # One of another content is another store.
    other = shutil.copytree(known, tiny_home.folder / "store")
    text = (other / "manifest.json").read_text(encoding="utf-8")
    found = CaseStore.open(other).data_hash
    (other / "manifest.json").write_text(text.replace(found, "0" * 64), encoding="utf-8")
    assert store_of(ledger.header, tiny_home.folder) == known
    (other / "manifest.json").write_text(text, encoding="utf-8")
    assert store_of(ledger.header, tiny_home.folder) == str(other)


@pytest.mark.parametrize("address", ["./mlruns", "file:///tmp/mlruns", "/tmp/mlruns"])
def test_a_folder_for_mlflow_is_refused_before_training(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UsageError, match=r"found the folder .*mlruns, .*expected a server .*sqlite"
    ):
        Home.from_environment(tmp_path, tracking_uri=address)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert Home.from_environment(tmp_path, tracking_uri=address).tracking_uri == address
