from __future__ import annotations

import math

import numpy as np
import pytest
from case_tables import case_tables, logits_in, pixels, rules, thresholds
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from ptxcore.metrics import (
    CONVENTIONS,
    DIRECTIONS,
    LOWER_IS_BETTER,
    apply_rule,
    average_precision,
    build_table,
    count_case,
    logits_to_mask,
    per_case_dice,
    summarize,
    summarize_surfaces,
)
from ptxcore.types import CaseTable, Rule

BELOW_EVERYTHING = np.float32(-9)


def table_of(*pairs: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> CaseTable:
    """Cases from (truth, predicted) masks; a predicted pixel has a logit of 4, others of -4."""
    return build_table(
        [f"case-{number}" for number in range(len(pairs))],
        [count_case(np.where(mask, 4, -4).astype(np.float32), truth) for truth, mask in pairs],
    )


def disk(size: int, centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:size, :size]
    inside: NDArray[np.bool_] = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    return inside


def rectangle(top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((40, 40), dtype=np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


EMPTY = np.zeros((40, 40), dtype=np.bool_)


def test_two_disks_in_closed_form() -> None:
    """Two disks of radius r at distance d share a lens; tolerance is that of the pixel grid."""
    radius, distance = 150.0, 120.0
    lens = 2 * radius**2 * math.acos(distance / 2 / radius) - distance / 2 * math.sqrt(
        4 * radius**2 - distance**2
    )
    dice = lens / (math.pi * radius**2)
    pair = disk(512, (256, 196), radius), disk(512, (256, 316), radius)
    found = summarize(table_of(pair))
    assert found["dice"] == pytest.approx(dice, abs=1e-3)
    assert found["iou"] == pytest.approx(dice / (2 - dice), abs=1e-3)


def test_rectangles_by_hand() -> None:
    truth, predicted = rectangle(0, 0, 10, 20), rectangle(5, 0, 10, 10)  # 200, 100, shared 50
    found = summarize(table_of((truth, predicted)))
    assert found["dice"] == pytest.approx(100 / 300)
    assert found["iou"] == pytest.approx(50 / 250)
    assert found["pixel_sensitivity"] == pytest.approx(50 / 200)
    assert found["precision"] == pytest.approx(50 / 100)


def test_a_table_of_every_kind_of_case_by_hand() -> None:
    truth = rectangle(0, 0, 10, 10)
    table = table_of(
        (truth, truth),  # found
        (truth, rectangle(5, 0, 10, 10)),  # half found: Dice 1/2, IoU 1/3
        (truth, EMPTY),  # missed
        (truth, rectangle(30, 30, 5, 5)),  # looked elsewhere
        (EMPTY, EMPTY),  # rightly empty
        (EMPTY, EMPTY),
        (EMPTY, rectangle(0, 0, 2, 2)),  # false alarm
        (EMPTY, EMPTY),
    )
    found = summarize(table)
    assert found.pop("average_precision") > 0
    assert found.pop("calibration_error") > 0
    assert found == pytest.approx(
        {
            "dice": (1 + 0.5 + 0 + 0 + 1 + 1 + 0 + 1) / 8,
            "dice_positive": 1.5 / 4,
            "iou": (1 + 1 / 3 + 3) / 8,
            "iou_positive": (1 + 1 / 3) / 4,
            "pixel_sensitivity": 1.5 / 4,
            "precision": (1 + 0.5 + 0 + 0) / 4,
            "case_sensitivity": 3 / 4,
            "case_specificity": 3 / 4,
            "case_precision": 3 / 4,
            "dice_all_empty": 0.5,
            "dice_positive_all_empty": 0.0,
            "num_cases": 8,
            "num_positive": 4,
        }
    )
    assert per_case_dice(table).tolist() == [1, 0.5, 0, 0, 1, 1, 0, 1]


def test_every_number_says_what_it_does_with_empty_masks() -> None:
    names = set(summarize(table_of((EMPTY, EMPTY))))
    names |= set(summarize_surfaces(build_table([], [], views=[], surfaces=[])))
    assert names | {"loss"} == set(CONVENTIONS)
    assert {n for n in CONVENTIONS if "lower is better" in CONVENTIONS[n]} == LOWER_IS_BETTER - {
        "loss"
    }
    assert set(DIRECTIONS) <= set(CONVENTIONS)
    assert {name for name, way in DIRECTIONS.items() if way == "minimize"} == {"loss"}


def undefined(values: dict[str, float]) -> set[str]:
    return {name for name, value in values.items() if math.isnan(value)}


def test_without_positives() -> None:
    needs_truth = {
        "dice_positive",
        "iou_positive",
        "pixel_sensitivity",
        "case_sensitivity",
        "average_precision",
    }
    nothing = summarize(table_of((EMPTY, EMPTY), (EMPTY, EMPTY)))
    assert undefined(nothing) == {*needs_truth, "precision", "case_precision"}
    assert nothing["dice"] == nothing["dice_all_empty"] == nothing["case_specificity"] == 1
    alarm = summarize(table_of((EMPTY, rectangle(0, 0, 1, 1)), (EMPTY, EMPTY)))
    assert undefined(alarm) == needs_truth
    assert alarm["precision"] == alarm["case_precision"] == 0
    assert alarm["dice"] == alarm["case_specificity"] == 0.5


def test_without_negatives() -> None:
    truth = rectangle(3, 3, 5, 5)
    found = summarize(table_of((truth, EMPTY), (truth, EMPTY)))
    assert undefined(found) == {"case_specificity"}
    assert (
        found["precision"]
        == found["case_precision"]
        == found["dice"]
        == found["dice_all_empty"]
        == 0
    )


def test_a_table_of_no_case_is_undefined_and_does_not_raise() -> None:
    found = summarize(build_table([], []))
    assert found["num_cases"] == 0
    assert math.isnan(found["dice"])


@given(case_tables(), rules())
def test_metrics_are_those_of_the_masks(table: CaseTable, rule: Rule) -> None:
    """Pixel by pixel, without a histogram: the published definitions on boolean masks."""
    dice, iou, sensitivity, precision = [], [], [], []
    for case in range(len(table.case_ids)):
        bins, truth = pixels(table, case)
        mask = logits_to_mask(logits_in(bins)[None], rule)[0]
        both, either = (mask & truth).sum(), (mask | truth).sum()
        dice.append(2 * both / (mask.sum() + truth.sum()) if either else 1.0)
        iou.append(both / either if either else 1.0)
        if truth.any():
            sensitivity.append(both / truth.sum())
        if mask.any():
            precision.append(both / mask.sum())
    found = summarize(table, rule)
    assert per_case_dice(table, rule).tolist() == pytest.approx(dice)
    assert found["dice"] == pytest.approx(np.mean(dice))
    assert found["iou"] == pytest.approx(np.mean(iou))
    if sensitivity:
        assert found["pixel_sensitivity"] == pytest.approx(np.mean(sensitivity))
    if precision:
        assert found["precision"] == pytest.approx(np.mean(precision))


@given(case_tables(), rules(), st.randoms(use_true_random=False))
def test_the_order_of_cases_does_not_matter(table: CaseTable, rule: Rule, random: object) -> None:
    order = list(range(len(table.case_ids)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = CaseTable(
        case_ids=table.case_ids[order],
        truth=table.truth[order],
        background=table.background[order],
    )
    assert summarize(shuffled, rule) == pytest.approx(summarize(table, rule), nan_ok=True)


@given(case_tables(), thresholds, thresholds)
def test_a_higher_threshold_never_finds_more(table: CaseTable, one: float, other: float) -> None:
    low, high = sorted((one, other))
    wide = apply_rule(table, Rule(top=low, bottom=low))
    narrow = apply_rule(table, Rule(top=high, bottom=high))
    assert (narrow.true_positive <= wide.true_positive).all()
    assert (narrow.false_positive <= wide.false_positive).all()
    assert (narrow.false_negative >= wide.false_negative).all()


@given(case_tables())
def test_an_empty_prediction_scores_the_baseline(table: CaseTable) -> None:
    silent = CaseTable(
        case_ids=table.case_ids,
        truth=np.zeros_like(table.truth),
        background=np.zeros_like(table.background),
    )
    silent.truth[:, 0] = table.truth.sum(1)
    silent.background[:, 0] = table.background.sum(1)
    found = summarize(silent)
    assert found["dice"] == found["iou"] == pytest.approx(found["dice_all_empty"])
    if found["num_positive"]:
        assert found["dice_positive"] == found["dice_positive_all_empty"]


@given(case_tables(), rules())
def test_values_lie_between_0_and_1(table: CaseTable, rule: Rule) -> None:
    found = summarize(table, rule)
    for name in set(DIRECTIONS) - {"loss"}:
        assert math.isnan(found[name]) or 0 <= found[name] <= 1
    assert math.isnan(found["dice_positive"]) or found["iou_positive"] <= found["dice_positive"]


@settings(max_examples=60)
@given(case_tables())
def test_average_precision_is_that_of_scikit_learn_with_these_weights(table: CaseTable) -> None:
    found = average_precision(table)
    num_truth = table.truth.sum(1)
    if not num_truth.any():
        assert math.isnan(found)
        return
    num_pixels = num_truth + table.background.sum(1)
    mean_share = (num_truth / num_pixels)[num_truth > 0].mean()
    bins, truth, weights = [], [], []
    for case in range(len(table.case_ids)):
        case_bins, case_truth = pixels(table, case)
        bins.append(case_bins)
        truth.append(case_truth)
        of_truth = mean_share / max(num_truth[case], 1)
        weights.append(np.where(case_truth, of_truth, 1 / num_pixels[case]))
    expected = average_precision_score(
        np.concatenate(truth), np.concatenate(bins), sample_weight=np.concatenate(weights)
    )
    assert found == pytest.approx(expected)


def ranked(*cases: tuple[int, int, int, int]) -> CaseTable:
    """Cases as (truth above, truth below, background above, background below) a threshold."""
    rows = []
    for truth_high, truth_low, background_high, background_low in cases:
        truth, background = np.zeros((2, 256), dtype=np.int64)
        truth[200], truth[50] = truth_high, truth_low
        background[200], background[50] = background_high, background_low
        rows.append((truth, background))
    return build_table([f"case-{number}" for number in range(len(rows))], rows)


def test_average_precision_by_hand() -> None:
    assert average_precision(ranked((10, 0, 0, 90))) == pytest.approx(1.0)
    assert average_precision(ranked((0, 10, 0, 90))) == pytest.approx(0.1)  # no ranking at all
    # Half of the truth found at a precision of 5 / 10, the rest with everything else.
    assert average_precision(ranked((5, 5, 5, 85))) == pytest.approx(0.5 * 0.5 + 0.5 * 0.1)


def test_a_small_mask_counts_as_much_as_a_large_one() -> None:
    large_found = average_precision(ranked((900, 0, 0, 100), (0, 10, 0, 990)))
    small_found = average_precision(ranked((0, 900, 0, 100), (10, 0, 0, 990)))
    assert large_found == pytest.approx(small_found)


def test_a_false_alarm_in_an_empty_case_costs() -> None:
    silent = average_precision(ranked((10, 0, 0, 90), (0, 0, 0, 100)))
    loud = average_precision(ranked((10, 0, 0, 90), (0, 0, 20, 80)))
    assert loud < silent == 1.0


def test_image_size_does_not_matter() -> None:
    small = average_precision(ranked((5, 5, 5, 85), (0, 0, 10, 90)))
    mixed = average_precision(ranked((500, 500, 500, 8500), (0, 0, 10, 90)))
    assert mixed == pytest.approx(small)
