"""Where MLflow keeps files: never outside the home, though MLflow stores whole paths.

MLflow writes into its database where an experiment's artifacts lie, and every run and model under
it, as whole paths. A home that moved would make its old place anew, and one that was copied would
write into the original. So a database in a home is brought in line with the place where it is,
whenever it is opened and before a file is written.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from sweep.mlflow.compat import PLACES
from sweep.mlflow.local import local_path
from sweep.util.sqlite import sqlite_file

_PATIENCE_SECONDS = 30.0
#: MLflow gives the experiment that is always there a place in the folder that a process is in.
_DEFAULT = (
    "UPDATE experiments SET artifact_location = ?1 WHERE experiment_id = 0 AND artifact_location "
    "LIKE '%mlruns/0' AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.experiment_id = 0)"
)


def settle(tracking_uri: str, artifacts: Path) -> bool:
    """Bring the places in a home's own database in line with where the home is now.

    Servers, and databases that lie elsewhere, are left alone, and so are experiments that
    were given another place.

    Args:
        tracking_uri: Address of MLflow; its store is laid out.
        artifacts: The home's folder of artifacts.

    Returns:
        Whether something was not in line.

    Raises:
        OSError: The database cannot be read or written.
    """
    file = sqlite_file(tracking_uri)
    if file is None or not _is_same(file.parent, artifacts.parent):
        return False
    has_moved = False
    try:
        with contextlib.closing(sqlite3.connect(file, _PATIENCE_SECONDS)) as database, database:
            query = "SELECT DISTINCT artifact_location FROM experiments"
            found = [_root_of(place, artifacts) for (place,) in database.execute(query).fetchall()]
            for root in sorted({root for root in found if root is not None}):
                _move(database, root, artifacts.absolute().as_uri())
                has_moved = True
            database.execute(_DEFAULT, (f"{artifacts.absolute().as_uri()}/default",))
    except sqlite3.Error as error:
        raise OSError(f"{file}: {error}") from error
    return has_moved


def write_artifact(client: MlflowClient, place: str, path: Path, folder: str | None) -> None:
    """Copy a file to a run's artifacts.

    MLflow's client does the same, but remembers in each process where a run's artifacts were.

    Args:
        client: Client of the store.
        place: Where the run's artifacts are.
        path: Path of the file.
        folder: Inside the artifacts; None for the top.
    """
    keeper: Any = get_artifact_repository(place, tracking_uri=client.tracking_uri)  # half annotated
    keeper.log_artifact(str(path), folder)


def _root_of(place: str | None, artifacts: Path) -> str | None:
    """The former folder of artifacts that a place is in; None if it is elsewhere, or here.

    Experiments of ours lie in that folder itself, those made in MLflow's pages one below it.
    """
    path = local_path(place or "s3://")
    if path is None:
        return None
    for one, root in ((path, place), (path.parent, str(place).rpartition("/")[0])):
        if one.name == artifacts.name:
            return None if _is_same(one, artifacts) else root
    return None


def _move(database: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in PLACES:
        database.execute(
            # The names are those of MLflow's tables.
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # nosec B608
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
        )


def _is_same(path: Path, other: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)
