from __future__ import annotations

import math

import pytest

from sweep.util.numbers import all_finite, finite_or_none, mean_or


def test_a_mean_is_of_finite_values_alone() -> None:
    assert mean_or([0.1] * 10) == 0.1  # summed one by one it is 0.09999999999999999
    assert mean_or(value for value in (1, 2)) == 1.5
    assert math.isnan(mean_or([]))
    assert math.isnan(mean_or([0.5, math.inf]))
    assert mean_or([0.5, math.nan], -math.inf) == -math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_word_for_is_null(bad: float) -> None:
    assert finite_or_none(bad) is None
    assert not all_finite([0.0, bad])


def test_numbers_stay() -> None:
    assert finite_or_none(0.5) == 0.5
    assert finite_or_none(None) is None
    assert all_finite([0.0, 1])
