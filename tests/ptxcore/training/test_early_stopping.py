"""Early stopping: exact epochs on scripted values, and no memory but the values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxcore.settings import FoldSettings
from ptxcore.training.early_stopping import EarlyStopping

UP = EarlyStopping(patience=2, min_delta=0.0, maximize=True)


@pytest.mark.parametrize(
    ("values", "best", "over"),
    [
        ([0.1], 1, False),
        ([0.1, 0.2, 0.3], 3, False),
        ([0.1, 0.3, 0.2], 2, False),
        ([0.1, 0.3, 0.2, 0.3], 2, True),  # equal is no improvement
        ([0.1, 0.3, 0.2, 0.4], 4, False),
        ([math.nan, 0.0], 2, False),
        ([0.5, math.nan, math.nan], 1, True),
        ([math.nan, math.nan, math.nan], 1, True),
    ],
)
def test_scripts_where_larger_is_better(values: list[float], best: int, over: bool) -> None:
    assert UP.best_epoch(values) == best
    assert UP.is_over(values) is over


def test_smaller_is_better_for_a_loss() -> None:
    down = EarlyStopping(patience=2, min_delta=0.0, maximize=False)
    assert down.best_epoch([0.5, 0.3, 0.4]) == 2
    assert down.is_over([0.5, 0.3, 0.4, 0.3])


def test_an_improvement_is_larger_than_min_delta() -> None:
    stopping = EarlyStopping(patience=3, min_delta=0.1, maximize=True)
    # 0.55 and 0.60 creep up from 0.5; 0.65 is more than 0.1 above it.
    assert stopping.improvements([0.5, 0.55, 0.6, 0.65]) == [1, 4]


def test_no_epoch_is_not_over() -> None:
    assert not UP.is_over([])


@pytest.mark.parametrize(
    ("metric", "maximize"), [("loss", False), ("average_precision", True), ("dice", True)]
)
def test_direction_is_that_of_the_metric(metric: str, maximize: bool) -> None:
    assert EarlyStopping.of(FoldSettings(stop_metric=metric)).maximize is maximize


def test_patience_and_min_delta_are_those_of_the_settings() -> None:
    values = [0.5, 0.65, 0.7, 0.72, 0.74]
    for min_delta, patience, improvements, over in (
        (0.0, 2, [1, 2, 3, 4, 5], False),
        (0.1, 3, [1, 2], True),
        (0.1, 4, [1, 2], False),
        (0.2, 3, [1, 4], False),
    ):
        stopping = EarlyStopping.of(FoldSettings(min_delta=min_delta, patience=patience))
        assert stopping.improvements(values) == improvements
        assert stopping.is_over(values) is over


@settings(deadline=None)
@given(
    values=st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30),
    patience=st.integers(1, 5),
    min_delta=st.floats(0, 1),
    maximize=st.booleans(),
)
def test_the_past_does_not_change(
    values: list[float], patience: int, min_delta: float, maximize: bool
) -> None:
    stopping = EarlyStopping(patience=patience, min_delta=min_delta, maximize=maximize)
    whole = stopping.improvements(values)
    assert whole[0] == 1
    for length in range(1, len(values) + 1):
        assert stopping.improvements(values[:length]) == [e for e in whole if e <= length]
