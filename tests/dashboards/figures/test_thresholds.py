"""Curves from tables of cases are what the metrics give at each threshold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dashboards.figures.thresholds import (
    calibration,
    calibration_sentence,
    thresholds,
    thresholds_info,
    thresholds_sentence,
)
from dashboards.plot import as_json
from ptxcore.metrics import concatenate, summarize
from ptxcore.types import CaseTable, Rule

RULE = Rule(top=0.7, min_area=0.01, bottom=0.4)


def tables(num_positive: int = 3) -> dict[int, CaseTable]:
    """Two folds of six cases each, the first ones positive."""
    draw = np.random.default_rng(5)
    found = {}
    for fold in range(2):
        truth, background = np.zeros((2, 6, 256), np.int64)
        for case in range(6):
            background[case] += np.bincount(draw.integers(0, 170, 300), minlength=256)
            if case < num_positive:
                truth[case] += np.bincount(draw.integers(90, 256, 40), minlength=256)
        names = np.array([f"{fold}-{case}" for case in range(6)])
        found[fold] = CaseTable(case_ids=names, truth=truth, background=background)
    return found


def test_each_point_is_what_the_metrics_give_there() -> None:
    info = thresholds_info(tables(), RULE)
    assert info is not None
    whole = concatenate(list(tables().values()))
    for place in (10, 31, 50):
        at = float(info.thresholds[place])
        wanted = summarize(whole, Rule(top=at, bottom=at))
        for name in ("dice", "dice_positive", "case_sensitivity", "case_specificity"):
            assert getattr(info, name)[place] == pytest.approx(wanted[name]), name
    assert info.all_empty == summarize(whole)["dice_all_empty"]
    assert (info.num_cases, info.num_positive) == (12, 6)
    gap = np.abs(info.promised - info.found) * info.pixels
    assert gap.sum() / info.pixels.sum() == pytest.approx(summarize(whole)["calibration_error"])


def test_the_rule_and_the_baseline_are_marked() -> None:
    info = thresholds_info(tables(), RULE)
    assert info is not None
    shown = json.dumps(as_json({"thresholds": thresholds(info), "calibration": calibration(info)}))
    assert "all empty 0.500" in shown
    assert "deployed rule 0.4" in shown
    assert RULE.words in thresholds_sentence(info)
    assert "Farthest off, by " in calibration_sentence(info)


def test_without_positive_cases_or_any_case() -> None:
    info = thresholds_info(tables(num_positive=0), None)
    assert info is not None
    assert np.isnan(info.dice_positive).all()
    shown = json.dumps(as_json({"thresholds": thresholds(info)}))
    assert "Dice over positive cases" not in shown
    assert thresholds_info({}, None) is None
