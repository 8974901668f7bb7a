"""What a sweep's winner promises at a prevalence, before any hold-out is opened."""

from __future__ import annotations

from pathlib import Path

from sweep.analysis.expected_dice import ExpectedDice, promised_by
from sweep.analysis.selection_bias import had_positives_alone
from sweep.errors import UsageError
from sweep.ledger.projection import Projection
from sweep.storage.case_stores import open_store, store_of
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep


def promise(
    home: Home, name: str, prevalence: float, store: Path | str | None = None
) -> ExpectedDice:
    """Dice that is expected at a prevalence under rules for it, out of fold.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        prevalence: Share of positive cases in (0, 1).
        store: Where its case store is now, if it moved; it knows the patients.

    Raises:
        UnknownSweep: There is no such sweep.
        UsageError: It has no winner yet, no healthy or no positive case, or a table is gone.
        StoreError: The store is missing.
        StorageError: Object storage cannot be used.
    """
    with Sweep.open(home, name) as sweep:
        best = sweep.projection.best()
        if best is None:
            raise UsageError(
                "--prevalence: found no trial with all its folds, expected a winner whose rule "
                "could be chosen for it"
            )
        require_both_kinds(sweep.projection, prevalence)
        cases = open_store(store or store_of(sweep.header, home.folder))
        groups = {case.case_id: case.group for case in cases.cases}
        sweep.files.bring_folds([best])
        return promised_by(best, sweep.folder, groups, prevalence)


def require_both_kinds(projection: Projection, prevalence: float) -> None:
    """Refuse a prevalence where no healthy case took part, before anything is done.

    Raises:
        UsageError: All cases of the search are positive.
    """
    if had_positives_alone(projection):
        raise UsageError(
            f"--prevalence: found {prevalence:g} for a sweep over positive cases alone, expected "
            "healthy ones among them: how many are called ill is not known"
        )
