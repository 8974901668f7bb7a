"""A sweep's files: in a folder that all workers write, or in object storage beside a driver's copy.

Workers write each attempt at a fold into a place of its own (`sweep.ray.trainable`). Drivers and
readers ask for what they need before they look for it in the sweep's folder: in object storage it
is brought there, in a folder it lies there already. `search` holds the part of the plan that
workers see; the hold-out is named in `plan` alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sweep.errors import NameTaken, StorageError
from sweep.ledger.projection import Projection, Trial
from sweep.storage import snapshots
from sweep.storage.bucket import Bucket
from sweep.storage.home import Home
from sweep.storage.retention import keep_weights, kept_trials
from sweep.storage.snapshots import SEARCH_PLACE, SEARCH_PLAN

PLAN_PLACE = "plan"
#: Beside it until the ledger has the sweep.
_MARK = "beginning.json"
#: At a start an outage is not waited out.
_CHECK_SECONDS = 5.0
_ATTEMPT = re.compile(r"trials/(\d+)/fold-(\d+)/attempt-(\d+)/")
_log = logging.getLogger(__name__)


class SweepFiles:
    """Files in a folder that the driver and all workers share: nothing is brought or sent.

    Attributes:
        folder: This driver's folder of the sweep's files.
        address: Where they are in object storage; None in a folder.
    """

    def __init__(self, folder: Path) -> None:
        """Touches nothing."""
        self.folder = folder
        self.address: str | None = None

    def check(self) -> None:
        """Refuse a storage that cannot be used.

        Raises:
            UsageError: The bucket is missing, cannot be reached or may not be written.
        """

    def claim(self, *, may_take: Callable[[dict[str, Any]], bool]) -> None:
        """Refuse a storage that cannot be used, and a name that is taken in it.

        Args:
            may_take: Whether the mark of `save_plan` is of a driver that was killed before the
                ledger had the sweep; what that one left goes.

        Raises:
            UsageError: As of `check`.
            NameTaken: It holds a sweep of that name.
        """

    def save_plan(self, mark: Mapping[str, Any]) -> None:
        """Keep the fold plan and the search space of a new sweep.

        Args:
            mark: Says that the ledger does not have the sweep yet, until `keep_plan`; plain JSON.

        Raises:
            StorageError: The storage cannot be used.
        """

    def keep_plan(self) -> None:
        """The ledger has the sweep; an outage leaves the mark, which says nothing by then."""

    def forget_plan(self) -> None:
        """Take back `save_plan`, for a sweep that did not come to be; an outage leaves it."""

    def bring_plan(self) -> None:
        """Bring the plan and the search space.

        Raises:
            StorageError: The storage cannot be used, or holds no such sweep.
        """

    def bring_folds(self, trials: Iterable[Trial], *, weights: bool = False) -> None:
        """Bring the finished folds of some trials: tables of cases, and weights if asked for.

        Raises:
            StorageError: The storage cannot be used, or what it holds is damaged.
        """

    def save_folder(self, place: str) -> None:
        """Keep a folder that the driver made inside the sweep's.

        Raises:
            StorageError: The storage cannot be used.
        """

    def bring_folder(self, place: str) -> None:
        """Bring a folder that `save_folder` kept, if it is not here.

        Raises:
            StorageError: The storage cannot be used, or what it holds is damaged.
        """

    def tidy(self, projection: Projection, *, num_kept: int) -> None:
        """Drop weights that nothing asks for, see `sweep.storage.retention`.

        Args:
            projection: The sweep, over.
            num_kept: Complete trials that keep theirs, beside the default.
        """
        keep_weights(projection, self.folder, num_kept=num_kept)


class BucketFiles(SweepFiles):
    """Files in object storage; the folder holds copies."""

    def __init__(self, folder: Path, address: str) -> None:
        """Touches nothing; the first request connects.

        Args:
            folder: This driver's folder of copies.
            address: The sweep's own, s3://bucket/prefix/name.
        """
        super().__init__(folder)
        self.address = address
        self._bucket = Bucket(address)
        self._hasty = Bucket(address, patience_seconds=_CHECK_SECONDS)

    def check(self) -> None:
        """See `SweepFiles`."""
        self._hasty.check(f".probe-{uuid.uuid4().hex}")

    def claim(self, *, may_take: Callable[[dict[str, Any]], bool]) -> None:
        """See `SweepFiles`."""
        self.check()
        mark = json.loads(self._bucket.get(_MARK) or b"null")
        if mark is not None and may_take(mark):
            self.forget_plan()
        if self._bucket.keys(PLAN_PLACE):
            raise NameTaken(
                f"{self.address} holds a sweep already; `--name` starts another one, `ptxsweep "
                f"resume {self.folder.name}` with its own --ledger goes on with it"
            )

    def save_plan(self, mark: Mapping[str, Any]) -> None:
        """See `SweepFiles`."""
        self._bucket.put(_MARK, json.dumps(dict(mark)).encode())
        for place, names in (
            (SEARCH_PLACE, (SEARCH_PLAN,)),
            (PLAN_PLACE, ("plan.json", "space.yaml")),
        ):
            snapshots.save(self._bucket, place, self.folder, names.__contains__)

    def keep_plan(self) -> None:
        """See `SweepFiles`."""
        with contextlib.suppress(StorageError):
            self._hasty.remove([_MARK])

    def forget_plan(self) -> None:
        """See `SweepFiles`."""
        with contextlib.suppress(StorageError):
            for place in (PLAN_PLACE, SEARCH_PLACE):
                snapshots.remove(self._hasty, place)
            self._hasty.remove([_MARK])

    def bring_plan(self) -> None:
        """See `SweepFiles`."""
        if not snapshots.fetch(self._bucket, PLAN_PLACE, self.folder):
            raise StorageError(
                f"{self.address} holds no sweep; give the --storage that it was started with"
            )
        snapshots.fetch(self._bucket, SEARCH_PLACE, self.folder)

    def bring_folds(self, trials: Iterable[Trial], *, weights: bool = False) -> None:
        """See `SweepFiles`."""
        scores = (score for trial in trials for score in trial.folds.values())
        for cases in (score.cases for score in scores if score.cases is not None):
            place = str(PurePosixPath(cases).parent)
            snapshots.fetch(
                self._bucket,
                place,
                self.folder / place,
                lambda file: weights or not file.startswith("best/"),
            )

    def save_folder(self, place: str) -> None:
        """See `SweepFiles`."""
        snapshots.save(self._bucket, place, self.folder / place)

    def bring_folder(self, place: str) -> None:
        """See `SweepFiles`."""
        if not (self.folder / place).exists():
            snapshots.fetch(self._bucket, place, self.folder / place)

    def tidy(self, projection: Projection, *, num_kept: int) -> None:
        """See `SweepFiles`; what fails in object storage is left and said."""
        super().tidy(projection, num_kept=num_kept)
        kept = kept_trials(projection, num_kept)
        try:
            keys = self._bucket.keys("trials")
            places = {found[0]: found for key in keys if (found := _ATTEMPT.match(key))}
            for place, parts in sorted(places.items()):
                number, fold, attempt = map(int, parts.groups())
                score = projection.trials[number].folds.get(fold)
                if score is None or score.attempt != attempt:
                    snapshots.remove(self._bucket, place.rstrip("/"))
                elif number not in kept:
                    snapshots.keep(
                        self._bucket, place.rstrip("/"), lambda file: not file.startswith("best/")
                    )
        except StorageError as error:
            _log.warning("weights that are not needed were left in storage: %s", error)


def files_of(home: Home, name: str) -> SweepFiles:
    """The files of a sweep, begun or not, where the home keeps them.

    Raises:
        UsageError: The name could leave the folder, or is no file name everywhere.
    """
    folder = home.sweep_folder(name)
    return (
        SweepFiles(folder) if home.bucket is None else BucketFiles(folder, f"{home.bucket}/{name}")
    )
