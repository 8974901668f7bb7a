"""From which logit of its case head a case is worth a mask: where such a case is expected to gain.

A mask gains its Dice where the case is ill and loses 1 where it is healthy (both empty = 1). The
best of many thresholds on the gains of a hundred cases is found by a handful of them, and another
handful finds another. So three smooth curves over the logit are fitted instead, two numbers each:
how likely such a case is ill, what Dice its mask has then, and how often it has one if not. A case
is worth a mask where its expected gain is above 0, the rule of Bayes (Berger, Statistical Decision
Theory, 1985, section 4.4).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptxcore.metrics._counts import BIN_MIDDLES, BIN_WIDTH, quantise
from ptxcore.metrics._detection import fit_calibration, roc_area
from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS

#: Share of cases taken to be in every bin beside those that are, to place a threshold: so that it
#: lies where the expected gain crosses 0 and not at the next case above.
_HAIR = 1e-6
#: Standard errors by which what is nothing seems to be something once in twenty times.
ONCE_IN_TWENTY = 1.645


def tells_apart(case_logits: NDArray[np.float64], positive: NDArray[np.bool_]) -> bool:
    """Whether a case head tells ill cases from healthy ones at all, more than by chance.

    The test of Mann and Whitney (Annals of Mathematical Statistics 18, 1947), one-sided at 5%.

    Args:
        case_logits: Logits of N cases, shape (N,).
        positive: Whether each has a true mask.

    Returns:
        False where all are of one kind.
    """
    num_positive = int(positive.sum())
    num_pairs = num_positive * (len(positive) - num_positive)
    if not num_pairs:
        return False
    spread = math.sqrt((len(positive) + 1) / (12 * num_pairs))
    # Corrected for continuity, without which three cases in the right order would do.
    return roc_area(case_logits, positive) - 0.5 / num_pairs > 0.5 + ONCE_IN_TWENTY * spread


class Gate(NamedTuple):
    """Expected gains by rule, each at its best case threshold.

    Attributes:
        gain: Mean over cases of the expected gain of those that pass, 0 where none does; the shape
            of the rules.
        threshold: Probability of the case head from which cases pass, the same shape; NaN where all
            do.
    """

    gain: NDArray[np.float64]
    threshold: NDArray[np.float64]


def gate_of(
    case_logits: NDArray[np.float64],
    positive: NDArray[np.bool_],
    weights: NDArray[np.float64],
    passes: NDArray[np.bool_],
    gain: NDArray[np.float64],
) -> Gate:
    """The case threshold of every rule, and what is expected of it.

    Args:
        case_logits: Logits of N cases, shape (N,).
        positive: Whether each has a true mask; both kinds are among them.
        weights: Weight of each case for the prevalence that is reckoned with, mean 1.
        passes: Whether a case has a mask by top and area, shape (N, T, A).
        gain: What it gains with a mask by the bottom threshold, shape (N, B), in [-1, 1].

    Returns:
        Arrays of shape (T, A, B).
    """
    from scipy.special import expit  # as `fit_calibration` does

    logits = np.clip(case_logits.astype(np.float64), *LOGIT_RANGE)
    slope, intercept = fit_calibration(logits, positive)
    # Both kinds weigh otherwise where the prevalence is another.
    shift = math.log(weights[positive].mean() / weights[~positive].mean())
    ill = expit(slope * BIN_MIDDLES + intercept + shift)
    expected = np.zeros((NUM_LOGIT_BINS, *passes.shape[1:], gain.shape[1]))
    for kind, share, low, high in ((positive, ill, 0, 1), (~positive, 1 - ill, -1, 0)):
        at_mean, rise, mean = _line(logits[kind], passes[kind], gain[kind])
        for place, centre in enumerate(BIN_MIDDLES):
            line = np.clip(at_mean + rise * (centre - mean), low, high)
            expected[place] += share[place] * line
    bins = quantise(logits.astype(np.float32))
    cases = np.bincount(bins, weights=weights, minlength=NUM_LOGIT_BINS) / len(bins)
    # From the highest bin down; the first maximum is the highest threshold among equals.
    passed = np.cumsum(cases[::-1, None, None, None] * expected[::-1], axis=0)
    number = (passed + _HAIR * np.cumsum(expected[::-1], axis=0)).argmax(0)
    place = NUM_LOGIT_BINS - 1 - number
    edges = expit(LOGIT_RANGE[0] + place * BIN_WIDTH)
    return Gate(
        gain=np.take_along_axis(passed, number[None], axis=0)[0],
        threshold=np.where(place <= bins.min(), np.nan, edges),
    )


def _line(
    logits: NDArray[np.float64], passes: NDArray[np.bool_], gain: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Least squares of the gain on the logit: its value at their mean, its slope, the mean."""
    mean = float(logits.mean())
    beside = logits - mean
    spread = float(beside @ beside)
    at_mean = np.einsum("nta,nb->tab", passes, gain, optimize=True) / len(logits)
    if spread <= 1e-9:
        return at_mean, np.zeros_like(at_mean), mean
    rise = np.einsum("nta,nb->tab", passes, gain * beside[:, None], optimize=True) / spread
    return at_mean, rise, mean
