"""Read a sweep once, as commands do that show it: no lease, no Optuna storage."""

from __future__ import annotations

from sweep.ledger.catalog import require_ledger
from sweep.ledger.connection import Database, open_rows
from sweep.ledger.follow import Follower
from sweep.ledger.projection import Projection
from sweep.util.collector import collector_asleep


def read_sweep(storage_url: str, name: str) -> Projection:
    """Everything the ledger holds of one sweep.

    Args:
        storage_url: SQLAlchemy URL.
        name: Name of the sweep.

    Raises:
        UnknownSweep: There is no sweep of that name, or no such file of SQLite; none is made.
        LedgerError: The database cannot be reached, or holds what we cannot read.
    """
    require_ledger(storage_url)
    with open_rows(storage_url) as rows:
        return read_rows(rows, name)


def read_rows(rows: Database, name: str) -> Projection:
    """The same of a database that is open."""
    with collector_asleep():
        return Follower(rows, name).projection
