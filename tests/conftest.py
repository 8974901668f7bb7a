"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported

import numpy as np
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from siim_slice import find_slice
from tiny_dicom import DicomSet, write_set

from ptxcore.data.importing.run import ImportReport, import_cases
from sweep.storage.home import Home

#: Where the product looks without being told; a developer's own must not take part in tests.
ADDRESSES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "PTXSWEEP_HOME",
    "PTXSWEEP_LEDGER",
    "PTXSWEEP_LEDGER_FILE",
    "PTXSWEEP_STORAGE",
)
for _name in ADDRESSES:
    os.environ.pop(_name, None)
#: The same ids, and so the same folds, on every machine.
os.environ["PTXSWEEP_KEY"] = str(Path(__file__).parent / "data" / "case-ids.key")

# They build clusters of their own: `make cluster-test`, `make slurm-test`.
collect_ignore = [
    *([] if "PTXSWEEP_CLUSTER" in os.environ else ["cluster"]),
    *([] if "PTXSWEEP_SLURM" in os.environ else ["slurm"]),
]

# Examples are bounded in number; a time limit on each would only fail on a busy machine.
hypothesis.settings.register_profile("ptxsweep", deadline=None)
hypothesis.settings.load_profile("ptxsweep")


def read_migrations_once() -> None:
    """Optuna and MLflow import dozens of migration scripts anew for each database they open.

    What they hold is the same each time, and many tests open many databases.
    """
    read, known = ScriptDirectory.from_config, {}

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign]


read_migrations_once()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="fail if what is slow was imported")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """`make quick` stays what it says: the tests it names use none of these."""
    slow = {"ray", "mlflow", "ptxcore.training.fold"} & set(sys.modules)
    if slow and session.config.getoption("quick"):
        print(f"\nthese tests are not quick: they imported {', '.join(sorted(slow))}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _engines_have_processes_of_their_own(request: pytest.FixtureRequest) -> Iterator[None]:
    """Beside Ray and the rest they end a process now and then: see `ENGINES` in the Makefile."""
    yield
    loaded = {"onnxruntime", "openvino"} & sys.modules.keys()
    if loaded and hasattr(request.config, "workerinput"):
        pytest.fail(f"{sorted(loaded)} in a process of many files: name the file in ENGINES")


@pytest.fixture(autouse=True)
def _addresses_end_with_the_test() -> Iterator[None]:
    """`mlflow.set_tracking_uri` sets the variable too, which every later sweep would follow."""
    before = {name: os.environ[name] for name in ADDRESSES if name in os.environ}
    yield
    for name in ADDRESSES:
        os.environ.pop(name, None)
    os.environ.update(before)


@pytest.fixture(scope="session")
def siim() -> Path:
    """The real SIIM-ACR slice, which is not part of the project."""
    folder = find_slice()
    if folder is None:
        pytest.skip("no real images; PTXSWEEP_SIIM names their folder")
    return folder


@pytest.fixture(scope="session")
def siim_import(siim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImportReport]:
    """The real slice imported once; 300 MB, so not kept as pytest keeps other folders."""
    folder = tmp_path_factory.mktemp("siim")
    yield import_cases(siim / "dicom", siim / "train-rle.csv", folder / "store")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """What clients of an S3 server must have set; started when the first test asks for it."""
    from object_storage import s3_server

    with s3_server() as environment:
        yield environment


@pytest.fixture
def s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Address of a place in object storage that is this test's own."""
    from object_storage import BUCKET

    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{tmp_path.parent.name}/{tmp_path.name}"


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store that is laid out; doing so takes seconds."""
    from sweep.mlflow.view import init_store

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    init_store(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A finished sweep with trained weights; read it only."""
    from tiny_sweep import make_sweep

    return make_sweep(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def tiny_home(trained_home: Home, mlflow_template: Path, tmp_path: Path) -> Home:
    """A copy of the finished sweep, a fresh MLflow store, and cases that were never used."""
    from tiny_sweep import home_at

    shutil.rmtree(trained_home.folder.parent / "store" / "holdout_uses", ignore_errors=True)
    folder = tmp_path / "home"
    shutil.copytree(trained_home.folder, folder)
    shutil.copy(mlflow_template, folder / "mlflow.db")
    return home_at(folder)


@pytest.fixture
def dicom_set(tmp_path: Path) -> DicomSet:
    """Twelve DICOM files of 32 x 48 pixels and their masks, five of them positive."""
    return write_set(tmp_path / "source", num_cases=12, num_positive=5)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20_190_821)
