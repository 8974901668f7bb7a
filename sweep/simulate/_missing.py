"""Missing and non-finite scores; duplicate settings with unequal scores."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError
from sweep.simulate._table import Table

#: What to do about cells that are NaN: refuse the table, drop the trial, or take it as a score
#: that is worse than every other.
Missing = Literal["refuse", "drop", "worst"]

#: The param of rows that score differently though their other params are equal.
UNRECORDED = "unrecorded"


def drop_missing(table: Table, missing: Missing) -> Table:
    """Drop configurations with a NaN among their scores, or keep them as the worst.

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


def replayable(table: Table) -> Table:
    """The table as a replay takes it, with notes on what that changes.

    Scores that are not finite count as worst. Policies train one of several equal settings; so
    where equal `params` have unequal scores (which means that settings were recorded in part),
    `UNRECORDED` tells them apart.
    """
    notes, params = list(table.notes), list(table.params)
    count = int(np.sum(~np.isfinite(table.scores)))
    if count:
        counts = "is not finite and counts" if count == 1 else "are not finite and count"
        notes.append(f"{count} {'score' if count == 1 else 'scores'} {counts} as worst")
    names = _unrecorded(table)
    for row, name in names.items():
        params[row] = {**params[row], UNRECORDED: name}
    if names:
        notes.append(
            f"{len(names)} configurations have the params of another one and other scores, so "
            f"params were recorded in part; {UNRECORDED!r} tells them apart"
        )
    return dataclasses.replace(table, notes=tuple(notes), params=tuple(params))


def _unrecorded(table: Table) -> dict[int, str]:
    """A name for what was not recorded of a row, the same for rows with the same scores."""
    alike: dict[str, dict[bytes, list[int]]] = {}
    for row, params in enumerate(table.params):
        if params:
            scores = alike.setdefault(repr(sorted(params.items())), {})
            scores.setdefault(table.scores[:, row].tobytes(), []).append(row)
    return {
        # A text: numbers would be near or far from each other.
        row: f"as of row {rows[0]}"
        for scores in alike.values()
        if len(scores) > 1
        for rows in scores.values()
        for row in rows
    }
