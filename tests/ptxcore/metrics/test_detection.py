"""Whether a case has anything at all: scores, their order, their probability, their threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from ptxcore.metrics import (
    apply_rule,
    build_table,
    case_score,
    case_scores,
    count_case,
    fit_calibration,
    roc_area,
    threshold_for,
)
from ptxcore.types import Rule

logits = hnp.arrays(np.float32, (5, 6), elements=st.floats(-9, 9, width=32))


@given(logits, st.sampled_from([0.0, 0.04, 0.1, 0.5]), st.sampled_from([0.02, 0.3, 0.5, 0.95]))
def test_a_rule_finds_what_its_score_says(values: np.ndarray, min_area: float, top: float) -> None:
    table = build_table(["one"], [count_case(values, np.zeros((5, 6), dtype=np.bool_))])
    score = case_scores(table, min_area)[0]
    assert case_score(values, min_area) == score
    found = apply_rule(table, Rule(top=top, min_area=min_area, bottom=0.02))
    edge = np.log(top / (1 - top))
    if abs(score - edge) > 1 / 16:
        assert (found.false_positive[0] > 0) == (score > edge)


def test_score_by_hand() -> None:
    values = np.full((2, 5), -4.0, dtype=np.float32)
    values[0, :3] = 2.0, 1.0, 0.5
    table = build_table(["one"], [count_case(values, values > 3)])
    assert [case_scores(table, share)[0] for share in (0.0, 0.1, 0.2, 0.3)] == [2.0, 1.0, 0.5, -4.0]


def test_area_is_scikit_learns(rng: np.random.Generator) -> None:
    positive = rng.random(60) < 0.3
    scores = np.round(rng.normal(size=60) + positive, 1)
    assert roc_area(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert roc_area(np.zeros(60), positive) == 0.5
    assert np.isnan(roc_area(scores, np.ones(60, dtype=np.bool_)))


def test_calibration_finds_the_truth_and_never_turns_an_order(rng: np.random.Generator) -> None:
    scores = rng.normal(0, 3, 40_000)
    positive = rng.random(40_000) < expit(0.7 * scores - 1.2)
    assert fit_calibration(scores, positive) == pytest.approx((0.7, -1.2), abs=0.05)
    slope, intercept = fit_calibration(-scores, positive)
    assert slope == 0
    assert expit(intercept) == pytest.approx(positive.mean(), abs=1e-3)


@pytest.mark.parametrize("parted", [np.arange(8) > 3, np.ones(8, bool), np.zeros(8, bool)])
def test_calibration_of_clean_cases_is_finite(parted: np.ndarray) -> None:
    slope, intercept = fit_calibration(np.arange(8.0), parted)
    probability = expit(slope * np.arange(8.0) + intercept)
    assert ((probability > 0) & (probability < 1)).all()
    assert np.all(np.diff(probability) >= 0)


@given(st.lists(st.integers(-128, 126), min_size=1, max_size=80), st.floats(0.01, 0.99))
def test_threshold_keeps_its_specificity_and_no_more_than_it_must(
    bins: list[int], wanted: float
) -> None:
    scores = np.array(bins) / 16
    edge = threshold_for(scores, wanted)
    assert (scores < edge).mean() >= wanted - 1e-9
    assert (scores < edge - 1 / 16).mean() < wanted + 1e-9


def test_threshold_by_hand() -> None:
    scores = np.arange(20.0)
    assert threshold_for(scores, 0.95) == 18 + 1 / 16
    assert threshold_for(scores, 0.99) == 19 + 1 / 16
