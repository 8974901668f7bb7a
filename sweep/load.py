"""Read a sweep from its ledger, without a driver and without a lease."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.analysis.summary import SweepSummary, summarise
from sweep.ledger import Projection
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class LoadedSweep:
    """A sweep as its ledger held it when it was read; later folds need another `load_sweep`.

    Attributes:
        name: Name of the sweep.
        summary: What `ptxsweep show --json` prints: trials, fold scores, the winner.
        projection: Everything the ledger holds, what `compare` takes. Read it only.
    """

    name: str
    summary: SweepSummary
    projection: Projection


def load_sweep(home: Home | Path | str, name: str) -> LoadedSweep:
    """Read one sweep. A driver may be at work on it.

    Args:
        home: Where the sweep lives, or the home's folder; see `Home.from_environment` for what the
            environment adds to a folder.
        name: Name of the sweep.

    Raises:
        UnknownSweep: The ledger holds no sweep of that name, or there is no ledger.
        LedgerError: The ledger cannot be reached or read.
    """
    place = home if isinstance(home, Home) else Home.from_environment(home)
    with Sweep.open(place, name) as sweep:
        summary = summarise(sweep.ledger)
        return LoadedSweep(name=name, summary=summary, projection=sweep.projection)
