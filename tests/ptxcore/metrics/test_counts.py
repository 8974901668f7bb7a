from __future__ import annotations

import math

import numpy as np
import pytest
from case_tables import rules, thresholds
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ptxcore.errors import MaskError, SettingsError, TrainingDiverged
from ptxcore.metrics import (
    apply_rule,
    build_table,
    check_rule,
    count_case,
    logits_to_mask,
    probability_to_bin,
    probability_to_logits,
    quantise,
)
from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS, Rule

finite_logits = hnp.arrays(np.float32, (5, 7), elements=st.floats(-20, 20, width=32))
masks = hnp.arrays(np.bool_, (5, 7))


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_bins_by_hand() -> None:
    logits = np.array([-100, -8, -7.95, -1 / 32, 0, 0.06, 1 / 16, 7.95, 8, 1e30], dtype=np.float32)
    assert quantise(logits).tolist() == [0, 0, 0, 127, 128, 128, 129, 255, 255, 255]


def test_edges_are_where_the_constants_say() -> None:
    low, high = LOGIT_RANGE
    edges = np.linspace(low, high, NUM_LOGIT_BINS + 1)[:-1].astype(np.float32)
    assert quantise(edges).tolist() == list(range(NUM_LOGIT_BINS))


def test_a_hand_grid() -> None:
    logits = np.array(
        [[-9, -9, 0, 1], [-9, 0, 1, 9], [-9, 0, 9, 9], [-9, -9, -9, 0]], dtype=np.float32
    )
    truth = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]], dtype=np.bool_)
    inside, outside = count_case(logits, truth)
    assert {b: n for b, n in enumerate(inside.tolist()) if n} == {128: 1, 144: 2, 255: 3}
    assert {b: n for b, n in enumerate(outside.tolist()) if n} == {0: 7, 128: 3}


@given(finite_logits, masks)
def test_every_pixel_is_counted_once(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    truth: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
) -> None:
    inside, outside = count_case(logits, truth)
    assert inside.sum() == truth.sum()
    assert outside.sum() == (~truth).sum()
    assert inside.dtype == outside.dtype == np.int64


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    logits = np.zeros((4, 4), dtype=np.float32)
    logits[1, 2] = logits[3, 3] = bad
    with pytest.raises(TrainingDiverged, match="found 2 of 16 values NaN or infinite"):
        count_case(logits, np.zeros((4, 4), dtype=np.bool_))


def test_a_mask_of_another_shape_or_type_is_refused() -> None:
    logits = np.zeros((4, 4), dtype=np.float32)
    with pytest.raises(MaskError, match=r"found bool of shape \(4, 5\), expected bool of shape"):
        count_case(logits, np.zeros((4, 5), dtype=np.bool_))
    with pytest.raises(MaskError, match="found uint8 of shape"):
        count_case(logits, np.zeros((4, 4), dtype=np.uint8))  # type: ignore[arg-type]


def test_thresholds_act_at_the_next_edge() -> None:
    assert probability_to_bin(0.5) == 128
    assert probability_to_bin(0.5001) == 129
    assert probability_to_bin(0.4999) == 128
    for edge in range(1, NUM_LOGIT_BINS):
        assert probability_to_bin(sigmoid(-8 + edge / 16)) == edge


def test_thresholds_beyond_the_bins_act_at_the_last_edge() -> None:
    assert probability_to_bin(1e-9) == 1
    assert probability_to_bin(1 - 1e-9) == 255


@given(thresholds, thresholds)
def test_a_higher_threshold_never_passes_more(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert probability_to_bin(low) <= probability_to_bin(high)


@given(thresholds)
def test_a_threshold_is_kept_to_a_sixteenth_of_a_logit(probability: float) -> None:
    edge = probability_to_bin(probability) / 16 - 8
    assert -1e-6 <= edge - math.log(probability / (1 - probability)) <= 1 / 16


@given(finite_logits)
def test_probabilities_become_the_logits_they_came_from(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    clipped = np.clip(logits, -8, 8)
    probability = (1 / (1 + np.exp(-clipped.astype(np.float64)))).astype(np.float32)
    np.testing.assert_allclose(probability_to_logits(probability), clipped, atol=1e-3)


def test_certain_probabilities_have_finite_logits() -> None:
    logits = probability_to_logits(np.array([0.0, 1.0], dtype=np.float32))
    assert quantise(logits).tolist() == [0, 255]


@given(finite_logits, masks, rules())
def test_the_mask_is_the_one_that_was_scored(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    truth: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    rule: Rule,
) -> None:
    mask = logits_to_mask(logits, rule)
    counts = apply_rule(build_table(["a"], [count_case(logits, truth)]), rule)
    assert counts.true_positive[0] == (mask & truth).sum()
    assert counts.false_positive[0] == (mask & ~truth).sum()
    assert counts.false_negative[0] == (~mask & truth).sum()


def test_a_rule_by_hand() -> None:
    logits = np.full((10, 10), -6, dtype=np.float32)
    logits[:2, :5] = 1.0  # ten pixels of 0.73
    logits[0, :3] = 3.0  # of which three of 0.95
    assert logits_to_mask(logits, Rule()).sum() == 10
    assert logits_to_mask(logits, Rule(top=0.9, bottom=0.5)).sum() == 10
    assert logits_to_mask(logits, Rule(top=0.9, bottom=0.9)).sum() == 3
    assert logits_to_mask(logits, Rule(top=0.9, min_area=0.02, bottom=0.5)).sum() == 10
    assert logits_to_mask(logits, Rule(top=0.9, min_area=0.03, bottom=0.5)).sum() == 0
    assert logits_to_mask(logits, Rule(top=0.99, bottom=0.5)).sum() == 0
    assert logits_to_mask(logits, Rule(top=0.5, bottom=0.001)).sum() == 100


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule(top=1.0), r"top: found 1\.0, expected a value in \(0, 1\)"),
        (Rule(bottom=0.0), r"bottom: found 0\.0"),
        (Rule(top=math.nan), "top: found nan"),
        (Rule(min_area=1.0), r"min_area: found 1\.0, expected a share in \[0, 1\)"),
        (Rule(top=0.5, bottom=0.6), r"bottom: found 0\.6, expected at most top \(0\.5\)"),
    ],
)
def test_a_rule_that_cannot_be_applied_is_refused(rule: Rule, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_rule(rule)
