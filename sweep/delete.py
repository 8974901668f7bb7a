"""Delete a sweep for good: its trials, its weights, its runs in MLflow. Uses of hold-outs stay.

What was learnt from a hold-out is not forgotten with a sweep, so its evidence is set aside under a
name that no sweep can have, and goes on counting.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import UsageError
from sweep.ledger import list_sweeps
from sweep.ledger.catalog import read_state
from sweep.ledger.evidence import Evidence
from sweep.ledger.family import Family, held_family
from sweep.ledger.rename import rename_studies
from sweep.mlflow.registry import reaching
from sweep.mlflow.view import remove_runs
from sweep.promotion.registered import registered_from
from sweep.records import SweepState
from sweep.storage.bucket import Bucket
from sweep.storage.home import Home
from sweep.util.sqlite import missing_file

#: Begins the name of the evidence of a deleted sweep; no sweep's name has a colon.
SET_ASIDE = "ptxsweep:deleted:"
#: Begins the name of a folder that goes; no sweep's name begins with a dot.
_TRASH = ".deleted-"


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What is deleted with a sweep, or was.

    Attributes:
        name: Name of the sweep.
        confirmation: Its confirmation on fresh folds, which goes with it; None where there is none.
        state: Where the sweep stood.
        num_trials: Its trials.
        num_bytes: Size of the files of both, of a driver's copies where they are in object storage.
        num_holdout_uses: Uses of the hold-out by both; they stay and count.
        num_runs: Runs that were deleted in MLflow; None before, and where MLflow has none.
    """

    name: str
    confirmation: str | None
    state: SweepState
    num_trials: int
    num_bytes: int
    num_holdout_uses: int
    num_runs: int | None = None


def foresee(home: Home, name: str) -> Deletion:
    """What `delete` would delete; nothing is changed.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.

    Raises:
        UsageError: As of `delete`.
        LeaseHeld: As of `delete`.
        TrackingError: As of `delete`.
    """
    with held_family(home.ledger_url, name, "deleted") as family:
        _check_free_of_models(home, family)
        return _deletion(home, family)


def delete(home: Home, name: str) -> Deletion:
    """Delete a sweep that does not run, and its confirmation with it.

    A call that was cut off is ended by another one.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.

    Raises:
        UsageError: There is no such sweep, or a registered model comes from it.
        LeaseHeld: A driver is at work on it.
        StorageError: Object storage cannot be used.
        TrackingError: MLflow cannot be reached, so that it is not known which models come from it.
    """
    _sweep_out(home)
    with held_family(home.ledger_url, name, "deleted") as family:
        _check_free_of_models(home, family)
        found = _deletion(home, family)
        for own in family.sweeps:
            _set_aside(home.sweep_folder(own))
            if home.bucket is not None:
                bucket = Bucket(home.bucket)
                bucket.remove(bucket.keys(own))
        rename_studies(
            family.storage,
            {study: f"{SET_ASIDE}{study}:{kept}" for kept, study in family.evidence.items()},
            {},
        )
        num_runs = _remove_runs(home, family)
        for study in family.sweeps.values():
            family.storage.delete_study(study)
    _sweep_out(home)
    return Deletion(**{**vars(found), "num_runs": num_runs})


def _check_free_of_models(home: Home, family: Family) -> None:
    if models := registered_from(home, family.headers):
        raise UsageError(
            f"{family.name!r} cannot be deleted: {', '.join(models)} came from it, and what stands "
            "in the registry is judged by its folds"
        )


def _deletion(home: Home, family: Family) -> Deletion:
    uses = [Evidence(family.storage, own).uses() for own in family.sweeps]
    state, _ = read_state(family.storage, family.sweeps[family.name])
    return Deletion(
        name=family.name,
        confirmation=family.confirmation,
        state=state,
        num_trials=family.storage.get_n_trials(family.sweeps[family.name]),
        num_bytes=sum(_size(home.sweep_folder(own)) for own in family.sweeps),
        num_holdout_uses=sum(map(len, uses)),
    )


def _remove_runs(home: Home, family: Family) -> int | None:
    if missing_file(home.tracking_uri) is not None:
        return None
    with reaching(home.tracking_uri, f"{family.name!r} is not deleted to the end"):
        return sum(
            remove_runs(home.tracking_uri, own, header) for own, header in family.headers.items()
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _set_aside(folder: Path) -> None:
    """Give a folder a name under which nothing looks for it; it goes when the ledger says so."""
    if folder.exists():
        trash = folder.with_name(f"{_TRASH}{folder.name}")
        shutil.rmtree(trash, ignore_errors=True)
        folder.rename(trash)


def _sweep_out(home: Home) -> None:
    """Remove the folders of sweeps that are no more."""
    known = set(list_sweeps(home.ledger_url))
    for trash in home.storage.glob(f"{_TRASH}*"):
        if trash.name.removeprefix(_TRASH) not in known:
            shutil.rmtree(trash, ignore_errors=True)
