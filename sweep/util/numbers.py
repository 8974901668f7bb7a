"""Numbers of which some are none: scores of folds that diverged, metrics that no case has."""

from __future__ import annotations

import math
from collections.abc import Iterable


def all_finite(values: Iterable[float]) -> bool:
    """Whether none is NaN or infinite; so of no values."""
    return all(map(math.isfinite, values))


def mean_or(values: Iterable[float], otherwise: float = math.nan) -> float:
    """The mean, rounded once at its end.

    Args:
        values: Values of folds, any unit.
        otherwise: What it is of no values, and where one is not finite.
    """
    known = list(values)
    return math.fsum(known) / len(known) if known and all_finite(known) else otherwise


def finite_or_none(value: float | None) -> float | None:
    """As JSON has it, which knows no NaN and no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)
