"""Every sweep that was looked at, kept in memory and brought up to date on each request.

A ledger is read once; afterwards a request costs a look at its newest row. Nothing is written, and
no hold-out is opened: what a view shows is what the ledger holds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from dashboards.live.settings import Settings
from dashboards.queries import OperatingPoints
from dashboards.report.findings import Findings, find
from sweep.analysis.operating_point import operating_points
from sweep.analysis.standing import num_looked_at
from sweep.errors import SweepError, UsageError
from sweep.ledger import Projection, require_ledger
from sweep.ledger.catalog import Listed, list_headers
from sweep.ledger.connection import close_storage, open_storage
from sweep.ledger.evidence import Evidence
from sweep.ledger.follow import Follower
from sweep.ledger.header import SweepHeader
from sweep.ledger.sql import LedgerStorage
from sweep.promotion.confirmation import Confirmation, last_confirmation

#: Sweeps whose trials are kept in memory; 1,000 trials are some 50 MB.
MAX_OPEN = 16
T = TypeVar("T")


@dataclass(kw_only=True)
class OpenSweep:
    """A sweep as it is shown, the same for as long as it is held.

    Attributes:
        follower: Its projection, and the revision of it.
        evidence: Uses of its hold-out. They are read, and no hold-out is opened.
        folder: Where its files are; None where its name is no file name.
        kept: What was worked out, by name; none of it depends on an epoch's value, so it stands
            until there is an entry, or a trial's first epoch.
        uses: Uses of its hold-out, begun and ended.
        mark: What tells when there is.
    """

    follower: Follower
    evidence: Evidence
    folder: Path | None
    kept: dict[str, Any] = field(default_factory=dict)
    uses: tuple[int, int] = (0, 0)
    mark: tuple[object, ...] = ()
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.follower.name

    @property
    def projection(self) -> Projection:
        """Everything its ledger holds. Read it only."""
        return self.follower.projection

    @property
    def header(self) -> SweepHeader:
        """What was fixed when the sweep was created."""
        return self.projection.header

    @property
    def confirmation(self) -> Confirmation | None:
        """What the hold-out said when it was last opened, None before."""
        return self.once("confirmation", lambda: last_confirmation(self))

    @property
    def revision(self) -> int:
        """Rows of the ledger that it is made of."""
        return self.follower.revision

    @property
    def points(self) -> OperatingPoints:
        """Thresholds of complete trials, as every other view has them."""
        folder = self.folder or Path("/nonexistent")
        return self.once("points", lambda: operating_points(self.projection, folder))

    @property
    def found(self) -> Findings:
        """What the report's first page says."""
        points = self.points
        return self.once("found", lambda: find(self.projection, points))

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What was worked out before, or is now.

        Args:
            name: Its name among all that is kept.
            make: Works it out, from anything but the values of epochs.
        """
        if name not in self.kept:
            self.kept[name] = make()
        found: T = self.kept[name]
        return found

    def look(self) -> None:
        """Take in what is new, and forget what it makes untrue."""
        is_new = self.follower.advance()
        uses = self.evidence.num_uses()
        if not is_new and uses == self.uses:
            return
        self.uses, follower = uses, self.follower
        entries, looked = follower.revision - follower.num_epochs, num_looked_at(self.projection)
        mark = (entries, looked, follower.identity, id(self.projection), uses)
        if mark != self.mark:
            self.kept.clear()
            self.mark = mark

    def etag(self, *parts: object) -> str:
        """What names this revision in an answer; `parts` say what else the answer depends on."""
        told = (self.name, self.revision, self.uses, self.follower.identity, *parts)
        return f'"{sha256(repr(told).encode()).hexdigest()[:24]}"'


class Ledgers:
    """The sweeps of one home."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet.

        Args:
            settings: Those of the page.
        """
        self._home = settings.home
        self._storage: LedgerStorage | None = None
        self._lock = threading.Lock()
        self._open: OrderedDict[str, OpenSweep] = OrderedDict()

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._open.clear()
            if self._storage is not None:
                close_storage(self._storage)
                self._storage = None

    def storage(self) -> LedgerStorage:
        """The database, opened when it is first needed and never made.

        Raises:
            UnknownSweep: There is no such file.
            LedgerError: It cannot be reached.
        """
        require_ledger(self._home.ledger_url)
        with self._lock:
            if self._storage is None:
                self._storage = open_storage(self._home.ledger_url)
            return self._storage

    def listed(self) -> Mapping[str, Listed]:
        """Every sweep by name, with its header and state alone, oldest first.

        Raises:
            UnknownSweep: There is no ledger yet.
            LedgerError: It cannot be read.
        """
        return list_headers(self.storage())

    def is_open(self, name: str) -> bool:
        """Whether a sweep was looked at, so that showing it is cheap."""
        return name in self._open

    @contextmanager
    def opened(self, name: str) -> Iterator[OpenSweep]:
        """A sweep as its ledger has it now; it does not change while it is held.

        Args:
            name: Name of the sweep.

        Raises:
            UnknownSweep: There is no sweep of that name.
            LedgerError: The ledger cannot be read.
        """
        storage = self.storage()
        with self._lock:
            sweep = self._open.get(name)
            if sweep is None:
                sweep = OpenSweep(
                    follower=Follower(storage, name),
                    evidence=Evidence(storage, name),
                    folder=self._folder(name),
                )
                self._open[name] = sweep
                while len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(name)
        with sweep.lock:
            try:
                sweep.look()
            except SweepError:  # deleted or renamed: the next look finds what has the name then
                with self._lock:
                    self._open.pop(name, None)
                raise
            yield sweep

    def _folder(self, name: str) -> Path | None:
        try:
            return self._home.sweep_folder(name)
        except UsageError:  # a study that another program made
            return None
