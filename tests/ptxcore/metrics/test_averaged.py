"""What the mean of networks would say: closed forms, hand numbers and a known world."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from ptxcore.metrics import Agreement, averaged, build_table, choose_rule, count_case, per_case_dice
from ptxcore.types import CaseTable

ALL = ("truth", "beside the truth", "healthy image", "ill case", "healthy case")
TRUTH = np.zeros((4, 4), dtype=bool)
TRUTH[:2] = True
HEALTHY = np.zeros((4, 4), dtype=bool)


def pair(*values: tuple[float, float], truth: NDArray[np.bool_] = HEALTHY) -> dict[str, float]:
    """Correlations after images of which each pixel has the same logit, one pair of values each."""
    found = Agreement()
    for one, other in values:
        maps = (np.full(truth.shape, value, dtype=np.float32) for value in (one, other))
        first, second = ((own, float(own[0, 0])) for own in maps)
        found.add(first, second, truth)
    return found.correlations()


def test_correlations_by_hand() -> None:
    # The mean is 2, the variance 2/3, and the product of deviations (1 + 0 + 1) / 3.
    assert pair((1, 1), (2, 2), (3, 3))["healthy image"] == pytest.approx(1)
    # (0 + 0 - 1) / 3: they disagree, which counts as no agreement.
    assert pair((1, 3), (2, 2), (2, 2))["healthy image"] == 0
    # Of 1, 2; 2, 3; 3, 4 the mean is 5/2, the variance 11/12, the product (3/4 - 1/4 + 3/4) / 3.
    found = pair((1, 2), (2, 3), (3, 4))
    assert found["healthy image"] == pytest.approx((5 / 12) / (11 / 12))
    assert found["healthy case"] == pytest.approx(5 / 11)
    assert {*found} == {"healthy image", "healthy case"}


def test_pixels_are_compared_inside_and_outside_the_truth_apart() -> None:
    found = Agreement()
    for inside, outside in ((1.0, -5.0), (3.0, -4.0)):
        first = np.where(TRUTH, inside, outside).astype(np.float32)
        second = np.where(TRUTH, inside, -9.0 - outside).astype(np.float32)
        found.add((first, None), (second, None), TRUTH)
    assert (found.num_ill, found.num_healthy) == (2, 0)
    assert found.correlations() == {"truth": pytest.approx(1), "beside the truth": 0}


def test_what_never_varies_has_no_correlation() -> None:
    assert np.isnan(pair((2, 2), (2, 2))["healthy image"])


def test_logits_count_as_far_as_the_mean_of_networks_takes_them() -> None:
    assert pair((-100, -8), (100, 8)) == pair((-8, -8), (8, 8))


def world(
    rng: np.random.Generator, number: int, correlation: float, num_networks: int
) -> tuple[list[CaseTable], CaseTable]:
    """Tables of networks one by one, and of their mean, in a world of normal logits.

    A quarter is ill; a case has four pixels of one logit in its truth and twelve of another beside.
    """
    ill = rng.random(number) < 1 / 4
    means = np.where(ill[:, None], [-1.0, -3.0, 1.0], [-3.0, -3.0, -1.0])  # truth, beside, case
    shared = rng.normal(size=(number, 3)) * correlation**0.5
    own = rng.normal(size=(num_networks, number, 3)) * (1 - correlation) ** 0.5
    logits = means + 1.8 * (shared + own)

    def table(values: NDArray[np.float64]) -> CaseTable:
        truth = np.zeros((4, 4), dtype=bool)
        truth[0] = True
        rows = [
            count_case(np.where(truth & is_ill, of[0], of[1]).astype(np.float32), truth & is_ill)
            for of, is_ill in zip(values, ill, strict=True)
        ]
        names = [str(place) for place in range(number)]
        return dataclasses.replace(build_table(names, rows), case_logits=values[:, 2])

    return [table(one) for one in logits], table(logits.mean(0))


@pytest.mark.parametrize("correlation", [0.0, 0.4, 1.0])
def test_it_has_the_spread_of_the_mean(correlation: float, rng: np.random.Generator) -> None:
    singles, mean = world(rng, 3000, correlation, 5)
    found = averaged(singles[0], dict.fromkeys(ALL, correlation), 5)
    assert found is not None
    ill = mean.truth.sum(1) > 0
    np.testing.assert_array_equal(found.truth.sum(1), mean.truth.sum(1))
    np.testing.assert_array_equal(found.background.sum(1), mean.background.sum(1))
    assert found.case_logits is not None
    assert mean.case_logits is not None
    bins = np.arange(found.truth.shape[1])
    for kind in (ill, ~ill):
        of_pixels = [bins.repeat(own.background[kind].sum(0)) / 16 for own in (found, mean)]
        for own, expected in (
            (found.case_logits[kind], mean.case_logits[kind]),
            of_pixels,
        ):
            assert own.mean() == pytest.approx(expected.mean(), abs=0.12)
            assert own.std() == pytest.approx(expected.std(), rel=0.08)


def test_networks_that_agree_change_nothing(rng: np.random.Generator) -> None:
    (table, *_), _ = world(rng, 50, 0.5, 2)
    for correlation, number in ((1.0, 5), (0.3, 1)):
        found = averaged(table, dict.fromkeys(ALL, correlation), number)
        assert found is not None
        assert found.case_logits == pytest.approx(table.case_logits)
        np.testing.assert_array_equal(found.truth, table.truth)
        np.testing.assert_array_equal(found.background, table.background)


def test_case_logits_are_limited_before_they_are_averaged() -> None:
    """As an ensemble limits those of each network."""
    rows = [count_case(np.where(TRUTH & is_ill, 1, -1).astype(np.float32), TRUTH & is_ill)
            for is_ill in (True, False, False)]  # fmt: skip
    table = dataclasses.replace(
        build_table(["a", "b", "c"], rows), case_logits=np.array([3.0, -40.0, 0.0])
    )
    found = averaged(table, dict.fromkeys(ALL, 0.0), 4)
    assert found is not None
    # The mean of -8 and 0 is -4, from which either goes half of the way.
    assert found.case_logits == pytest.approx([3, -6, -2])


def test_a_rule_for_the_mean_is_better_than_one_for_a_single_network(
    rng: np.random.Generator,
) -> None:
    gains = []
    for _ in range(10):
        singles, _ = world(rng, 200, 0.3, 5)
        _, unseen = world(rng, 2000, 0.3, 5)
        table = averaged(singles[0], dict.fromkeys(ALL, 0.3), 5)
        assert table is not None
        scores = [per_case_dice(unseen, choose_rule(own)).mean() for own in (singles[0], table)]
        gains.append(scores[1] - scores[0])
    assert np.mean(gains) > 0.005
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / len(gains) ** 0.5


def test_an_unknown_class_gives_nothing_and_one_that_is_not_there_is_not_asked_for(
    rng: np.random.Generator,
) -> None:
    (table,), _ = world(rng, 60, 0.3, 1)
    known = dict.fromkeys(ALL, 0.5)
    for name in ALL:
        assert averaged(table, {**known, name: float("nan")}, 5) is None
    without_head = dataclasses.replace(table, case_logits=None)
    found = averaged(without_head, dict.fromkeys(ALL[:3], 0.5), 5)
    assert found is not None
    assert found.case_logits is None
    ill = table.truth.sum(1) > 0
    healthy = CaseTable(
        case_ids=table.case_ids[~ill],
        truth=table.truth[~ill],
        background=table.background[~ill],
    )
    assert averaged(healthy, {"healthy image": 0.5}, 5) is not None
