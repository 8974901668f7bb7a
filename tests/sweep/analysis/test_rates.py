"""Intervals of rates, against published figures and in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sweep.analysis.rates import rate_interval, wilson
from sweep.errors import UsageError


def names(number: int, images: int = 1) -> list[str]:
    return [str(one) for one in range(number) for _ in range(images)]


def test_published_examples() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    for hits, cases, expected in (
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0000, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ):
        assert wilson(hits / cases, cases) == pytest.approx(expected, abs=5e-5)
        found = rate_interval(np.arange(cases) < hits, np.ones(cases, dtype=bool), names(cases))
        assert found == pytest.approx(expected, abs=5e-5)


def test_images_that_are_all_alike_are_worth_one() -> None:
    hits, every = np.arange(40) < 30, np.ones(40, dtype=bool)
    single = rate_interval(hits, every, names(40))
    fivefold = rate_interval(np.repeat(hits, 5), np.repeat(every, 5), names(40, 5))
    assert fivefold[0] == pytest.approx(single[0], abs=0.01)
    assert fivefold[1] == pytest.approx(single[1], abs=0.01)
    none = np.zeros(200, dtype=bool)
    assert rate_interval(none, ~none, names(40, 5)) == pytest.approx(wilson(0.0, 40))


def test_cases_that_do_not_count_and_too_few_patients() -> None:
    hits, counts = np.arange(60) < 8, np.arange(60) < 10
    assert rate_interval(hits, counts, names(60)) == pytest.approx(wilson(0.8, 10))
    few = rate_interval(hits, counts, names(20, 3))  # four patients
    assert all(map(math.isnan, few))
    assert all(map(math.isnan, rate_interval(hits, np.zeros(60, dtype=bool), names(60))))


def test_arguments_that_do_not_go_together() -> None:
    hits = np.zeros(4, dtype=bool)
    with pytest.raises(UsageError, match="groups: found 2 for 4 cases, expected one for each"):
        rate_interval(hits, hits, names(2))
    with pytest.raises(UsageError, match="confidence: found 1"):
        rate_interval(hits, hits, names(4), confidence=1)


@pytest.mark.parametrize("rate", [0.06, 0.15, 0.8])
def test_coverage_with_five_alike_images_a_patient(rate: float, rng: np.random.Generator) -> None:
    """Sixty patients, images correlated by 0.3 on the scale of their normal scores."""
    covered, as_if_independent, repeats = 0, 0, 1000
    every, groups = np.ones(300, dtype=bool), names(60, 5)
    level = stats.norm.ppf(rate)
    patients = np.repeat(rng.normal(size=(repeats, 60)), 5, axis=1) * math.sqrt(0.3)
    hits = patients + rng.normal(size=(repeats, 300)) * math.sqrt(0.7) < level
    for one in hits:
        low, high = rate_interval(one, every, groups)
        covered += low <= rate <= high
        low, high = wilson(one.mean(), 300)
        as_if_independent += low <= rate <= high
    assert 0.93 <= covered / repeats <= 0.97
    assert as_if_independent / repeats < 0.93
