"""What becomes of scores that are missing or not finite, and of settings that do not tell apart."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError
from sweep.simulate._table import Table

#: What to do about cells that are NaN: refuse the table, drop the candidate, or take it as a score
#: that is worse than every other.
Missing = Literal["refuse", "drop", "worst"]


def mask(table: Table, missing: Missing) -> Table:
    """Settle what happens to configurations with a NaN among their scores.

    Raises:
        UsageError: There is one and `missing` is "refuse", or none is left that has all folds of
            a partition.
    """
    holes: NDArray[np.bool_] = np.asarray(np.isnan(table.scores).any(axis=(0, 2)))
    if missing == "worst" or not holes.any():
        return _with_a_best(table)
    if missing == "refuse":
        raise UsageError(
            f"{table.name}: {int(holes.sum())} of {len(holes)} configurations miss scores; "
            "leave them out (--missing drop) or let a missing score be the worst (--missing worst)"
        )
    if holes.all():
        raise UsageError(f"{table.name}: every configuration misses a score, none can be replayed")
    return _with_a_best(table.rows(np.flatnonzero(~holes)))


def _with_a_best(table: Table) -> Table:
    if not np.isfinite(table.scores).all(axis=2).any():
        raise UsageError(
            f"{table.name}: found no configuration with finite scores on all folds of a partition, "
            "expected at least one: without it nothing can be found"
        )
    return table


def settled(table: Table) -> Table:
    """The table with a note on scores that are not finite: a replay takes them for the worst."""
    count = int(np.sum(~np.isfinite(table.scores)))
    if not count:
        return table
    note = (
        "1 score is not finite and counts as worst"
        if count == 1
        else f"{count} scores are not finite and count as worst"
    )
    return dataclasses.replace(table, notes=(*table.notes, note))
