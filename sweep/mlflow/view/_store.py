"""The MLflow store: laid out once, opened without telemetry, patient within reason.

A SQLite store that several processes open at once for the first time is left half migrated, so
a new one is laid out under another name, behind a lock, and takes its name when it is whole.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient

from sweep.mlflow.compat import upgrade
from sweep.mlflow.view._places import settle
from sweep.util.sqlite import sqlite_file

_SQLITE = "sqlite:///"
#: They tell of every table they make, and print the traceback of what they raise as well.
_TALKATIVE = {
    "alembic": logging.WARNING,
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
}


def init_store(tracking_uri: str) -> None:
    """Lay out the store behind a tracking address, or bring it up to this version of MLflow.

    Only SQLite files are touched: a server looks after its own store, and a shared database is
    upgraded by its operator (`mlflow db upgrade URL`, after a backup). Calling it again, or from
    many processes at once, does no harm.

    Args:
        tracking_uri: Address of MLflow.

    Raises:
        OSError: The folder cannot be written to.
    """
    path = sqlite_file(tracking_uri)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")), quietly():
        for left in path.parent.glob(f".{path.name}.*/"):  # by one that was killed in the lock
            shutil.rmtree(left, ignore_errors=True)
        if path.exists() and path.stat().st_size:
            upgrade(tracking_uri)
            return
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / "store.db"
            upgrade(f"{_SQLITE}{draft}")
            draft.replace(path)


def connect(tracking_uri: str, artifacts: Path | None = None) -> MlflowClient:
    """A client of a store that is laid out; see `init_store`.

    Args:
        tracking_uri: Address of MLflow.
        artifacts: Folder of the home in which the store may lie; see `settle`.
    """
    init_store(tracking_uri)
    if artifacts is not None:
        settle(tracking_uri, artifacts)
    with quietly():
        return MlflowClient(tracking_uri, registry_uri=tracking_uri)


@contextmanager
def quietly() -> Iterator[None]:
    """MLflow's loggers say less while the block runs."""
    loggers = {logging.getLogger(name): level for name, level in _TALKATIVE.items()}
    before = {logger: logger.level for logger in loggers}
    try:
        for logger, level in loggers.items():
            logger.setLevel(level)
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)
