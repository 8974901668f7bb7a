"""How far a rate over cases may be off: sensitivity, specificity, and what else is yes or no.

Wilson's score interval (Journal of the American Statistical Association 22, 1927) reaches neither
below 0 nor above 1 and has a width where nothing was missed at all; Brown, Cai and DasGupta
(Statistical Science 16, 2001) recommend it for small numbers. Images of one patient are alike, so
that the number of cases is divided by the design effect, the variance over patients by that of
independent cases (Kish, Survey Sampling, 1965; for Wilson's interval Dean and Pagano, Journal of
Survey Statistics and Methodology 3, 2015). Where all cases are the same, no design effect can be
seen, and the cases of a patient count as one.

No interval of a count covers the same share everywhere: with a dozen patients Wilson's covers 0.90
to 0.98, depending on the true rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sweep.analysis.intervals import MIN_PATIENTS
from sweep.errors import UsageError


def rate_interval(
    hits: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    groups: Sequence[str],
    *,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval of the share of cases that are hits.

    Args:
        hits: Whether each case is one, shape (N,).
        counts: Whether each case counts at all, such as those with a mask for the sensitivity.
        groups: The patient of each case.
        confidence: Confidence in (0, 1).

    Returns:
        Lower and upper end in [0, 1]; NaN twice if fewer than `MIN_PATIENTS` patients count.

    Raises:
        UsageError: There is not one group per case, or the confidence is out of range.
    """
    if not len(groups) == len(hits) == len(counts):
        raise UsageError(
            f"groups: found {len(groups)} for {len(hits)} cases, expected one for each"
        )
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: found {confidence}, expected a value in (0, 1)")
    _, member_of = np.unique(np.asarray(groups)[counts], return_inverse=True)
    sizes = np.bincount(member_of).astype(np.float64)
    if len(sizes) < MIN_PATIENTS:
        return np.nan, np.nan
    num_hits = np.bincount(member_of, hits[counts]).astype(np.float64)
    rate = float(num_hits.sum() / sizes.sum())
    return wilson(rate, _effective_size(num_hits, sizes, rate), confidence)


def wilson(rate: float, size: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Args:
        rate: Share in [0, 1].
        size: Number of independent cases behind it, above 0; need not be whole.
        confidence: Confidence in (0, 1).
    """
    z = -float(ndtri((1 - confidence) / 2))
    center = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * (rate * (1 - rate) / size + z**2 / (4 * size**2)) ** 0.5
    return max(0.0, center - half), min(1.0, center + half)


def _effective_size(
    num_hits: NDArray[np.float64], sizes: NDArray[np.float64], rate: float
) -> float:
    """How many independent cases are worth those of some patients."""
    total, number = float(sizes.sum()), len(sizes)
    if total == number:
        return total
    independent = rate * (1 - rate) / total
    if independent == 0:
        return total**2 / float((sizes**2).sum())
    residuals = num_hits - rate * sizes
    variance = float((residuals**2).sum()) * number / (number - 1) / total**2
    return total / max(1.0, variance / independent)
