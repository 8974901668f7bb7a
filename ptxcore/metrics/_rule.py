"""A rule on histograms and the same rule on logits: one gives counts, the other the mask.

Both work on bins, so a predicted mask is exactly the mask that was scored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
        rule: `top` and `bottom` in (0, 1), `bottom` at most `top`; `min_area` in [0, 1);
            `case_threshold` in (0, 1) if there is one.

    Raises:
        SettingsError: A value is out of its range, or `bottom` lies above `top`.
    """
    for name in ("top", "bottom"):
        if not 0 < getattr(rule, name) < 1:
            raise SettingsError(f"{name}: found {getattr(rule, name)}, expected a value in (0, 1)")
    if not 0 <= rule.min_area < 1:
        raise SettingsError(f"min_area: found {rule.min_area}, expected a share in [0, 1)")
    if rule.case_threshold is not None and not 0 < rule.case_threshold < 1:
        raise SettingsError(
            f"case_threshold: found {rule.case_threshold}, expected a value in (0, 1)"
        )
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
        SettingsError: The rule is not valid, or asks a case head that the table has none of.
    """
    check_rule(rule)
    both = table.truth + table.background
    above_top = both[:, probability_to_bin(rule.top) :].sum(1)
    found = above_top > rule.min_area * both.sum(1)
    if rule.case_threshold is not None:
        found &= _passes(rule, table.case_logits)
    bottom = probability_to_bin(rule.bottom)
    true_positive = np.where(found, table.truth[:, bottom:].sum(1), 0)
    false_positive = np.where(found, table.background[:, bottom:].sum(1), 0)
    return Confusion(true_positive, false_positive, table.truth.sum(1) - true_positive)


def _passes(rule: Rule, case_logits: ArrayLike | None) -> NDArray[np.bool_]:
    """Whether the case head lets cases pass: in bins, as pixels are compared."""
    assert rule.case_threshold is not None
    if case_logits is None:
        raise SettingsError(
            "case_threshold: found a rule that asks a case head, and no case logits; expected "
            "networks with case_head: true"
        )
    logits = np.asarray(case_logits, dtype=np.float32)
    return np.asarray(quantise(logits) >= probability_to_bin(rule.case_threshold))


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


def logits_to_mask(
    logits: NDArray[np.float32], rule: Rule, case_logit: float | None = None
) -> NDArray[np.bool_]:
    """The mask under a rule; the same pixels that `apply_rule` counts.

    Args:
        logits: Shape (H, W), float32, on the grid of the mask.
        rule: See `Rule`.
        case_logit: What the case head says of the image, finite; None without one.

    Returns:
        Bool array of that shape.

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
        SettingsError: The rule is not valid, or asks a case head that there is none of.
    """
    check_rule(rule)
    bins = quantise(logits)
    num_above = np.count_nonzero(bins >= probability_to_bin(rule.top))
    is_found = num_above > rule.min_area * bins.size
    if rule.case_threshold is not None:
        is_found &= bool(_passes(rule, case_logit))
    if not is_found:
        return np.zeros(bins.shape, dtype=np.bool_)
    return bins >= probability_to_bin(rule.bottom)
