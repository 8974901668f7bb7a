"""How far a mean over cases may be off, when cases of one patient are alike and some are rare.

The cases are a sample of patients, each with all their cases, in two strata: patients with a
positive case and patients without. The mean is a ratio of sums over patients, so its variance is
the linearised one of a stratified cluster sample (Cochran, Sampling Techniques, 3rd ed. 1977,
chapters 5A and 6). Its quantile is Student's with the degrees of freedom of Satterthwaite
(Biometrics Bulletin 2, 1946), since a dozen positive patients are the rule.

False alarms and misses are rare, and a stratum in which none happened would seem to be without
error. So each stratum gets a case more at either end of what a case there can score, as Agresti and
Coull (The American Statistician 52, 1998) and, for paired differences, Bonett and Price (Journal of
Educational and Behavioral Statistics 37, 2012) add to counts. Percentiles of a bootstrap over
patients cover the Dice over five to eleven positive patients in 0.80 to 0.89 of samples instead of
0.95, and know nothing of a false alarm that was not drawn.

There are two intervals, because a decision and a statement must not err in the same direction.

- `grouped_interval` is decided on. Its added cases weigh as one each, and where the variance
  without strata is larger, it counts: how many patients are positive is chance, too, and a network
  worth nothing must not pass because the hold-out happens to hold another share of them. It is too
  wide rather than too short.
- `stated_interval` is printed. Its added cases weigh half, as in Jeffreys' prior, and the share of
  positive patients is chance only where it was not dealt. `make bench-evidence` shows that it
  covers the truth as often as it says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sweep.errors import UsageError

#: Patients of a kind below which no interval is given.
MIN_PATIENTS = 5
#: The sentence that stands for it.
TOO_FEW = "too few patients for an interval"
#: What one case can score, lowest and highest: a case without a mask, then one with a mask.
Ends = tuple[tuple[float, float], tuple[float, float]]
SHARE: Ends = ((0.0, 1.0), (0.0, 1.0))
DIFFERENCE: Ends = ((-1.0, 1.0), (-1.0, 1.0))
#: Dice above that of predicting nothing, which is 1 without a mask and 0 with one.
GAIN: Ends = ((-1.0, 0.0), (0.0, 1.0))


def gain_ends(groups: Sequence[str], positive: NDArray[np.bool_]) -> Ends:
    """`GAIN`, and what a false alarm costs on the healthy images of patients with a positive case.

    Args:
        groups: The patient of each case.
        positive: Whether each case has a true mask.
    """
    ill = {group for group, has_mask in zip(groups, positive, strict=True) if has_mask}
    are_mixed = any(
        group in ill and not has_mask for group, has_mask in zip(groups, positive, strict=True)
    )
    return (GAIN[0], (-1.0, 1.0)) if are_mixed else GAIN


def grouped_interval(
    values: NDArray[np.float64],
    groups: Sequence[str],
    positive: NDArray[np.bool_],
    *,
    ends: Ends | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval of the mean over cases to decide on.

    Args:
        values: One per case, shape (N,); NaN for a case that does not count.
        groups: The patient of each case.
        positive: Whether each case has a true mask.
        ends: What one case can score; None if there are no ends.
        confidence: Confidence in (0, 1).

    Returns:
        Lower and upper end, within what a mean can be; NaN twice if a kind of patients, with a
        positive case or without, takes part with fewer than `MIN_PATIENTS`.

    Raises:
        UsageError: There is not one group per value, or the confidence is out of range.
    """
    return _interval(values, groups, positive, ends, confidence, weight=1.0, is_dealt=False)


def stated_interval(
    values: NDArray[np.float64],
    groups: Sequence[str],
    positive: NDArray[np.bool_],
    *,
    is_dealt: bool,
    ends: Ends | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval of the mean over cases to print.

    Args:
        values: As for `grouped_interval`, like what follows.
        groups: The patient of each case.
        positive: Whether each case has a true mask.
        is_dealt: Whether the share of positive patients was dealt, as `make_plan` deals it to a
            hold-out. The interval then is one for that share of positive patients.
        ends: What one case can score; None if there are no ends.
        confidence: Confidence in (0, 1).

    Raises:
        UsageError: As `grouped_interval`.
    """
    return _interval(values, groups, positive, ends, confidence, weight=0.5, is_dealt=is_dealt)


def _interval(
    values: NDArray[np.float64],
    groups: Sequence[str],
    positive: NDArray[np.bool_],
    ends: Ends | None,
    confidence: float,
    *,
    weight: float,
    is_dealt: bool,
) -> tuple[float, float]:
    """Both intervals; `weight` is that of an added case."""
    if not len(groups) == len(values) == len(positive):
        raise UsageError(
            f"groups: found {len(groups)} for {len(positive)} cases, expected one for each of "
            f"{len(values)} values"
        )
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: found {confidence}, expected a value in (0, 1)")
    sums, sizes, kinds = _patients(values, groups, positive)
    total = sizes.sum()
    if total == 0 or min(np.bincount(kinds)[np.unique(kinds)]) < MIN_PATIENTS:
        return np.nan, np.nan
    mean, low, high = 0.0, 0.0, 0.0
    variances, freedoms = [], []
    for kind in np.unique(kinds):
        share = sizes[kinds == kind].sum() / total
        pair = None if ends is None else ends[int(kind)]
        own = kinds == kind
        center, variance, freedom = _stratum(sums[own], sizes[own], pair, weight)
        mean += share * center
        variances.append(share**2 * variance)
        freedoms.append(freedom)
        low += share * (-np.inf if pair is None else pair[0])
        high += share * (np.inf if pair is None else pair[1])
    within = sum(variances)
    if within == 0:
        return mean, mean
    freedom = within**2 / sum(
        variance**2 / many for variance, many in zip(variances, freedoms, strict=True)
    )
    unstratified = 0.0 if is_dealt else _stratum(sums, sizes, None)[1]
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * max(within, unstratified) ** 0.5
    return float(max(low, mean - half)), float(min(high, mean + half))


def num_positive_patients(groups: Sequence[str], positive: NDArray[np.bool_]) -> int:
    """How many patients have a positive case.

    Args:
        groups: The patient of each case.
        positive: Whether each case has a true mask.
    """
    return len({group for group, has_mask in zip(groups, positive, strict=True) if has_mask})


def _patients(
    values: NDArray[np.float64], groups: Sequence[str], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Sum and number of values of each patient that counts, and whether a case is positive."""
    counts = np.isfinite(values)
    _, member_of = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes, num_positive = (
        np.bincount(member_of, weights).astype(np.float64)
        for weights in (np.where(counts, values, 0.0), counts, positive)
    )
    kinds = (num_positive > 0).astype(np.int64)
    return sums[sizes > 0], sizes[sizes > 0], kinds[sizes > 0]


def _stratum(
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    ends: tuple[float, float] | None,
    weight: float = 1.0,
) -> tuple[float, float, float]:
    """Mean over cases of some patients, its linearised variance, and degrees of freedom."""
    weights = np.ones(len(sums))
    if ends is not None:
        sums, sizes = np.append(sums, ends), np.append(sizes, (1.0, 1.0))
        weights = np.append(weights, (weight, weight))
    number, size = float(weights.sum()), float(weights @ sizes)
    mean = float(weights @ sums) / size
    residuals = sums - mean * sizes
    spread = float(weights @ residuals**2) * number / (number - 1)
    return mean, spread / size**2, number - 1
