"""The official metrics of a table of cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptxcore.limits import STOP_METRICS
from ptxcore.metrics._calibration import calibration_error
from ptxcore.metrics._ranking import average_precision
from ptxcore.metrics._rule import apply_rule, ratio
from ptxcore.types import CaseTable, Rule

#: Those of all metrics; distances are measured once per held fold, so no training can watch them,
#: and calibration alone is best where nothing is found: neither is an objective.
LOWER_IS_BETTER = frozenset(
    {"loss", "calibration_error", "hausdorff95_mm", "hausdorff95_positive_mm"}
)

_SCORES = tuple(name for name in STOP_METRICS if name != "loss")
#: Every metric that can stop a training, and which way is better, as Optuna says it. "loss" is
#: measured by the training on whole monitor images, not by `summarize`.
DIRECTIONS: dict[str, str] = {
    name: "minimize" if name in LOWER_IS_BETTER else "maximize" for name in STOP_METRICS
}
#: Every metric that a sweep can improve. Not "loss": trials weigh its terms differently.
OBJECTIVES: dict[str, str] = {name: DIRECTIONS[name] for name in _SCORES}

#: What every number does with empty masks, in one line.
CONVENTIONS: dict[str, str] = {
    "dice": "mean over all cases; truth and prediction both empty = 1 (the SIIM-ACR metric)",
    "dice_positive": "mean over cases with a true mask; NaN without one",
    "iou": "mean over all cases; truth and prediction both empty = 1",
    "iou_positive": "mean over cases with a true mask; NaN without one",
    "pixel_sensitivity": "mean over cases with a true mask of the share found; NaN without one",
    "precision": "mean over cases with a predicted mask of the share that is true; 0 if no case "
    "has one though one should, NaN if no case has a predicted or a true mask",
    "case_sensitivity": "share of cases with a true mask that get any mask; NaN without one",
    "case_specificity": "share of cases without a true mask that get none; NaN without one",
    "case_precision": "share of cases with a predicted mask that have a true one; 0 if no case has "
    "one though one should, NaN if no case has a predicted or a true mask",
    "average_precision": "pixels of all cases, each case with a true mask weighing the same, no "
    "threshold; NaN without a true mask",
    "calibration_error": "expected calibration error of pixels of all cases in 15 bins, empty "
    "masks included; lower is better",
    "dice_all_empty": "what `dice` gives for predicting nothing: the share of empty cases",
    "dice_positive_all_empty": "what `dice_positive` gives for predicting nothing: 0",
    "surface_dice": "share of outlines within 2 mm of each other, mean over all cases of known "
    "pixel spacing; truth and prediction both empty = 1, one of them empty (a miss or a false "
    "alarm) = 0; NaN without spacing",
    "surface_dice_positive": "the same over cases with a true mask; a miss = 0",
    "hausdorff95_mm": "95% Hausdorff distance in mm, mean over all cases of known pixel spacing; "
    "truth and prediction both empty = 0, one of them empty (a miss or a false alarm) = the "
    "diagonal of the image; NaN without spacing; lower is better",
    "hausdorff95_positive_mm": "the same over cases with a true mask; a miss = the diagonal of the "
    "image; lower is better",
    "surface_dice_all_empty": "what `surface_dice` gives for predicting nothing",
    "surface_dice_positive_all_empty": "what `surface_dice_positive` gives for predicting nothing: "
    "0",
    "hausdorff95_mm_all_empty": "what `hausdorff95_mm` gives for predicting nothing: the diagonal "
    "for every case with a true mask, 0 for the others",
    "hausdorff95_positive_mm_all_empty": "what `hausdorff95_positive_mm` gives for predicting "
    "nothing: the mean diagonal",
    "num_with_spacing": "cases of known pixel spacing",
    "loss": "training loss on whole monitor images; empty masks as in `ptxcore.losses`",
    "num_cases": "all cases",
    "num_positive": "cases with at least one true pixel",
}


def summarize(table: CaseTable, rule: Rule | None = None) -> dict[str, float]:
    """Every metric of a table, by name; `CONVENTIONS` says what each does with empty masks.

    Args:
        table: Counts of N cases on the original mask grid.
        rule: Without one, `Rule()`: threshold 0.5.

    Returns:
        Values by the names of `CONVENTIONS`. NaN only where a metric has no case to speak of.

    Raises:
        SettingsError: The rule is not valid.
    """
    counts = apply_rule(table, rule or Rule())
    hit, extra, missed = counts
    positive = hit + missed > 0
    predicted = hit + extra > 0
    dice = ratio(2 * hit, 2 * hit + extra + missed, empty=1.0)
    iou = ratio(hit, hit + extra + missed, empty=1.0)
    precision = ratio(hit, hit + extra, empty=0.0)[predicted]
    nothing_found = positive.any() and not predicted.any()
    return {
        "dice": _mean(dice),
        "dice_positive": _mean(dice[positive]),
        "iou": _mean(iou),
        "iou_positive": _mean(iou[positive]),
        "pixel_sensitivity": _mean(ratio(hit, hit + missed, empty=0.0)[positive]),
        "precision": 0.0 if nothing_found else _mean(precision),
        "case_sensitivity": _mean(predicted[positive]),
        "case_specificity": _mean(~predicted[~positive]),
        "case_precision": 0.0 if nothing_found else _mean(positive[predicted]),
        "average_precision": average_precision(table),
        "calibration_error": calibration_error(table),
        "dice_all_empty": _mean(~positive),
        "dice_positive_all_empty": 0.0,
        "num_cases": float(len(positive)),
        "num_positive": float(np.count_nonzero(positive)),
    }


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
