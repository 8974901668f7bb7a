"""A home's own registry is read without MLflow, and MLflow is asked wherever that may be wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.db.utils import _get_latest_schema_revision
from tiny_sweep import NAME

from sweep.errors import UsageError
from sweep.mlflow.local import LAYOUTS, LocalVersion, answers, local_path, local_version
from sweep.mlflow.model_package._example import input_example
from sweep.mlflow.open_model import open_model
from sweep.mlflow.view import connect
from sweep.promotion.promote import promote
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"
_PREDICT = """
import sys
from sweep.cli import main
code = main(sys.argv[1:])
print("LOADED", *sorted({"mlflow", "monai", "optuna", "sqlalchemy", "pandas"} & set(sys.modules)))
sys.exit(code)
"""


def look_up(home: Home, alias: str | None = "champion", number: str | None = None) -> object:
    return local_version(home.tracking_uri, home.artifacts, name=MODEL, alias=alias, number=number)


def change(home: Home, statement: str) -> None:
    file = home.tracking_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)


def test_the_layout_is_that_of_the_installed_mlflow() -> None:
    """If not, compare the tables of models with those read, and add the revision."""
    assert _get_latest_schema_revision() in LAYOUTS


def test_a_version_is_what_mlflow_says_of_it(tiny_home: Home, tmp_path: Path) -> None:
    assert look_up(tiny_home) is None  # no file yet
    promote(tiny_home, NAME)
    found = look_up(tiny_home)
    assert isinstance(found, LocalVersion)
    assert look_up(tiny_home, None, "1") == found
    client = connect(tiny_home.tracking_uri)
    told = client.get_model_version_by_alias(MODEL, "champion")
    assert (found.name, found.version) == (told.name, str(told.version))
    assert dict(found.tags) == told.tags
    assert found.place == local_path(client.get_model_version_download_uri(MODEL, "1"))
    assert answers(tiny_home.tracking_uri)

    dicom = tmp_path / "one.dcm"
    dicom.write_bytes(input_example()["dicom"][0])
    words = ["predict", str(dicom), "--champion", MODEL, "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", _PREDICT, *words, "--home", str(tiny_home.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"

    # What is not as it is read here is left to MLflow.
    assert look_up(tiny_home, "challenger") is None
    assert look_up(tiny_home, None, "2") is None
    with pytest.raises(UsageError, match=r"challenger.*registered: ptxsweep-phantom"):
        open_model(tiny_home, f"models:/{MODEL}@challenger")
    elsewhere = Home.from_environment(tmp_path / "elsewhere")
    place = local_version(
        tiny_home.tracking_uri, elsewhere.artifacts, name=MODEL, alias="champion", number=None
    )
    assert place is None
    change(tiny_home, "UPDATE model_versions SET status = 'FAILED_REGISTRATION'")
    assert look_up(tiny_home) is None
    change(tiny_home, "UPDATE model_versions SET status = 'READY'")
    assert look_up(tiny_home) == found
    change(tiny_home, "UPDATE alembic_version SET version_num = 'another'")
    assert look_up(tiny_home) is None
    assert not answers(tiny_home.tracking_uri)


def test_what_is_no_database_is_left_to_mlflow(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_text("no database", encoding="utf-8")
    assert not answers(f"sqlite:///{file}")
    assert not answers("http://localhost:1")
