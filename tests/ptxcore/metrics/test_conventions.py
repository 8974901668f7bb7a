"""Every number that a held fold has says which way is better, and what empty masks do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptxcore.metrics import (
    CONVENTIONS,
    DIRECTIONS,
    LOWER_IS_BETTER,
    better,
    bounds,
    build_table,
    convention,
    needs_threshold,
    summarize,
    summarize_groups,
    summarize_surfaces,
)


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("dice", "higher"),
        ("loss", "lower"),
        ("hausdorff95_positive_mm", "lower"),
        ("dice_size_q1", "higher"),
        ("case_specificity_view_unknown", "higher"),
        ("num_cases", None),
        ("num_cases_view_ap", None),
        ("dice_all_empty", None),
        ("dice_view_ap_all_empty", None),
        ("seconds", None),
        ("dice_size_q9", None),
    ],
)
def test_which_way_is_better(metric: str, way: str | None) -> None:
    assert better(metric) == way


def test_a_group_has_the_convention_of_its_metric() -> None:
    assert convention("dice") == CONVENTIONS["dice"]
    assert convention("dice_view_ap") == CONVENTIONS["dice"] + ", of this group of cases"
    assert convention("dice_view_ap_all_empty") == (
        CONVENTIONS["dice_all_empty"] + ", of this group of cases"
    )
    assert convention("seconds") is None


def test_nothing_that_is_measured_goes_unexplained() -> None:
    counts = np.zeros((256,), dtype=np.int64)
    truth, none = counts.copy(), counts
    truth[255] = 5
    background = counts.copy()
    background[0] = 95
    table = build_table(
        ["a", "b", "c"],
        [(truth, background), (none, background), (truth, background)],
        views=["AP", "PA", ""],
        surfaces=[(1.0, 0.5, 9.0)] * 3,
    )
    measured = (
        summarize(table)
        | summarize_surfaces(table)
        | summarize_groups(table, quartiles=np.array([5.0, 6.0, 7.0]))
    )
    assert {"dice_size_q1", "dice_view_ap", "num_cases_view_pa"} <= measured.keys()
    for name in measured:
        assert convention(name) is not None, name
        assert better(name) or name.startswith("num_") or name.endswith("_all_empty"), name


def test_optuna_is_told_the_same_way() -> None:
    for name, direction in DIRECTIONS.items():
        assert (direction == "minimize") == (better(name) == "lower") == (name in LOWER_IS_BETTER)


def test_what_a_metric_can_be() -> None:
    """A mean of shares lies in [0, 1], one of distances above 0."""
    for name in ("dice", "dice_size_q1", "case_sensitivity", "calibration_error", "dice_all_empty"):
        assert bounds(name) == (0.0, 1.0)
    for name in ("hausdorff95_mm", "hausdorff95_positive_mm_all_empty", "num_cases"):
        assert bounds(name) == (0.0, math.inf)
    for name in ("loss", "of_another_project"):
        assert bounds(name) == (-math.inf, math.inf)


def test_metrics_of_masks_need_a_threshold() -> None:
    free = {"average_precision", "calibration_error", "loss"}
    for name in CONVENTIONS:
        assert needs_threshold(name) == (better(name) is not None and name not in free)
    assert needs_threshold("dice_view_pa")
    assert not needs_threshold("dice_view_pa_all_empty")
    assert not needs_threshold("num_cases_size_q1")
