"""Fixtures that several tests share; what is slow to import waits until one is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sweep.storage.home import Home


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
