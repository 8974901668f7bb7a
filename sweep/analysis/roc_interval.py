"""How far the area under a ROC curve of cases may be off, when cases of one patient are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from ptxcore.metrics import roc_area
from sweep.analysis.intervals import MIN_PATIENTS


def roc_interval(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], groups: Sequence[str]
) -> tuple[float, float, float]:
    """Area under the ROC curve of cases, with its 95% interval over patients.

    The variance is that of Obuchowski for clustered data (Biometrics 53, 1997), which is DeLong's
    where each patient has one case; the interval is taken on the logit scale, so that it stays
    within 0 and 1.

    Args:
        scores: Shape (N,), higher is more likely positive.
        positive: Likewise.
        groups: The patient of each case.

    Returns:
        Area, low, high; NaN without both kinds, and NaN ends where either has fewer than
        `MIN_PATIENTS` patients, or no pair is ordered wrong (or right): nothing varies there.
    """
    area = roc_area(scores, positive)
    names = np.asarray(groups)
    kinds = [len(np.unique(names[chosen])) for chosen in (positive, ~positive)]
    if math.isnan(area) or min(kinds) < MIN_PATIENTS or not 0 < area < 1:
        return area, math.nan, math.nan
    deviation = math.sqrt(_area_variance(scores, positive, names, area, kinds))
    half = -float(ndtri(0.025)) * deviation / (area * (1 - area))
    low, high = expit(logit(area) - half), expit(logit(area) + half)
    return area, float(low), float(high)


def _area_variance(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    names: NDArray[np.str_],
    area: float,
    kinds: Sequence[int],
) -> float:
    _, member_of = np.unique(names, return_inverse=True)
    num_patients, num_cases = int(member_of.max()) + 1, [positive.sum(), (~positive).sum()]
    # How each case does against all of the other kind, less the area, summed by patient.
    sums = []
    for chosen, is_ill in ((positive, True), (~positive, False)):
        rivals = np.sort(scores[~chosen])
        below = np.searchsorted(rivals, scores[chosen], "left")
        tied = np.searchsorted(rivals, scores[chosen], "right") - below
        share = (below + tied / 2) / len(rivals)
        wins = share if is_ill else 1 - share
        sums.append(np.bincount(member_of[chosen], wins - area, minlength=num_patients))
    parts = [
        number / ((number - 1) * cases**2) * float((own**2).sum())
        for own, cases, number in zip(sums, num_cases, kinds, strict=True)
    ]
    shared = float((sums[0] * sums[1]).sum()) * num_patients / (num_patients - 1)
    return max(0.0, float(sum(parts) + 2 * shared / (num_cases[0] * num_cases[1])))
