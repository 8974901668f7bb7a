"""Calibration error in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptxcore.metrics import build_table, summarize
from ptxcore.metrics._calibration import calibration_error
from ptxcore.types import CaseTable


def pixels(*rows: tuple[int, int, int]) -> CaseTable:
    """One case from (logit bin, true pixels, other pixels)."""
    truth, background = np.zeros((2, 256), dtype=np.int64)
    for place, inside, outside in rows:
        truth[place] += inside
        background[place] += outside
    return build_table(["case"], [(truth, background)])


def probability(place: int) -> float:
    return 1 / (1 + math.exp(8 - (place + 0.5) / 16))


@pytest.mark.parametrize("place", [0, 60, 128, 200, 255])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_one_bin_is_off_by_its_difference(place: int, share: float) -> None:
    table = pixels((place, round(1000 * share), round(1000 * (1 - share))))
    assert calibration_error(table) == pytest.approx(abs(probability(place) - share))


def test_bins_weigh_by_their_pixels() -> None:
    table = pixels((0, 0, 900), (255, 0, 100))
    expected = 0.9 * probability(0) + 0.1 * probability(255)
    assert calibration_error(table) == pytest.approx(expected)


def test_errors_cancel_within_a_bin_and_not_between() -> None:
    near = (126, 128)  # 0.480 and 0.508: both in [7/15, 8/15)
    share = sum(map(probability, near)) / 2  # 0.494, so 988 of 2,000 pixels
    right = round(2000 * share)
    within = pixels((near[0], right, 1000 - right), (near[1], 0, 1000))
    assert calibration_error(within) < 0.001
    between = pixels((20, 1000, 0), (235, 0, 1000))
    assert calibration_error(between) == pytest.approx(probability(235))


def test_it_is_among_the_metrics_and_undefined_without_pixels() -> None:
    table = pixels((100, 3, 5))
    assert summarize(table)["calibration_error"] == calibration_error(table)
    assert math.isnan(calibration_error(build_table([], [])))
