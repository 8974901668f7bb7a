"""Learning rates against closed forms."""

from __future__ import annotations

import dataclasses
import math

import pytest

from ptxcore.settings import FoldSettings
from ptxcore.training.schedules import COSINE_FLOOR, learning_rate, num_plateaus

COSINE = FoldSettings(
    learning_rate=0.1, schedule="cosine", warmup_epochs=2, max_epochs=10, augmentation_strength=0
)
PLATEAU = FoldSettings(
    learning_rate=0.1,
    schedule="plateau",
    warmup_epochs=0,
    max_epochs=100,
    patience=6,  # halves after 2 epochs without improvement
    stop_metric="average_precision",
)


def rates(settings: FoldSettings, *, steps_per_epoch: int = 5) -> list[float]:
    return [
        learning_rate(settings, step=step, steps_per_epoch=steps_per_epoch, watched=[])
        for step in range(settings.max_epochs * steps_per_epoch)
    ]


def test_warm_up_is_linear_and_reaches_the_top() -> None:
    assert rates(COSINE)[:10] == pytest.approx([0.01 * step for step in range(1, 11)])


def test_cosine_from_top_to_floor() -> None:
    values = rates(COSINE)
    assert values[10] == pytest.approx(0.1)
    assert values[30] == pytest.approx(0.1 * (COSINE_FLOOR + (1 - COSINE_FLOOR) / 2))
    last = 0.5 * (1 + math.cos(math.pi * 39 / 40))
    assert values[49] == pytest.approx(0.1 * (COSINE_FLOOR + (1 - COSINE_FLOOR) * last))
    assert values[10:] == sorted(values[10:], reverse=True)


def test_without_warm_up_the_first_step_is_at_the_top() -> None:
    settings = FoldSettings(learning_rate=0.1, warmup_epochs=0, max_epochs=1)
    assert rates(settings)[0] == pytest.approx(0.1)


def test_one_epoch_may_be_all_warm_up() -> None:
    settings = FoldSettings(learning_rate=0.1, warmup_epochs=1, max_epochs=1)
    assert rates(settings)[-1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("watched", "plateaus"),
    [
        ([], 0),
        ([0.1, 0.2, 0.3], 0),
        ([0.3, 0.2], 0),
        ([0.3, 0.2, 0.1], 1),
        ([0.3, 0.2, 0.1, 0.1], 1),
        ([0.3, 0.2, 0.1, 0.1, 0.1], 2),
        ([0.3, 0.2, 0.1, 0.4, 0.5], 1),  # what was halved stays halved
        ([0.3, 0.2, 0.1, 0.4, 0.3, 0.3], 2),
    ],
)
def test_a_plateau_halves(watched: list[float], plateaus: int) -> None:
    assert num_plateaus(PLATEAU, watched) == plateaus
    rate = learning_rate(PLATEAU, step=40, steps_per_epoch=5, watched=watched)
    assert rate == pytest.approx(0.1 * 0.5**plateaus)


def test_a_constant_rate_warms_up_and_stays() -> None:
    settings = dataclasses.replace(PLATEAU, schedule="constant", warmup_epochs=1)
    rates = [
        learning_rate(settings, step=step, steps_per_epoch=2, watched=[0.1] * 50)
        for step in (0, 1, 2, 99)
    ]
    top = settings.learning_rate
    assert rates == [top / 2, top, top, top]
