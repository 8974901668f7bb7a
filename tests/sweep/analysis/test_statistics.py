"""Closed forms of the corrected statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sweep.analysis.statistics import corrected_interval, mean_sd, paired_difference
from sweep.errors import UsageError

SCORES = (0.50, 0.54, 0.46, 0.52, 0.48)


def test_mean_and_sample_sd() -> None:
    mean, sd = mean_sd(SCORES)
    assert mean == pytest.approx(0.5)
    assert sd == pytest.approx(math.sqrt(0.001))  # (0 + 16 + 16 + 4 + 4) e-4 / 4
    assert mean_sd([0.3])[0] == 0.3
    assert math.isnan(mean_sd([0.3])[1])


def test_half_width_at_five_folds_is_1_86_sd() -> None:
    interval = corrected_interval(SCORES)
    factor = stats.t.ppf(0.975, 4) * math.sqrt(1 / 5 + 1 / 4)
    assert factor == pytest.approx(1.8625, abs=1e-4)
    assert (interval.high - interval.low) / 2 == pytest.approx(factor * interval.sd)
    assert (interval.high + interval.low) / 2 == pytest.approx(0.5)


def test_without_correlation_it_is_students_interval() -> None:
    interval = corrected_interval(SCORES, test_train_ratio=0.0, confidence=0.9)
    low, high = stats.t.interval(0.9, 4, loc=0.5, scale=math.sqrt(0.001 / 5))
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_coverage_with_the_true_ratio_of_scored_to_trained(rng: np.random.Generator) -> None:
    """Scores of folds whose errors are correlated by n_test / (n_test + n_train), as they assume.

    Five folds of which 15% of each training part, and no more, watch instead.
    """
    ratio = 0.2 / (0.8 * 0.85)
    correlation = ratio / (1 + ratio)
    for assumed, lowest, highest in ((ratio, 0.945, 0.955), (None, 0.93, 0.945)):
        shared = rng.normal(size=(20_000, 1)) * math.sqrt(correlation)
        scores = shared + rng.normal(size=(20_000, 5)) * math.sqrt(1 - correlation)
        found = [corrected_interval(one.tolist(), test_train_ratio=assumed) for one in scores[:4]]
        half = np.array([one.high - one.mean for one in found])
        factor = half / scores[:4].std(axis=1, ddof=1)  # one number: it serves all samples
        assert np.ptp(factor) < 1e-9
        covered = np.abs(scores.mean(1)) <= factor[0] * scores.std(axis=1, ddof=1)
        assert lowest < covered.mean() < highest


def test_paired_difference_against_a_hand_computed_t() -> None:
    second = (0.49, 0.51, 0.46, 0.50, 0.44)  # differences 0.01, 0.03, 0, 0.02, 0.04
    paired = paired_difference(SCORES, second)
    assert paired.mean == pytest.approx(0.02)
    assert paired.sd == pytest.approx(math.sqrt(0.001 / 4))
    t = 0.02 / (math.sqrt(0.001 / 4) * math.sqrt(0.45))
    assert paired.p_value == pytest.approx(2 * stats.t.sf(t, 4))
    assert paired.low < 0 < paired.high
    plain = paired_difference(SCORES, second, test_train_ratio=0.0)
    assert plain.p_value == pytest.approx(stats.ttest_rel(SCORES, second).pvalue)
    assert plain.p_value < paired.p_value


def test_the_interval_excludes_zero_exactly_when_p_is_below_alpha() -> None:
    for shift in (0.001, 0.01, 0.02, 0.03, 0.05, 0.1):
        paired = paired_difference([s + shift + 0.3 * (s - 0.5) for s in SCORES], SCORES)
        assert (paired.low > 0) == (paired.p_value < 0.05)


def test_equal_differences() -> None:
    assert paired_difference(SCORES, SCORES).p_value == 1.0
    halves = [0.5, 0.25, 0.75]
    assert paired_difference([s + 0.25 for s in halves], halves).p_value == 0.0


def test_one_fold_has_no_interval() -> None:
    interval = corrected_interval([0.4])
    assert interval.mean == 0.4
    assert math.isnan(interval.low)
    assert math.isnan(paired_difference([0.4], [0.3]).p_value)


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError, match="found none"):
        mean_sd([])
    with pytest.raises(UsageError, match="found NaN or infinity"):
        mean_sd([0.1, math.nan])
    with pytest.raises(UsageError, match="found 2 and 1 folds"):
        paired_difference([0.1, 0.2], [0.1])
    with pytest.raises(UsageError, match="confidence: found 1"):
        corrected_interval(SCORES, confidence=1)


@pytest.mark.parametrize("number", [1, 2, 40, 1000])
def test_interval_and_p_value_agree_whatever_they_are_corrected_for(number: int) -> None:
    single = paired_difference([0.01, 0.03, 0.0, 0.02, 0.04], [0.0] * 5)
    for size in (0.1, 0.5, 1, 2, 5, 20, 60):
        values = [size * (one - 0.02) + 0.05 for one in (0.01, 0.03, 0.0, 0.02, 0.04)]
        found = paired_difference(values, [0.0] * 5, num_compared=number)
        assert (found.low > 0) == (found.p_value < 0.05)
        assert found.confidence == 0.95
    found = paired_difference([0.01, 0.03, 0.0, 0.02, 0.04], [0.0] * 5, num_compared=number)
    assert found.p_value == pytest.approx(min(1.0, number * single.p_value))
    t = stats.t.isf(0.025 / number, 4)
    assert found.high - found.mean == pytest.approx(t * found.sd * math.sqrt(1 / 5 + 1 / 4))


def test_no_correction_for_none() -> None:
    with pytest.raises(UsageError, match="differences compared: found 0, expected at least 1"):
        paired_difference([0.1, 0.2], [0.1, 0.3], num_compared=0)
