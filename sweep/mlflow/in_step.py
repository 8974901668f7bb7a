"""A sweep's run in a home's own MLflow, where it has all that the ledger has: found without MLflow.

The run of a sweep that no driver works on has a tag that says of which state of the ledger it is,
set once everything was sent. Where the tag is that of the ledger as it is now, nothing is to be
sent, and a file is copied into the run's folder as MLflow's own client would. Importing MLflow for
that takes longer than writing a report.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sqlite3
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from sweep.ledger import Ledger
from sweep.ledger.projection import Projection
from sweep.mlflow.local import local_path, opened
from sweep.storage.home import Home
from sweep.util.provenance import PRODUCT

#: Tag of a sweep's run: see `state_of`.
STATE_TAG = "ptxsweep.state_sha256"


@dataclass(frozen=True, kw_only=True)
class LocalRun:
    """A run of a home's own MLflow.

    Attributes:
        run_id: Its id.
        place: Folder of its artifacts.
    """

    run_id: str
    place: Path

    def write(self, path: Path, folder: str | None = None) -> bool:
        """Copy a file to the run's artifacts; whether that could be done.

        Args:
            path: Path of the file.
            folder: Inside the artifacts; None for the top.
        """
        target = self.place / (folder or "")
        try:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / path.name)
        except OSError:
            return False
        return True


def state_of(name: str, projection: Projection) -> str:
    """SHA-256 of all that MLflow is sent of a sweep.

    Args:
        name: Name of the sweep.
        projection: As the ledger has it, before anything is worked out that older ledgers lack. Its
            history says nothing more, and is left out.
    """
    known = dataclasses.replace(projection, history=[])
    return hashlib.sha256(repr((version(PRODUCT), name, known)).encode()).hexdigest()


def run_in_step(home: Home, ledger: Ledger) -> LocalRun | None:
    """The run of a sweep that has everything.

    Args:
        home: Home of the sweep.
        ledger: Its ledger, as it was opened.

    Returns:
        None where MLflow itself is to be asked.
    """
    projection = ledger.projection
    try:
        with opened(home.tracking_uri) as database:
            if database is None:
                return None
            found = _run(database, state_of(ledger.name, projection), len(projection.trials))
    except sqlite3.Error:
        return None
    place = None if found is None else local_path(found[1])
    if found is None or place is None or home.artifacts.resolve() not in place.resolve().parents:
        return None
    return LocalRun(run_id=found[0], place=place)


def _run(database: sqlite3.Connection, state: str, num_trials: int) -> tuple[str, str] | None:
    """Id and place of the one run of that state, which is over and has the runs of its trials."""
    query = (
        "SELECT runs.run_uuid, runs.artifact_uri FROM runs "
        "JOIN tags ON tags.run_uuid = runs.run_uuid "
        "JOIN experiments ON experiments.experiment_id = runs.experiment_id "
        "WHERE tags.key = ? AND tags.value = ? AND runs.lifecycle_stage = 'active' "
        "AND runs.status != 'RUNNING' AND experiments.lifecycle_stage = 'active'"
    )
    found = database.execute(query, (STATE_TAG, state)).fetchall()
    if len(found) != 1:
        return None
    query = (
        "SELECT count(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
        "WHERE tags.key = 'mlflow.parentRunId' AND tags.value = ? "
        "AND runs.lifecycle_stage = 'active' AND runs.status != 'RUNNING'"
    )
    (number,) = database.execute(query, (found[0][0],)).fetchone()
    return found[0] if number == num_trials else None
