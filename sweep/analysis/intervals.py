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

- `grouped_interval` is decided on. Where the variance without strata is larger, it counts: how many
  patients are positive is chance, too, and a network worth nothing must not pass because the
  hold-out happens to hold another share of them. An added case stands for as many images of one
  patient as its design effect says (Kish, Survey Sampling, 1965; Rao and Scott, Biometrics 48,
  1992), which is estimated with half a patient added at either end: where hardly anything happened,
  a failure may take whole patients, and only many failures on single images show that it does not.
  A few patients with many failures make the mean skewed, so Student's quantile has the first term
  of the Edgeworth expansion (Johnson, Journal of the American Statistical Association 73, 1978;
  Hall, Annals of Statistics 11, 1983) where it widens. It is too wide rather than too short.
- `stated_interval` is printed. Its added cases weigh half, as in Jeffreys' prior, and the share of
  positive patients is chance only where it was not dealt. `make bench-evidence` shows that it
  covers the truth as often as it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sweep.errors import UsageError

#: Patients of a kind below which no interval is given.
MIN_PATIENTS = 5
#: Patients added at either end where the design effect is estimated, as in Jeffreys' prior.
ADDED_PATIENT = 0.5
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
    return _interval(values, groups, positive, ends, confidence, is_decided=True, is_dealt=False)


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
    return _interval(
        values, groups, positive, ends, confidence, is_decided=False, is_dealt=is_dealt
    )


def _interval(
    values: NDArray[np.float64],
    groups: Sequence[str],
    positive: NDArray[np.bool_],
    ends: Ends | None,
    confidence: float,
    *,
    is_decided: bool,
    is_dealt: bool,
) -> tuple[float, float]:
    """Both intervals."""
    if not len(groups) == len(values) == len(positive):
        raise UsageError(
            f"groups: found {len(groups)} for {len(positive)} cases, expected one for each of "
            f"{len(values)} values"
        )
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: found {confidence}, expected a value in (0, 1)")
    patients, kinds = _patients(values, groups, positive)
    total = patients.sizes.sum()
    if total == 0 or min(np.bincount(kinds)[np.unique(kinds)]) < MIN_PATIENTS:
        return np.nan, np.nan
    strata, third, lowest, highest = [], 0.0, 0.0, 0.0
    for kind in np.unique(kinds):
        own = _Patients(*(each[kinds == kind] for each in patients))
        share = own.sizes.sum() / total
        pair = (-np.inf, np.inf) if ends is None else ends[int(kind)]
        third += _third_moment(own, share)
        if ends is not None:
            own = _with_added(own, pair) if is_decided else _with_added(own, pair, 0.5, 1.0)
        strata.append(_spread(own, share))
        lowest, highest = lowest + share * pair[0], highest + share * pair[1]
    mean = sum(one.mean for one in strata)
    within = sum(one.variance for one in strata)
    if within == 0:
        return mean, mean
    freedom = within**2 / sum(one.variance**2 / one.freedom for one in strata)
    variance = within if is_dealt else max(within, _spread(patients).variance)
    low = high = float(stdtrit(freedom, (1 + confidence) / 2))
    if is_decided:
        skewness = third / variance**1.5
        term = (2 * low**2 + 1) / 6
        low, high = low + term * max(0.0, -skewness), high + term * max(0.0, skewness)
    error = variance**0.5
    return float(max(lowest, mean - low * error)), float(min(highest, mean + high * error))


def num_positive_patients(groups: Sequence[str], positive: NDArray[np.bool_]) -> int:
    """How many patients have a positive case.

    Args:
        groups: The patient of each case.
        positive: Whether each case has a true mask.
    """
    return len({group for group, has_mask in zip(groups, positive, strict=True) if has_mask})


class _Patients(NamedTuple):
    """Sum, number and sum of squares of the values of each patient that counts, and weight."""

    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]
    squares: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean over cases."""
        return float(self.weights @ self.sums) / float(self.weights @ self.sizes)


class _Spread(NamedTuple):
    """Part of a mean over cases, its linearised variance and degrees of freedom."""

    mean: float
    variance: float
    freedom: float


def _patients(
    values: NDArray[np.float64], groups: Sequence[str], positive: NDArray[np.bool_]
) -> tuple[_Patients, NDArray[np.int64]]:
    """The patients that count, and whether a case of theirs is positive."""
    counts = np.isfinite(values)
    known = np.where(counts, values, 0.0)
    _, member_of = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes, squares, num_positive = (
        np.bincount(member_of, each).astype(np.float64)
        for each in (known, counts, known**2, positive)
    )
    found = _Patients(sums, sizes, squares, np.ones(len(sizes)))
    own = sizes > 0
    return _Patients(*(each[own] for each in found)), (num_positive > 0).astype(np.int64)[own]


def _with_added(
    patients: _Patients, ends: tuple[float, float], weight: float = 1.0, size: float | None = None
) -> _Patients:
    """The patients and one more at either end, of as many images as the design effect says."""
    many = _design_effect(patients, ends) if size is None else size
    added = (
        [many * end for end in ends],
        [many, many],
        [many * end**2 for end in ends],
        [weight, weight],
    )
    return _Patients(*(np.append(*pair) for pair in zip(patients, added, strict=True)))


def _design_effect(patients: _Patients, ends: tuple[float, float]) -> float:
    """Variance over patients by that of as many independent images; 1 with an image a patient.

    It is at most the number of images a patient as images see it, sum(m^2) / sum(m).
    """
    sums, sizes, squares, _ = patients
    many = float(sizes @ sizes / sizes.sum())
    mean = patients.mean
    prior = ADDED_PATIENT * sum((end - mean) ** 2 for end in ends)
    by_patient = float(((sums - mean * sizes) ** 2).sum()) + prior * many**2
    by_image = float((squares - 2 * mean * sums + mean**2 * sizes).sum()) + prior * many
    return min(many, max(1.0, by_patient / by_image))


def _spread(patients: _Patients, share: float = 1.0) -> _Spread:
    """What some patients say of the mean over cases, of which they are a share."""
    number, weights = float(patients.weights.sum()), patients.weights
    variance = float(weights @ _residuals(patients, share) ** 2) * number / (number - 1)
    return _Spread(share * patients.mean, variance, number - 1)


def _third_moment(patients: _Patients, share: float) -> float:
    """Third moment of the same mean, of patients alone: an added case would make it skewed."""
    return float((_residuals(patients, share) ** 3).sum())


def _residuals(patients: _Patients, share: float) -> NDArray[np.float64]:
    scale = share / float(patients.weights @ patients.sizes)
    return (patients.sums - patients.mean * patients.sizes) * scale
