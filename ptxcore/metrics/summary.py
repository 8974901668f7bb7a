"""Metrics from case tables: per case first, reduced last, each with its empty-mask convention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxcore.metrics.case_table import first_bin
from ptxcore.types import CaseTable, Rule

#: Better direction of each metric that may be an objective or a stopping metric.
DIRECTIONS: dict[str, str] = {
    "average_precision": "maximize",
    "dice": "maximize",
    "dice_positive": "maximize",
    "iou": "maximize",
    "iou_positive": "maximize",
    "pixel_sensitivity": "maximize",
    "precision": "maximize",
    "case_sensitivity": "maximize",
    "case_specificity": "maximize",
    "loss": "minimize",
}

#: What each metric does with empty masks, for reports.
CONVENTIONS: dict[str, str] = {
    "average_precision": "pixels of all cases pooled; every positive case has equal weight; "
    "a constant prediction scores the weighted share of mask pixels",
    "dice": "mean over all cases; 1 when truth and prediction are both empty, 0 when one is",
    "dice_positive": "mean over cases with a mask; an empty prediction scores 0",
    "iou": "mean over all cases; 1 when truth and prediction are both empty, 0 when one is",
    "iou_positive": "mean over cases with a mask; an empty prediction scores 0",
    "pixel_sensitivity": "mean over cases with a mask of the share of its pixels found",
    "precision": "mean over cases with a prediction of the share of its pixels that are mask",
    "case_sensitivity": "share of cases with a mask that have any prediction",
    "case_specificity": "share of cases without a mask that have no prediction",
    "dice_all_empty": "what `dice` gives for predicting nothing: the share of empty cases",
    "dice_positive_all_empty": "what `dice_positive` gives for predicting nothing: 0",
    "loss": "training loss on whole monitor images",
}


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Pixels per case under a rule; each array is int64 of shape (N,)."""

    hit: NDArray[np.int64]
    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]


def apply_rule(table: CaseTable, rule: Rule) -> Counts:
    """Pixels hit, predicted and true per case when a rule turns logits into masks."""
    top, bottom = first_bin(rule.top), first_bin(rule.bottom)
    everything = table.truth + table.background
    above = everything[:, top:].sum(1)
    kept = above > rule.min_area * everything.sum(1)
    return Counts(
        hit=np.where(kept, table.truth[:, bottom:].sum(1), 0),
        predicted=np.where(kept, everything[:, bottom:].sum(1), 0),
        truth=table.truth.sum(1),
    )


def per_case_dice(table: CaseTable, rule: Rule | None = None) -> NDArray[np.float64]:
    """Dice of each case, shape (N,), 1 where truth and prediction are both empty."""
    counts = apply_rule(table, rule or Rule())
    return _ratio(2 * counts.hit, counts.predicted + counts.truth, empty=1.0)


def summarize(table: CaseTable, rule: Rule | None = None) -> dict[str, float]:
    """All metrics of a table.

    Args:
        table: At least one case.
        rule: From logits to masks; probability 0.5 without a minimum area unless given.

    Returns:
        Values by name, see `CONVENTIONS`; NaN where a metric has no case to speak of.
    """
    counts = apply_rule(table, rule or Rule())
    positive, any_predicted = counts.truth > 0, counts.predicted > 0
    dice = _ratio(2 * counts.hit, counts.predicted + counts.truth, empty=1.0)
    iou = _ratio(counts.hit, counts.predicted + counts.truth - counts.hit, empty=1.0)
    return {
        "dice": float(dice.mean()),
        "dice_positive": _mean(dice[positive]),
        "iou": float(iou.mean()),
        "iou_positive": _mean(iou[positive]),
        "pixel_sensitivity": _mean(counts.hit[positive] / counts.truth[positive]),
        "precision": _mean(counts.hit[any_predicted] / counts.predicted[any_predicted]),
        "case_sensitivity": _mean(any_predicted[positive]),
        "case_specificity": _mean(~any_predicted[~positive]),
        "average_precision": average_precision(table),
        "dice_all_empty": float(np.mean(~positive)),
        "dice_positive_all_empty": 0.0,
        "num_cases": float(len(positive)),
        "num_positive": float(positive.sum()),
    }


def average_precision(table: CaseTable) -> float:
    """Pixel-wise average precision over all cases, every positive case of equal weight.

    Thresholds are not involved: it asks whether mask pixels rank above all other pixels, those of
    negative cases among them. Each positive case's mask pixels weigh together as much as the mean
    mask, so large masks do not drown small ones. A network that predicts next to nothing early in
    training still gets a graded value, where hard Dice lies flat on the all-empty baseline.

    AP = sum over thresholds of (recall step) x precision, as in scikit-learn with sample weights.

    Returns:
        In [0, 1]; NaN without a positive case.
    """
    mask_px = table.truth.sum(1)
    positive = mask_px > 0
    if not positive.any():
        return float("nan")
    share = table.truth[positive] / mask_px[positive, None]
    inside = share.sum(0)[::-1] * mask_px[positive].mean()
    outside = table.background.sum(0)[::-1].astype(np.float64)
    hit, false = np.cumsum(inside), np.cumsum(outside)
    precision = np.divide(hit, hit + false, out=np.zeros_like(hit), where=hit + false > 0)
    return float(np.sum(inside * precision) / hit[-1])


def _ratio(
    top: NDArray[np.int64], bottom: NDArray[np.int64], *, empty: float
) -> NDArray[np.float64]:
    filled = np.full(top.shape, empty, dtype=np.float64)
    return np.divide(top, bottom, out=filled, where=bottom > 0)


def _mean(values: NDArray[np.generic]) -> float:
    return float(np.mean(values)) if values.size else float("nan")
