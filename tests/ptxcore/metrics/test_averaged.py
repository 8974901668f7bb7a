"""What case heads say together: closed forms, hand numbers and a known world."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from ptxcore.metrics import Agreement, averaged, build_table, choose_rule, count_case, per_case_dice
from ptxcore.types import CaseTable

BOTH = ("ill case", "healthy case")
TRUTH = np.zeros((4, 4), dtype=bool)
TRUTH[:2] = True


def of_pairs(*pairs: tuple[float, float]) -> Agreement:
    found = Agreement()
    for first, second in pairs:
        found.add(first, second, is_ill=False)
    return found


def test_correlations_by_hand() -> None:
    # The mean is 2, the variance 2/3, and the product of deviations (1 + 0 + 1) / 3.
    assert of_pairs((1, 1), (2, 2), (3, 3)).correlations()["healthy case"] == pytest.approx(1)
    # (0 + 0 - 1) / 3: they disagree, which counts as no agreement.
    assert of_pairs((1, 3), (2, 2), (2, 2)).correlations()["healthy case"] == 0
    # Of 1, 2; 2, 3; 3, 4 the mean is 5/2, the variance 11/12, the product (3/4 - 1/4 + 3/4) / 3.
    found = of_pairs((1, 2), (2, 3), (3, 4)).correlations()
    assert found == {"healthy case": pytest.approx((5 / 12) / (11 / 12))}


def test_kinds_are_counted_apart_and_stored() -> None:
    found = of_pairs((1, 1), (2, 2))
    found.add(3, 3, is_ill=True)
    assert found.to_stored() == {
        "num_ill": 1,
        "num_healthy": 2,
        "correlations": {"ill case": None, "healthy case": pytest.approx(1)},  # one never varies
    }


def test_logits_count_as_far_as_the_mean_of_networks_takes_them() -> None:
    far, near = of_pairs((-100, -8), (100, 8)), of_pairs((-8, -8), (8, 8))
    assert far.correlations() == near.correlations()


def world(
    rng: np.random.Generator, number: int, correlation: float, num_networks: int
) -> tuple[list[CaseTable], CaseTable]:
    """Tables of networks one by one, and of their mean, in a world of normal case logits.

    A quarter is ill; every case has a mask, which is half right where the case is ill.
    """
    ill = rng.random(number) < 1 / 4
    shared = rng.normal(size=number) * correlation**0.5
    own = rng.normal(size=(num_networks, number)) * (1 - correlation) ** 0.5
    logits = np.where(ill, 1.0, -1.0) + 1.8 * (shared + own)
    found = np.where(TRUTH | TRUTH.T, 2.0, -3.0).astype(np.float32)

    def table(heads: NDArray[np.float64]) -> CaseTable:
        rows = [count_case(found, TRUTH & is_ill) for is_ill in ill]
        names = [str(place) for place in range(number)]
        return dataclasses.replace(build_table(names, rows), case_logits=heads)

    return [table(one) for one in logits], table(logits.mean(0))


@pytest.mark.parametrize("correlation", [0.0, 0.4, 1.0])
def test_it_has_the_spread_of_the_mean(correlation: float, rng: np.random.Generator) -> None:
    singles, mean = world(rng, 3000, correlation, 5)
    found = averaged(singles[0], dict.fromkeys(BOTH, correlation), 5)
    assert found is not None
    assert found.case_logits is not None
    assert mean.case_logits is not None
    ill = mean.truth.sum(1) > 0
    for kind in (ill, ~ill):
        own, expected = found.case_logits[kind], mean.case_logits[kind]
        assert own.mean() == pytest.approx(expected.mean(), abs=0.12)
        assert own.std() == pytest.approx(expected.std(), rel=0.08)


def test_pixels_stay(rng: np.random.Generator) -> None:
    """How false alarms of one network fare among others, no common shift tells."""
    (table, *_), _ = world(rng, 50, 0.5, 2)
    found = averaged(table, dict.fromkeys(BOTH, 0.2), 5)
    assert found is not None
    np.testing.assert_array_equal(found.truth, table.truth)
    np.testing.assert_array_equal(found.background, table.background)
    assert not np.array_equal(found.case_logits, table.case_logits)


def test_networks_that_agree_change_nothing(rng: np.random.Generator) -> None:
    (table, *_), _ = world(rng, 50, 0.5, 2)
    for correlation, number in ((1.0, 5), (0.3, 1)):
        found = averaged(table, dict.fromkeys(BOTH, correlation), number)
        assert found is not None
        assert found.case_logits == pytest.approx(table.case_logits)


def test_case_logits_are_limited_before_they_are_averaged() -> None:
    """As an ensemble limits those of each network."""
    rows = [count_case(np.where(TRUTH & is_ill, 1, -1).astype(np.float32), TRUTH & is_ill)
            for is_ill in (True, False, False)]  # fmt: skip
    table = dataclasses.replace(
        build_table(["a", "b", "c"], rows), case_logits=np.array([3.0, -40.0, 0.0])
    )
    found = averaged(table, dict.fromkeys(BOTH, 0.0), 4)
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
        table = averaged(singles[0], dict.fromkeys(BOTH, 0.3), 5)
        assert table is not None
        scores = [per_case_dice(unseen, choose_rule(own)).mean() for own in (singles[0], table)]
        gains.append(scores[1] - scores[0])
    assert np.mean(gains) > 0.005
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / len(gains) ** 0.5


def test_an_unknown_class_gives_nothing_and_one_that_is_not_there_is_not_asked_for(
    rng: np.random.Generator,
) -> None:
    (table,), _ = world(rng, 60, 0.3, 1)
    known = dict.fromkeys(BOTH, 0.5)
    for name in BOTH:
        assert averaged(table, {**known, name: float("nan")}, 5) is None
    ill = table.truth.sum(1) > 0
    assert table.case_logits is not None
    healthy = CaseTable(
        case_ids=table.case_ids[~ill],
        truth=table.truth[~ill],
        background=table.background[~ill],
        case_logits=table.case_logits[~ill],
    )
    assert averaged(healthy, {"healthy case": 0.5}, 5) is not None
