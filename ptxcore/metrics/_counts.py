"""From logits to bins, and from bins to counts.

A threshold acts at the first edge of a bin at or above it, at most 1/16 logit up.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import MaskError, TrainingDiverged
from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS

#: Width of a bin of logits, and the middle of each.
BIN_WIDTH = (LOGIT_RANGE[1] - LOGIT_RANGE[0]) / NUM_LOGIT_BINS
BIN_MIDDLES = LOGIT_RANGE[0] + (np.arange(NUM_LOGIT_BINS) + 0.5) * BIN_WIDTH

_BINS_PER_LOGIT = 1 / BIN_WIDTH
_ZERO_BIN = -LOGIT_RANGE[0] * _BINS_PER_LOGIT


def quantise(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The bin of each logit; values beyond `LOGIT_RANGE` fall into the first or last bin.

    Args:
        logits: Any shape, float32, finite.

    Returns:
        Bin numbers of the same shape. Bin b covers [-8 + b/16, -8 + (b+1)/16).

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
    """
    values = np.asarray(logits, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        num_bad = int(values.size - np.count_nonzero(finite))
        raise TrainingDiverged(
            f"logits: found {num_bad} of {values.size} values NaN or infinite, expected finite "
            "ones; the network has diverged or its weights are damaged"
        )
    scaled = np.clip(values, LOGIT_RANGE[0], LOGIT_RANGE[1] - 0.5 / _BINS_PER_LOGIT)
    scaled *= np.float32(_BINS_PER_LOGIT)
    scaled += np.float32(_ZERO_BIN)
    return scaled.astype(np.uint8)  # truncation is the floor of what is not negative


def count_case(
    logits: NDArray[np.float32], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Histograms of the logits of one case.

    Args:
        logits: Shape (H, W), on the grid of the original mask.
        truth: Shape (H, W), bool.

    Returns:
        Pixels inside and outside the true mask by bin, each int64 of shape (NUM_LOGIT_BINS,).

    Raises:
        MaskError: The shapes differ, or the mask is not bool.
        TrainingDiverged: A logit is NaN or infinite.
    """
    mask = np.asarray(truth)
    if mask.shape != np.shape(logits) or mask.dtype != np.bool_:
        raise MaskError(
            f"truth: found {mask.dtype} of shape {mask.shape}, "
            f"expected bool of shape {np.shape(logits)}"
        )
    bins = quantise(logits)
    everywhere = np.bincount(bins.ravel(), minlength=NUM_LOGIT_BINS)
    inside = np.bincount(bins[mask], minlength=NUM_LOGIT_BINS)  # few pixels: a cheap second count
    return inside.astype(np.int64), (everywhere - inside).astype(np.int64)


def probability_to_bin(probability: float) -> int:
    """The first bin that lies at or above a probability in (0, 1).

    At least 1 and at most 255: a probability beyond what the bins resolve (0.00036, 0.99964) acts
    at their first or last edge, so a threshold never passes everything.

    Args:
        probability: Probability in (0, 1), both ends left out: `check_rule` refuses them.
    """
    logit = math.log(probability) - math.log1p(-probability)
    # The tolerance keeps a threshold that is an edge, such as 0.5, from rounding up to the next.
    edge = math.ceil(logit * _BINS_PER_LOGIT + _ZERO_BIN - 1e-6)
    return min(max(edge, 1), NUM_LOGIT_BINS - 1)


def probability_to_logits(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of the logistic function, log(p / (1 - p)), finite everywhere.

    Args:
        probability: Any shape, in [0, 1]; other floats are converted to float32. Values outside
            count as the nearer end, NaN stays NaN.

    Returns:
        Float32 of that shape in about (-13.8, 13.8): beyond the bins at both ends, so 0 and 1 count
        as the surest of them.
    """
    tiny = np.float32(1e-6)
    clipped = np.clip(np.asarray(probability, dtype=np.float32), tiny, 1 - tiny)
    logits: NDArray[np.float32] = np.log(clipped) - np.log1p(-clipped)
    return logits
