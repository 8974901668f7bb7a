"""Average precision of pixels, in which every positive case counts the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptxcore.types import CaseTable


def average_precision(table: CaseTable) -> float:
    """Case-weighted average precision of pixels, without any threshold.

    Each case contributes areas as shares of its own image, and the true pixels of each positive
    case are weighted to the same total, the mean true share. With t the recall and p the precision
    at or above a bin, the sum over bins of `(t[b] - t[b + 1]) p[b]` is what
    `sklearn.metrics.average_precision_score(y, bin, sample_weight=w)` gives for all pixels with
    these weights. Unweighted, the pixels of a few large pneumothoraces would decide (the largest
    tenth holds nearly half of them).

    Random logits give the mean share of true pixels (about 0.003 on SIIM-ACR); a perfect ranking
    gives 1. It moves as soon as a network ranks at all, where Dice at a threshold still lies on
    the all-empty baseline.

    Args:
        table: Counts of N cases; those without a true pixel count as background alone.

    Returns:
        A value in [0, 1]; NaN without a positive case.
    """
    if not (table.truth.sum(1) > 0).any():
        return float("nan")
    found, precision = _recall_and_precision(table)
    return float(np.clip(np.sum(found.mean(0) * precision), 0.0, 1.0))


def case_precision(table: CaseTable) -> NDArray[np.float64]:
    """What each case adds to the average precision, which is the mean over the positive ones.

    A case's value is the precision at each of its true pixels, all cases counted, averaged over
    them; so the difference between two networks on a case is one of their scores.

    Args:
        table: Counts of N cases.

    Returns:
        Shape (N,), in [0, 1]; NaN for a case without a true pixel.
    """
    positive = table.truth.sum(1) > 0
    values = np.full(len(positive), np.nan)
    if positive.any():
        found, precision = _recall_and_precision(table)
        values[positive] = np.clip(found @ precision, 0.0, 1.0)
    return values


def _recall_and_precision(table: CaseTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of each positive case's true pixels in each bin, and the precision from there up."""
    num_truth = table.truth.sum(1)
    positive = num_truth > 0
    num_pixels = num_truth + table.background.sum(1)
    share = num_truth[positive] / num_pixels[positive]
    found = table.truth[positive] / num_truth[positive, None]
    true_steps = found.mean(0) * share.sum()
    false_steps = (table.background / num_pixels[:, None]).sum(0)
    true_above = np.cumsum(true_steps[::-1])[::-1]
    false_above = np.cumsum(false_steps[::-1])[::-1]
    above = true_above + false_above
    return found, np.divide(true_above, above, out=np.zeros_like(above), where=above > 0)
