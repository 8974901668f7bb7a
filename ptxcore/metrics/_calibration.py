"""How far probabilities are from the frequencies they promise."""

from __future__ import annotations

import numpy as np

from ptxcore.metrics._counts import BIN_MIDDLES
from ptxcore.types import CaseTable

NUM_PROBABILITY_BINS = 15


def calibration_error(table: CaseTable) -> float:
    """Expected calibration error of pixels (Guo et al. 2017, arXiv:1706.04599, equation 3).

    Probabilities of the mask in 15 bins of equal width; each bin's mean probability less its share
    of true pixels, without sign, weighted by its pixels. A pixel's probability is taken at the
    middle of its logit's bin. Background is most of an image, so this number is small by nature
    and tells models apart on the same cases only.

    Args:
        table: Counts of N cases.

    Returns:
        In [0, 1]; NaN without pixels.
    """
    truth = table.truth.sum(0).astype(np.float64)
    pixels = truth + table.background.sum(0)
    if not pixels.any():
        return float("nan")
    probability = 1 / (1 + np.exp(-BIN_MIDDLES))
    # By the rounded-down bin; no middle is 1.
    place = (probability * NUM_PROBABILITY_BINS).astype(np.int64)
    gap = np.bincount(place, weights=pixels * probability - truth, minlength=NUM_PROBABILITY_BINS)
    return float(np.abs(gap).sum() / pixels.sum())
