"""Who can write into the artifact store alone is refused, and their code never runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import mlflow.pyfunc
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from tiny_sweep import NAME

from ptxcore.errors import CheckpointError
from sweep.errors import TrackingError, UsageError
from sweep.mlflow.model_package._example import input_example
from sweep.mlflow.open_model import load_champion
from sweep.mlflow.package_digest import DIGEST_TAG, package_digest
from sweep.mlflow.registry import reaching
from sweep.mlflow.view import connect
from sweep.promotion.promote import promote
from sweep.segment import predict_files
from sweep.storage.home import Home
from sweep.storage.inputs import find_inputs

MODEL = "ptxsweep-phantom-average_precision"
URI = f"models:/{MODEL}@champion"


@pytest.fixture
def client(tiny_home: Home) -> MlflowClient:
    """The registry, with a champion in it."""
    promote(tiny_home, NAME)
    return connect(tiny_home.tracking_uri)


def package_of(client: MlflowClient, version: str = "1") -> Path:
    return Path(client.get_model_version_download_uri(MODEL, version).removeprefix("file://"))


def plant_code(package: Path, marker: Path) -> None:
    """What an attacker would put there: MLflow runs this file when it loads the model."""
    code = package / "champion.py"
    text = code.read_text(encoding="utf-8")
    code.write_text(f"open({str(marker)!r}, 'w').close()\n{text}", encoding="utf-8")


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    path = tmp_path / "one.dcm"
    path.write_bytes(input_example()["dicom"][0])
    return path


def test_planted_code_is_refused_and_never_runs(
    tiny_home: Home, client: MlflowClient, dicom: Path, tmp_path: Path
) -> None:
    out, marker = tmp_path / "out", tmp_path / "it-ran"
    plant_code(package_of(client), marker)
    with pytest.raises(CheckpointError, match=rf"{MODEL} version 1: found files with SHA-256"):
        predict_files(tiny_home, URI, find_inputs([dicom]), out)
    assert not out.exists()
    assert not marker.exists()
    # Even where the digest is right, the code stays unread.
    client.set_model_version_tag(MODEL, "1", DIGEST_TAG, package_digest(package_of(client)))
    assert len(predict_files(tiny_home, URI, find_inputs([dicom]), out)) == 1
    assert not marker.exists()
    mlflow.pyfunc.load_model(str(package_of(client)))
    assert marker.exists()  # the code would have run: this test could have failed


def test_exchanged_weights_are_refused_though_their_own_hashes_agree(
    tiny_home: Home, client: MlflowClient
) -> None:
    ensemble = package_of(client) / "artifacts" / "ensemble"
    for name in ("model.safetensors", "model.json"):
        shutil.copy(ensemble / "fold-1" / name, ensemble / "fold-0" / name)
    path = ensemble / "ensemble.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    for name in text["sha256"]:
        text["sha256"][name] = hashlib.sha256((ensemble / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"were exchanged in the artifact store"):
        load_champion(tiny_home, URI)


def test_promoting_again_mends_files_that_differ_from_their_digest(
    tiny_home: Home, client: MlflowClient
) -> None:
    client.delete_model_version_tag(MODEL, "1", DIGEST_TAG)  # as before there was one
    with pytest.raises(UsageError, match=r"found no tag ptxsweep\.package_sha256.*promote"):
        load_champion(tiny_home, f"models:/{MODEL}/1")
    again = promote(tiny_home, NAME)
    assert (again.is_new, again.version) == (True, "2")
    assert len(load_champion(tiny_home, URI).members) == 2
    (package_of(client, "2") / "requirements.txt").write_text("hostile\n", encoding="utf-8")
    assert promote(tiny_home, NAME).version == "3"
    shutil.rmtree(package_of(client, "3"))
    with pytest.raises(CheckpointError, match=r"version 3: found no folder /.*promote` on its sw"):
        load_champion(tiny_home, URI)  # which no waiting mends
    assert promote(tiny_home, NAME).version == "4"
    assert len(load_champion(tiny_home, URI).members) == 2


def test_mlflows_own_loading_in_place_changes_no_digest(
    tiny_home: Home, client: MlflowClient
) -> None:
    before = package_digest(package_of(client))
    mlflow.set_tracking_uri(tiny_home.tracking_uri)
    try:
        mlflow.pyfunc.load_model(URI)
    finally:
        mlflow.set_tracking_uri(None)
    assert (package_of(client) / "registered_model_meta").is_file()
    assert package_digest(package_of(client)) == before
    assert not promote(tiny_home, NAME).is_new


@pytest.mark.parametrize("uri", ["runs:/0123/model", f"models:/{MODEL}/latest", "models:/m-0123"])
def test_other_addresses_are_refused(tiny_home: Home, uri: str) -> None:
    with pytest.raises(UsageError, match="expected models:/NAME@ALIAS, models:/NAME/VERSION, the"):
        load_champion(tiny_home, uri)


def test_a_registry_that_cannot_be_reached(tiny_home: Home, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database")
    home = Home.from_environment(
        tiny_home.folder, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}"
    )
    with pytest.raises(TrackingError, match=r"not a database.*nothing was predicted$"):
        load_champion(home, URI)


@pytest.mark.parametrize(
    ("code", "end"),
    [(INVALID_PARAMETER_VALUE, "promoted"), (INTERNAL_ERROR, "promoted, try again when it works")],
)
def test_only_an_outage_is_worth_another_try(code: int, end: str) -> None:
    with pytest.raises(TrackingError, match=rf"nothing was {end}$"), reaching("http://host:5000"):
        raise MlflowException("no", code)


def test_a_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"1")
    hashes = {"a/b": hashlib.sha256(b"1").hexdigest()}
    first = package_digest(tmp_path)
    assert first == hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
    (tmp_path / "a" / "b").rename(tmp_path / "a" / "c")
    assert package_digest(tmp_path) != first
    (tmp_path / "a" / "b").symlink_to("c")
    with pytest.raises(CheckpointError, match=r"a/b: found neither a file nor a folder"):
        package_digest(tmp_path)
