"""Everything that a reader asks of a ledger; the property test and the fuzzer feed it bad bytes."""

from __future__ import annotations

from sweep.ledger import Ledger


def read_sweep(url: str, name: str) -> None:
    """Load a sweep, its best trial and its history."""
    found = Ledger.open(url, name)
    try:
        found.projection.best()
        found.projection.events()
    finally:
        found.close()
