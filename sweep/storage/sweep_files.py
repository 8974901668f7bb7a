"""A sweep's files between object storage and this driver's copies; without a bucket, nothing to do.

Workers write each attempt at a fold into a place of its own (`sweep.ray.trainable`). Drivers and
readers bring what they need into the sweep's folder in their home, where the rest of the code
looks for it. `search` holds the part of the plan that workers see; the hold-out is named in `plan`
alone.
"""

from __future__ import annotations

import contextlib
import logging
import re
import uuid
from collections.abc import Iterable
from pathlib import PurePosixPath

from sweep.errors import NameTaken, StorageError
from sweep.ledger.projection import Projection, Trial
from sweep.storage import snapshots
from sweep.storage.bucket import Bucket
from sweep.storage.home import Home
from sweep.storage.retention import kept_trials
from sweep.storage.snapshots import SEARCH_PLACE, SEARCH_PLAN

PLAN_PLACE = "plan"
#: At a start an outage is not waited out.
_CHECK_SECONDS = 5.0
_ATTEMPT = re.compile(r"trials/(\d+)/fold-(\d+)/attempt-(\d+)/")
_log = logging.getLogger(__name__)


def address(home: Home, name: str) -> str | None:
    """Where a sweep is in object storage, None if it is in a folder."""
    return None if home.bucket is None else f"{home.bucket}/{name}"


def claim(home: Home, name: str) -> None:
    """Refuse a bucket that cannot be used, and a name that is taken in it.

    Raises:
        UsageError: The bucket is missing, cannot be reached or may not be written.
        NameTaken: It holds a sweep of that name.
    """
    check(home, name)
    if (where := address(home, name)) is not None and Bucket(where).keys(PLAN_PLACE):
        raise NameTaken(
            f"{where} holds a sweep already; `--name` starts another one, `ptxsweep resume {name}` "
            "with its own --ledger goes on with it"
        )


def check(home: Home, name: str) -> None:
    """Refuse a bucket that cannot be used.

    Raises:
        UsageError: It is missing, cannot be reached or may not be written.
    """
    if (where := address(home, name)) is not None:
        bucket = Bucket(where, patience_seconds=_CHECK_SECONDS)
        bucket.check(f".probe-{uuid.uuid4().hex}")


def save_plan(home: Home, name: str) -> None:
    """Keep the fold plan and the search space of a new sweep.

    Raises:
        StorageError: The storage cannot be used.
    """
    if (where := address(home, name)) is not None:
        bucket, folder = Bucket(where), home.sweep_folder(name)
        snapshots.save(bucket, SEARCH_PLACE, folder, lambda file: file == SEARCH_PLAN)
        snapshots.save(bucket, PLAN_PLACE, folder, lambda file: file in ("plan.json", "space.yaml"))


def forget_plan(home: Home, name: str) -> None:
    """Take back `save_plan`, for a sweep that did not come to be; an outage leaves it."""
    if (where := address(home, name)) is not None:
        with contextlib.suppress(StorageError):
            for place in (PLAN_PLACE, SEARCH_PLACE):
                snapshots.remove(Bucket(where, patience_seconds=_CHECK_SECONDS), place)


def bring_plan(home: Home, name: str) -> None:
    """Bring the plan and the search space.

    Raises:
        StorageError: The storage cannot be used, or holds no such sweep.
    """
    if (where := address(home, name)) is not None:
        bucket, folder = Bucket(where), home.sweep_folder(name)
        if not snapshots.fetch(bucket, PLAN_PLACE, folder):
            raise StorageError(
                f"{where} holds no sweep; give the --storage that it was started with"
            )
        snapshots.fetch(bucket, SEARCH_PLACE, folder)


def bring_folds(home: Home, name: str, trials: Iterable[Trial], *, weights: bool = False) -> None:
    """Bring the finished folds of some trials: tables of cases, and weights if asked for.

    Raises:
        StorageError: The storage cannot be used, or what it holds is damaged.
    """
    if (where := address(home, name)) is None:
        return
    bucket, folder = Bucket(where), home.sweep_folder(name)
    for one in trials:
        for score in one.folds.values():
            if score.cases is not None:
                place = str(PurePosixPath(score.cases).parent)
                snapshots.fetch(
                    bucket,
                    place,
                    folder / place,
                    lambda file: weights or not file.startswith("best/"),
                )


def save_folder(home: Home, name: str, place: str) -> None:
    """Keep a folder that the driver made inside the sweep's.

    Raises:
        StorageError: The storage cannot be used.
    """
    if (where := address(home, name)) is not None:
        snapshots.save(Bucket(where), place, home.sweep_folder(name) / place)


def bring_folder(home: Home, name: str, place: str) -> None:
    """Bring a folder that `save_folder` kept, if it is not here.

    Raises:
        StorageError: The storage cannot be used, or what it holds is damaged.
    """
    folder = home.sweep_folder(name) / place
    if (where := address(home, name)) is not None and not folder.exists():
        snapshots.fetch(Bucket(where), place, folder)


def tidy(home: Home, projection: Projection, name: str, *, num_kept: int) -> None:
    """As `sweep.storage.retention.keep_weights`, in object storage; what fails is left and said."""
    if (where := address(home, name)) is None:
        return
    bucket, kept = Bucket(where), kept_trials(projection, num_kept)
    try:
        keys = bucket.keys("trials")
        places = {found[0]: found for key in keys if (found := _ATTEMPT.match(key))}
        for place, parts in sorted(places.items()):
            number, fold, attempt = map(int, parts.groups())
            score = projection.trials[number].folds.get(fold)
            if score is None or score.attempt != attempt:
                snapshots.remove(bucket, place.rstrip("/"))
            elif number not in kept:
                snapshots.keep(bucket, place.rstrip("/"), lambda file: not file.startswith("best/"))
    except StorageError as error:
        _log.warning("weights that are not needed were left in storage: %s", error)
