"""One sweep of a home, opened once for all that read it: its ledger, its evidence, its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweep.ledger import Ledger, Projection, SweepHeader
from sweep.ledger.evidence import Evidence
from sweep.storage.home import Home
from sweep.storage.renaming import settle
from sweep.storage.sweep_files import SweepFiles, files_of


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep with an open connection to its database; `open` makes one.

    Attributes:
        home: Where the sweep lives.
        ledger: Its ledger, as it was when it was opened; no lease is held.
        evidence: Every use of its hold-out, over the same connection.
    """

    home: Home
    ledger: Ledger
    evidence: Evidence

    @classmethod
    @contextmanager
    def open(cls, home: Home, name: str) -> Iterator[Sweep]:
        """Connect, read the ledger, and let go at the end.

        Args:
            home: Where the sweep lives.
            name: Name of the sweep.

        Raises:
            UnknownSweep: There is no sweep of that name.
            LedgerError: The database cannot be reached, or holds what we cannot read.
        """
        settle(home)
        ledger = Ledger.open(home.ledger_url, name)
        try:
            yield cls(home=home, ledger=ledger, evidence=Evidence(ledger.storage, name))
        finally:
            ledger.close()

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.ledger.name

    @property
    def header(self) -> SweepHeader:
        """What was fixed when the sweep was created."""
        return self.ledger.header

    @property
    def projection(self) -> Projection:
        """Everything the ledger holds."""
        return self.ledger.projection

    @property
    def folder(self) -> Path:
        """This driver's folder of the sweep's files."""
        return self.home.sweep_folder(self.name)

    @property
    def files(self) -> SweepFiles:
        """The sweep's files, in a folder or in object storage."""
        return files_of(self.home, self.name)
