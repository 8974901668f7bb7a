"""Case by case: thresholds and calibration come from other folds than those they are judged on."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from ptxcore.metrics import build_table, count_case, logits_to_mask
from ptxcore.types import CaseTable, Rule
from sweep.analysis.detection import (
    AREAS,
    SPECIFICITIES,
    Detection,
    choose_case_rule,
    detect_on,
    judge_calls,
    sentence,
    spread,
)


def table(
    rng: np.random.Generator, fold: int, *, shift: float, gain: float = 3.0, number: int = 60
) -> CaseTable:
    """Cases whose surest spot of nine pixels tells them apart; one pixel alone is noise."""
    rows, names = [], []
    for case in range(number):
        ill = case % 4 == 0
        logits = rng.normal(-6, 0.3, (30, 30)).astype(np.float32)
        logits[3:6, 3:6] = rng.normal(shift + gain * ill)
        logits[20, 20] = 7.9 if rng.random() < 0.5 else -6  # a hot pixel anywhere
        truth = np.zeros((30, 30), dtype=np.bool_)
        truth[3:6, 3:6] = ill
        rows.append(count_case(logits, truth))
        names.append(f"{fold}-{case}")
    return build_table(names, rows)


@pytest.fixture
def tables(rng: np.random.Generator) -> list[CaseTable]:
    return [table(rng, fold, shift=-1.0) for fold in range(5)]


def test_what_is_found(tables: list[CaseTable]) -> None:
    found = detect_on(tables, {}, trial=7)
    assert found is not None
    assert (found.num_positive, found.num_healthy) == (75, 225)
    area, low, high = found.area
    assert low < 0.983 < high  # Phi(3 / sqrt(2))
    assert 0.95 < area < 1
    assert found.rule.min_area == 0.002  # more than one pixel of 900
    for one in found.called:
        assert one.specificity[1] <= one.asked <= one.specificity[2] + 0.01
        assert one.sensitivity[1] <= one.sensitivity[0] <= one.sensitivity[2]
    falling = [one.sensitivity[0] for one in found.called]
    assert falling == sorted(falling, reverse=True)


def test_a_fold_has_no_part_in_its_own_threshold(
    tables: list[CaseTable], rng: np.random.Generator
) -> None:
    """A fold whose logits all lie higher is called by thresholds of the others, and looks bad."""
    moved = [*tables[:4], table(rng, 4, shift=4.0)]
    found = detect_on(moved, {}, trial=0)
    assert found is not None
    assert found.called[0].specificity[0] < 0.85
    own = choose_case_rule(moved[4])
    _, calls = judge_calls(moved[4], own)
    healthy = moved[4].truth.sum(1) == 0
    assert (~calls[healthy, 0]).mean() >= 0.9


def test_probabilities_are_frequencies(rng: np.random.Generator) -> None:
    rule = choose_case_rule(table(rng, 0, shift=-1.0, gain=1.5, number=800))
    probability, _ = judge_calls(new := table(rng, 1, shift=-1.0, gain=1.5, number=800), rule)
    ill = new.truth.sum(1) > 0
    assert probability.mean() == pytest.approx(ill.mean(), abs=0.05)
    high = probability > 0.5
    assert ill[high].mean() == pytest.approx(probability[high].mean(), abs=0.12)


def test_a_call_is_what_a_mask_of_that_threshold_says(tables: list[CaseTable]) -> None:
    rule = choose_case_rule(tables[0])
    assert rule.min_area in AREAS
    logits = np.full((30, 30), -6, dtype=np.float32)
    logits[:3, :3] = 1.0
    top = 1 / (1 + math.exp(-1.0))
    assert logits_to_mask(logits, Rule(top=top - 0.01, min_area=rule.min_area, bottom=0.1)).any()
    assert set(rule.calls(1.0)) == {f"{asked:.2f}" for asked in SPECIFICITIES}
    assert rule.probability(-8.0) < rule.probability(4.0)


@pytest.mark.parametrize("kept", [slice(None, None, 4), slice(1, None, 4)])
def test_one_kind_alone(tables: list[CaseTable], kept: slice) -> None:
    alone = [
        build_table(
            one.case_ids[kept].tolist(),
            list(zip(one.truth[kept], one.background[kept], strict=True)),
        )
        for one in tables
    ]
    assert detect_on(alone, {}, trial=0) is None


def test_kept_as_json_and_said(tables: list[CaseTable]) -> None:
    found = detect_on(tables, {}, trial=3)
    assert found is not None
    assert Detection.from_stored(json.loads(json.dumps(found.to_stored()))) == found
    assert "75 positive and 225 healthy cases" in sentence(found)
    assert "specificity of 95%" in sentence(found)
    few = detect_on(tables, {name: "one" for one in tables for name in one.case_ids}, trial=3)
    assert few is not None
    assert "too few patients for an interval" in sentence(few)


def test_a_case_head_gives_the_score(tables: list[CaseTable], rng: np.random.Generator) -> None:
    """Here masks tell cases apart and the head does not, so that it shows which was asked."""
    headed = [
        dataclasses.replace(one, case_logits=rng.normal(size=len(one.case_ids))) for one in tables
    ]
    found, by_masks = detect_on(headed, {}, trial=7), detect_on(tables, {}, trial=7)
    assert found is not None
    assert by_masks is not None
    assert (found.rule.score, found.rule.min_area, by_masks.rule.score) == ("case_head", 0, "mask")
    assert found.area[1] < 0.5 < found.area[2]
    assert "by the networks' case head" in sentence(found)
    assert "by its mask's logits" in sentence(by_masks)
    # Monotone in the head's logit, and the same whatever the masks are.
    perfect = [
        dataclasses.replace(one, case_logits=np.where(one.truth.sum(1) > 0, 2.0, -3.0))
        for one in tables
    ]
    best = detect_on(perfect, {}, trial=7)
    assert best is not None
    assert best.area[0] == 1
    assert [(one.specificity[0], one.sensitivity[0]) for one in best.called] == [(1, 1)] * 3
    assert best.rule.probability(2.0) > 0.9 > 0.1 > best.rule.probability(-3.0)
    assert Detection.from_stored(json.loads(json.dumps(best.to_stored()))) == best
    # A ledger of an earlier version has no such key.
    stored = by_masks.to_stored()
    del stored["rule"]["score"]
    assert Detection.from_stored(stored) == by_masks


def test_why_there_is_no_interval() -> None:
    nan = math.nan
    assert spread((1.0, nan, nan)) == "no interval, since no pair is out of order"
    assert spread((1.0, nan, nan), percent=True) == "too few patients for an interval"
    assert spread((0.9, nan, nan)) == "too few patients for an interval"
    assert spread((0.9, 0.8, 0.95), percent=True) == "95% interval 80.0% to 95.0%"
