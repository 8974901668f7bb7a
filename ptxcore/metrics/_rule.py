"""A rule on histograms and the same rule on logits: one gives counts, the other the mask.

Both work on bins, so a predicted mask is exactly the mask that was scored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import SettingsError
from ptxcore.metrics._counts import probability_to_bin, quantise
from ptxcore.types import CaseTable, Rule


class Confusion(NamedTuple):
    """Pixels per case under a rule, int64 arrays of shape (N,)."""

    true_positive: NDArray[np.int64]
    false_positive: NDArray[np.int64]
    false_negative: NDArray[np.int64]


def check_rule(rule: Rule) -> None:
    """Refuse a rule that cannot be applied.

    Args:
        rule: `top` and `bottom` in (0, 1), `bottom` at most `top`; `min_area` in [0, 1).

    Raises:
        SettingsError: A value is out of its range, or `bottom` lies above `top`.
    """
    for name in ("top", "bottom"):
        if not 0 < getattr(rule, name) < 1:
            raise SettingsError(f"{name}: found {getattr(rule, name)}, expected a value in (0, 1)")
    if not 0 <= rule.min_area < 1:
        raise SettingsError(f"min_area: found {rule.min_area}, expected a share in [0, 1)")
    if rule.bottom > rule.top:
        raise SettingsError(f"bottom: found {rule.bottom}, expected at most top ({rule.top})")


def apply_rule(table: CaseTable, rule: Rule) -> Confusion:
    """Confusion counts of every case under a rule, from the histograms.

    Args:
        table: Counts of N cases.
        rule: See `Rule`.

    Returns:
        Pixels on the original grid, int64 of shape (N,) each.

    Raises:
        SettingsError: The rule is not valid.
    """
    check_rule(rule)
    both = table.truth + table.background
    above_top = both[:, probability_to_bin(rule.top) :].sum(1)
    found = above_top > rule.min_area * both.sum(1)
    bottom = probability_to_bin(rule.bottom)
    true_positive = np.where(found, table.truth[:, bottom:].sum(1), 0)
    false_positive = np.where(found, table.background[:, bottom:].sum(1), 0)
    return Confusion(true_positive, false_positive, table.truth.sum(1) - true_positive)


def per_case_dice(table: CaseTable, rule: Rule | None = None) -> NDArray[np.float64]:
    """Dice of each case, 2 TP / (2 TP + FP + FN) (Dice 1945).

    Args:
        table: Counts of N cases.
        rule: Without one, `Rule()`: threshold 0.5.

    Returns:
        Float64 of shape (N,) in [0, 1]; 1 where truth and prediction are both empty.

    Raises:
        SettingsError: The rule is not valid.
    """
    return ratio(*_dice_parts(apply_rule(table, rule or Rule())), empty=1.0)


def _dice_parts(counts: Confusion) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    twice = 2 * counts.true_positive
    return twice, twice + counts.false_positive + counts.false_negative


def ratio(
    over: NDArray[np.int64], under: NDArray[np.int64], *, empty: float
) -> NDArray[np.float64]:
    """Element-wise quotient of counts.

    Args:
        over: Shape (N,) or any other, 0 or more.
        under: The same shape, 0 or more.
        empty: Value where `under` is 0: what a metric makes of an empty mask.

    Returns:
        Float64 of that shape.
    """
    result = np.full(over.shape, empty, dtype=np.float64)
    return np.divide(over, under, out=result, where=under > 0)


def logits_to_mask(logits: NDArray[np.float32], rule: Rule) -> NDArray[np.bool_]:
    """The mask under a rule; the same pixels that `apply_rule` counts.

    Args:
        logits: Shape (H, W), float32, on the grid of the mask.
        rule: See `Rule`.

    Returns:
        Bool array of that shape.

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
        SettingsError: The rule is not valid.
    """
    check_rule(rule)
    bins = quantise(logits)
    num_above = np.count_nonzero(bins >= probability_to_bin(rule.top))
    if num_above <= rule.min_area * bins.size:
        return np.zeros(bins.shape, dtype=np.bool_)
    return bins >= probability_to_bin(rule.bottom)
