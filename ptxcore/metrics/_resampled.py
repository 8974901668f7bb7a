"""A metric of many resamples of the same cases, without building their tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import SettingsError
from ptxcore.metrics._rule import apply_rule, ratio
from ptxcore.types import CaseTable, Rule


def resampled(
    metric: str, table: CaseTable, rule: Rule, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """An objective on resamples of a table's cases.

    Args:
        metric: One of `OBJECTIVES`.
        table: Counts of N cases.
        rule: How masks are made; average precision needs none.
        weights: How often each case is in each resample, 0 or more, shape (B, N).

    Returns:
        What `summarize` gives for each resample, shape (B,); NaN where that has no case to speak
        of.

    Raises:
        SettingsError: The metric is no objective.
    """
    if metric == "average_precision":
        return _average_precision(table, weights)
    hit, extra, missed = apply_rule(table, rule)
    positive, predicted = hit + missed > 0, hit + extra > 0
    dice = ratio(2 * hit, 2 * hit + extra + missed, empty=1.0)
    iou = ratio(hit, hit + extra + missed, empty=1.0)
    every = np.ones(len(hit), dtype=np.bool_)
    values, counts = {
        "dice": (dice, every),
        "dice_positive": (dice, positive),
        "iou": (iou, every),
        "iou_positive": (iou, positive),
        "pixel_sensitivity": (ratio(hit, hit + missed, empty=0.0), positive),
        "precision": (ratio(hit, hit + extra, empty=0.0), predicted),
        "case_sensitivity": (predicted, positive),
        "case_specificity": (~predicted, ~positive),
        "case_precision": (positive, predicted),
    }.get(metric, (None, every))
    if values is None:
        raise SettingsError(f"metric: found {metric!r}, expected an objective")
    num_counted = weights @ counts
    found = _quotient(weights @ (values * counts).astype(np.float64), num_counted)
    if metric in ("precision", "case_precision"):  # nothing found though something is there
        found[(num_counted == 0) & (weights @ positive > 0)] = 0.0
    return found


def _average_precision(table: CaseTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `ptxcore.metrics.average_precision`, with weights in its sums over cases."""
    num_truth = table.truth.sum(1)
    positive = num_truth > 0
    num_pixels = num_truth + table.background.sum(1)
    of_positives = weights[:, positive]
    recall_steps = _quotient(
        of_positives @ (table.truth[positive] / num_truth[positive, None]),
        of_positives.sum(1, keepdims=True),
    )
    share = of_positives @ (num_truth[positive] / num_pixels[positive])
    true_above = _from_above(recall_steps * share[:, None])
    above = true_above + _from_above(weights @ (table.background / num_pixels[:, None]))
    precision = np.divide(true_above, above, out=np.zeros_like(above), where=above > 0)
    return np.asarray(np.clip(np.sum(recall_steps * precision, axis=1), 0.0, 1.0))


def _from_above(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]


def _quotient(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(over.shape, under.shape)
    found: NDArray[np.float64] = np.full(shape, np.nan)
    np.divide(over, under, out=found, where=under > 0)
    return found
