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
    """What is decided on is wider at the end to which the mean is skewed."""
    values, positive = rng.normal(0.5, 0.2, 40), np.ones(40, dtype=np.bool_)
    found = stated_interval(values, names(40), positive, is_dealt=True)
    error = values.std(ddof=1) / math.sqrt(40)
    expected = stats.t.interval(0.95, 39, values.mean(), error)
    assert found == pytest.approx(expected)
    values = 1 - rng.exponential(0.2, 40)
    error = values.std(ddof=1) / math.sqrt(40)
    low, high = grouped_interval(values, names(40), positive)
    quantile = stats.t.ppf(0.975, 39)
    skewness = ((values - values.mean()) ** 3).sum() / 40**3 / error**3
    assert skewness < 0
    assert high == pytest.approx(values.mean() + quantile * error)
    wider = quantile - skewness * (2 * quantile**2 + 1) / 6
    assert low == pytest.approx(values.mean() - wider * error)


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
    assert low == pytest.approx(center - half)  # the added cases do not count as skewed
    assert high == pytest.approx(min(1, center + half))


def test_added_cases_stand_for_as_many_images_as_patients_are_alike() -> None:
    """Sixty patients of five images: nothing happened, single failures, a whole patient."""
    groups, healthy = names(60, 5), np.zeros(300, dtype=np.bool_)

    def width(failed: list[int]) -> float:
        values = np.zeros(300)
        values[failed] = -1
        low, high = grouped_interval(values, groups, healthy, ends=DIFFERENCE)
        return (high - low) / 2

    # Nothing is known of how failures fall: both added patients have all five images.
    quantile, number = stats.t.ppf(0.975, 61), 62
    assert width([]) == pytest.approx(
        quantile * math.sqrt(2 * 25 * number / (number - 1)) / 310, rel=1e-6
    )
    # Ten failures, no two of a patient: half a patient beside them at either end says 2.1.
    mean = -10 / 300
    prior = 0.5 * ((1 + mean) ** 2 + (1 - mean) ** 2)
    by_patient = 10 * (1 + 5 * mean) ** 2 + 50 * (5 * mean) ** 2 + 25 * prior
    by_image = 10 * (1 + mean) ** 2 + 290 * mean**2 + 5 * prior
    size = by_patient / by_image
    assert 2 < size < 2.3
    values = np.append(np.repeat([-1.0, 0.0], [10, 50]), [-size, size])
    sizes = np.append(np.full(60, 5.0), [size, size])
    rest = values - values.sum() / sizes.sum() * sizes
    error = math.sqrt((rest**2).sum() * 62 / 61) / sizes.sum()
    third = (np.append(np.full(10, -1 - 5 * mean), np.full(50, -5 * mean)) ** 3).sum() / 300**3
    term = -third / error**3 * (2 * quantile**2 + 1) / 6
    assert width([5 * one for one in range(10)]) == pytest.approx(
        error * (quantile + max(term, 0) / 2), rel=1e-6
    )
    # As many on two whole patients say nearly all five.
    assert width(list(range(10))) > 1.5 * width([5 * one for one in range(10)])


@pytest.mark.parametrize(("num_patients", "share"), [(50, 1.0), (150, 0.5), (150, 1.0)])
def test_failures_that_take_whole_patients_do_not_pass(
    num_patients: int, share: float, rng: np.random.Generator
) -> None:
    """Equal in the mean: 0.1 better on positive images, false alarms on those of few patients.

    Samples that hold too few of them passed in 0.27, 0.08 and 0.10.
    """
    groups = names(num_patients, 5)
    passed, repeats = 0, 400
    for _ in range(repeats):
        sick = np.arange(num_patients * 5) < num_patients * 1.5
        positive = sick & (rng.random(len(sick)) < 0.22 / 0.3)
        failed = np.repeat(rng.random(num_patients) < 0.022 / 0.78 / share, 5)
        failed &= ~positive & (rng.random(len(sick)) < share)
        lead = np.where(positive, 0.1, failed * -1.0)
        passed += grouped_interval(lead, groups, positive, ends=DIFFERENCE)[0] > 0
    assert passed / repeats <= 0.03


def test_errors_on_single_images_keep_their_power(rng: np.random.Generator) -> None:
    """80 patients of five images, 6% false alarms, +0.05; with whole patients added: a quarter."""
    groups, found, repeats = names(80, 5), 0, 200
    for _ in range(repeats):
        positive = (np.arange(400) < 120) & (rng.random(400) < 0.22 / 0.3)
        own, other = rng.random((2, 400)) >= np.array([[0.03], [0.06]])
        dice = np.where(positive, rng.beta(4, 2, (2, 400)), [own, other])
        lead = dice[0] - dice[1] + np.where(positive, 0.13, 0.0)
        found += grouped_interval(lead, groups, positive, ends=DIFFERENCE)[0] > 0
    assert found / repeats > 0.6


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
