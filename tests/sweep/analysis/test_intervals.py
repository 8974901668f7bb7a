"""Intervals over patients, against closed forms, hand computation and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sweep.analysis.intervals import (
    DIFFERENCE,
    GAIN,
    SHARE,
    grouped_interval,
    num_positive_patients,
    stated_interval,
)
from sweep.errors import UsageError
from sweep.promotion.assess import dice_intervals


def names(number: int, images: int = 1) -> list[str]:
    return [str(one) for one in range(number) for _ in range(images)]


def test_one_stratum_of_single_cases_is_students_interval(rng: np.random.Generator) -> None:
    values = rng.normal(0.5, 0.2, 40)
    found = grouped_interval(values, names(40), np.ones(40, dtype=np.bool_))
    expected = stats.t.interval(0.95, 39, values.mean(), values.std(ddof=1) / math.sqrt(40))
    assert found == pytest.approx(expected)


def test_two_strata_by_hand() -> None:
    """Six healthy cases without a false alarm and five positive ones of 0.5."""
    positive = np.arange(11) < 5
    dice = np.where(positive, 0.5, 1.0)
    low, high = grouped_interval(dice, names(11), positive, ends=SHARE)
    # Each stratum with a 0 and a 1 more: means 3.5/7 and 7/8.
    ill, healthy = np.array([0.5] * 5 + [0, 1]), np.array([1.0] * 6 + [0, 1])
    share = 5 / 11
    parts = share**2 * ill.var(ddof=1) / 7, (1 - share) ** 2 * healthy.var(ddof=1) / 8
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 6 + parts[1] ** 2 / 7)
    center = share * 0.5 + (1 - share) * 7 / 8
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert low == pytest.approx(center - half)
    assert high == pytest.approx(min(1, center + half))


def test_patients_count_and_not_their_images(rng: np.random.Generator) -> None:
    """Ten identical images of each patient are worth one."""
    values = rng.normal(0.0, 0.2, 60)
    positive = np.arange(60) < 20
    single = grouped_interval(values, names(60), positive)
    tenfold = grouped_interval(np.repeat(values, 10), names(60, 10), np.repeat(positive, 10))
    assert tenfold == pytest.approx(single)


def test_an_interval_stays_within_what_a_mean_can_be() -> None:
    positive = np.arange(20) < 10
    assert grouped_interval(np.ones(20), names(20), positive, ends=SHARE)[1] == 1
    gain = np.where(positive, 0.0, -1.0)
    assert grouped_interval(gain, names(20), positive, ends=GAIN)[0] == -0.5


def test_false_alarms_on_healthy_images_of_positive_patients() -> None:
    """They cost Dice where others have a mask, so the interval reaches below 0 there."""
    positive = np.arange(150) % 5 == 0
    positive[100:] = False  # ten healthy patients
    dice = np.where(positive, 0.3, np.where(np.arange(150) < 100, 0.0, 1.0))
    low, high = dice_intervals(dice, positive, names(30, 5))["gain"]
    assert -1 < low < (dice - ~positive).mean() < high < 0


def test_what_is_printed_by_hand() -> None:
    """As above with half a case more at either end of each stratum."""
    positive = np.arange(11) < 5
    dice = np.where(positive, 0.5, 1.0)
    low, high = stated_interval(dice, names(11), positive, ends=SHARE, is_dealt=True)
    # Weighted: 3/6 and 6.5/7; squares around them with N - 1 = 5 and 6 degrees of freedom.
    share, mean = 5 / 11, 6.5 / 7
    ill = 2 * 0.5 * 0.5**2 * 6 / 5 / 6**2
    healthy = (6 * (1 - mean) ** 2 + 0.5 * mean**2 + 0.5 * (1 - mean) ** 2) * 7 / 6 / 7**2
    parts = share**2 * ill, (1 - share) ** 2 * healthy
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 5 + parts[1] ** 2 / 6)
    center = share * 0.5 + (1 - share) * mean
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert low == pytest.approx(center - half)
    assert high == pytest.approx(min(1, center + half))
    wide = grouped_interval(dice, names(11), positive, ends=SHARE)
    assert wide[0] < low  # what is decided on is on the safe side


@pytest.mark.parametrize("is_dealt", [True, False])
def test_what_is_printed_covers_as_often_as_it_says(
    is_dealt: bool, rng: np.random.Generator
) -> None:
    """Gain over nothing on 120 cases; the share of positive cases is 0.25, dealt or by chance.

    What is decided on is too wide where it is dealt.
    """
    truth = 0.25 * 0.9 * 0.7 - 0.75 * 0.06
    printed, decided, repeats = 0, 0, 600
    for _ in range(repeats):
        positive = np.arange(120) < (30 if is_dealt else rng.binomial(120, 0.25))
        ill = np.where(rng.random(120) < 0.1, 0.0, rng.beta(7, 3, 120))
        gain = np.where(positive, ill, (rng.random(120) < 0.06) * -1.0)
        low, high = stated_interval(gain, names(120), positive, ends=GAIN, is_dealt=is_dealt)
        printed += low <= truth <= high
        low, high = grouped_interval(gain, names(120), positive, ends=GAIN)
        decided += low <= truth <= high
    assert 0.93 <= printed / repeats <= 0.97
    if is_dealt:
        assert decided / repeats > 0.97


def test_too_few_patients_of_a_kind_have_no_interval() -> None:
    values = np.linspace(0, 1, 30)
    for number in (4, 26):
        positive = np.arange(30) < number
        assert all(map(math.isnan, grouped_interval(values, names(30), positive, ends=SHARE)))
    positive = np.arange(30) < 5
    assert not math.isnan(grouped_interval(values, names(30), positive, ends=SHARE)[0])
    # Twenty images of four patients are four patients.
    two = np.arange(70) < 20
    groups = names(4, 5) + [f"healthy {one}" for one in range(50)]
    assert all(map(math.isnan, grouped_interval(np.zeros(70), groups, two, ends=SHARE)))
    assert all(map(math.isnan, grouped_interval(np.full(30, np.nan), names(30), positive)))
    assert num_positive_patients(groups, two) == 4


def test_cases_that_do_not_count_are_left_out(rng: np.random.Generator) -> None:
    positive = np.arange(40) < 12
    values = rng.uniform(size=40)
    found = grouped_interval(np.where(positive, values, np.nan), names(40), positive, ends=SHARE)
    alone = grouped_interval(values[:12], names(12), positive[:12], ends=SHARE)
    assert found == pytest.approx(alone)


def test_arguments_that_do_not_go_together() -> None:
    positive = np.zeros(4, dtype=np.bool_)
    with pytest.raises(UsageError, match="groups: found 2 for 4 cases, expected one for each of 4"):
        grouped_interval(np.zeros(4), names(2), positive)
    with pytest.raises(UsageError, match="confidence: found 1"):
        grouped_interval(np.zeros(4), names(4), positive, confidence=1.0)


@pytest.mark.parametrize("num_positive", [5, 11])
def test_the_lower_end_holds_where_misses_and_false_alarms_are_rare(
    num_positive: int, rng: np.random.Generator
) -> None:
    """Most samples show no false alarm and no miss, and look better than the truth.

    Dice over positives is 0.8 where there is no miss, misses are 5%, false alarms 3%.
    """
    num_cases = round(num_positive / 0.22)
    positive = np.arange(num_cases) < num_positive
    passed, within, repeats = 0, 0, 400
    truth = 0.22 * 0.95 * 0.8 + 0.78 * 0.97 - 0.78
    for _ in range(repeats):
        ill = np.where(rng.random(num_cases) < 0.05, 0.0, rng.beta(8, 2, num_cases))
        healthy = (rng.random(num_cases) >= 0.03) * 1.0
        gain = np.where(positive, ill, healthy - 1)
        low, high = grouped_interval(gain, names(num_cases), positive, ends=GAIN)
        passed += low > truth
        within += low <= truth <= high
    assert passed / repeats <= 0.05
    assert within / repeats >= 0.93


def test_the_difference_of_equal_models_is_above_zero_in_one_of_forty(
    rng: np.random.Generator,
) -> None:
    """Thirty patients of five images, of whom nine have positive ones."""
    groups = names(30, 5)
    positive = np.repeat(np.arange(30) < 9, 5) & (np.arange(150) % 5 < 4)
    passed, repeats = 0, 600
    for _ in range(repeats):
        patient = np.repeat(rng.normal(size=30), 5)
        both = rng.normal(size=(2, 150)) + patient
        dice = np.where(positive, stats.norm.cdf(both), both > -2.5)
        low, _ = grouped_interval(dice[0] - dice[1], groups, positive, ends=DIFFERENCE)
        passed += low > 0
    assert passed / repeats <= 0.05
