"""What k fold scores say: means, corrected intervals, paired comparisons.

The scores of k folds are correlated, because any two training parts share most of their cases, so
SD / sqrt(k) understates the error of their mean. Nadeau and Bengio (Machine Learning 52, 2003)
correct it: SE^2 = (1/k + n_test/n_train) s^2, which is (1/k + 1/(k-1)) s^2 where a fold is trained
on all cases that it does not score. At k = 5 the 95% half-width then is 1.86 SD instead of 1.24.

Where the best of m differences is shown, each of them had its chance to look large, so interval and
p-value are corrected for m by one rule (Bonferroni): the interval has confidence 1 - 0.05/m, p is m
times as large, and p < 0.05 exactly where the interval leaves out 0. It holds however the m depend
on each other, and they do: all are taken against the same scores. Holm's p-values are smaller, but
no interval goes with them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats takes a second to import

from sweep.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over folds and how sure it is.

    Attributes:
        mean: Over folds.
        sd: Sample standard deviation over folds (divisor k - 1); NaN for one fold.
        low: Lower end of the interval; NaN for one fold.
        high: Upper end; NaN for one fold.
        confidence: Confidence of the interval, in (0, 1).
        num_folds: k.
    """

    mean: float
    sd: float
    low: float
    high: float
    confidence: float
    num_folds: int

    def within(self, lowest: float, highest: float) -> Interval:
        """Without the part where the mean cannot lie, as a t-interval does not know of it.

        Args:
            lowest: The least value that the mean can have; may be -inf.
            highest: The largest; may be inf.
        """
        return dataclasses.replace(self, low=max(self.low, lowest), high=min(self.high, highest))


@dataclass(frozen=True, kw_only=True)
class PairedDifference(Interval):
    """The mean of first minus second on the same folds.

    Attributes:
        p_value: Two-sided, of the corrected resampled t-test; NaN for one fold. Below 0.05 exactly
            where a 95% interval leaves out 0.
        num_compared: Differences that this one may be the largest of: interval and p-value are
            corrected for their number.
        error: Standard error of the mean, corrected for overlap alone; NaN for one fold.
    """

    p_value: float
    num_compared: int = 1
    error: float = math.nan

    @property
    def says_nothing(self) -> bool:
        """Whether the interval has every difference of two shares, as of very many compared."""
        return (self.low, self.high) == (-1.0, 1.0)

    def within(self, lowest: float, highest: float) -> PairedDifference:
        """Without the part where a difference of two values in [lowest, highest] cannot lie."""
        reach = highest - lowest
        return dataclasses.replace(self, low=max(self.low, -reach), high=min(self.high, reach))


def mean_sd(scores: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (divisor k - 1; NaN for one fold).

    Args:
        scores: One per fold, finite.

    Raises:
        UsageError: There is no score, or one is not finite.
    """
    values = _checked(scores)
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return float(np.mean(values)), sd


def corrected_interval(
    scores: Sequence[float],
    *,
    confidence: float = 0.95,
    test_train_ratio: float | None = None,
    num_compared: int = 1,
) -> Interval:
    """Nadeau-Bengio interval of the mean over folds.

    Args:
        scores: One per fold.
        confidence: Confidence in (0, 1); of all `num_compared` intervals together.
        test_train_ratio: n_test / n_train of a fold; 1 / (k - 1) when None.
        num_compared: Intervals that this one was chosen from, at least 1.

    Raises:
        UsageError: There is no score, one is not finite, or the confidence is out of range.
    """
    mean, sd = mean_sd(scores)
    half = _half_width(sd, len(scores), confidence, test_train_ratio, num_compared)
    return Interval(
        mean=mean,
        sd=sd,
        low=mean - half,
        high=mean + half,
        confidence=confidence,
        num_folds=len(scores),
    )


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    confidence: float = 0.95,
    test_train_ratio: float | None = None,
    num_compared: int = 1,
) -> PairedDifference:
    """Corrected resampled t-test (Nadeau and Bengio 2003) of two configurations on the same folds.

    Args:
        first: Scores of one, by fold.
        second: Scores of the other on the same folds, in the same order.
        confidence: Confidence in (0, 1); of all `num_compared` intervals together.
        test_train_ratio: n_test / n_train of a fold; 1 / (k - 1) when None.
        num_compared: Differences that this one was chosen from, at least 1 (Bonferroni).

    Raises:
        UsageError: The lengths differ, there is no score, one is not finite, or the confidence is
            out of range.
    """
    if len(first) != len(second):
        raise UsageError(
            f"paired scores: found {len(first)} and {len(second)} folds, expected the same folds"
        )
    differences = _checked(first) - _checked(second)
    plain = corrected_interval(
        differences.tolist(),
        confidence=confidence,
        test_train_ratio=test_train_ratio,
        num_compared=num_compared,
    )
    error = _standard_error(plain.sd, plain.num_folds, test_train_ratio)
    if math.isnan(error):
        p_value = math.nan
    elif error == 0.0:  # every fold differs by the same amount
        p_value = 1.0 if plain.mean == 0.0 else 0.0
    else:
        single = float(2 * stdtr(plain.num_folds - 1, -abs(plain.mean) / error))
        p_value = min(1.0, num_compared * single)
    return PairedDifference(**vars(plain), p_value=p_value, num_compared=num_compared, error=error)


def _checked(scores: Sequence[float]) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        raise UsageError("fold scores: found none, expected at least one")
    if not np.isfinite(values).all():
        raise UsageError("fold scores: found NaN or infinity, expected finite numbers")
    return values


def _standard_error(sd: float, num_folds: int, test_train_ratio: float | None) -> float:
    if num_folds < 2:
        return math.nan
    ratio = 1 / (num_folds - 1) if test_train_ratio is None else test_train_ratio
    return sd * math.sqrt(1 / num_folds + ratio)


def _half_width(
    sd: float, num_folds: int, confidence: float, test_train_ratio: float | None, num_compared: int
) -> float:
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: found {confidence}, expected a value in (0, 1)")
    if num_compared < 1:
        raise UsageError(f"differences compared: found {num_compared}, expected at least 1")
    error = _standard_error(sd, num_folds, test_train_ratio)
    if math.isnan(error):
        return math.nan
    # The lower tail, since that close to 1 a double has no digits left for the upper one.
    return -float(stdtrit(num_folds - 1, (1 - confidence) / 2 / num_compared)) * error
