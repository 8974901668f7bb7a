"""Scores of segmentations: counted per case first, reduced last.

A case is reduced once to two histograms of its logits, inside and outside the true mask, on the
original mask grid. Every share of pixels, threshold and post-processing rule is then derived from
the histograms alone, without the images; distances between outlines are measured beside them, under
one rule.
"""

from ptxcore.metrics._averaged import Agreement, averaged
from ptxcore.metrics._case_gate import tells_apart
from ptxcore.metrics._conventions import better, bounds, convention, needs_threshold
from ptxcore.metrics._counts import (
    count_case,
    probability_to_bin,
    probability_to_logits,
    quantise,
)
from ptxcore.metrics._detection import (
    case_score,
    case_scores,
    finite_case_logit,
    fit_calibration,
    roc_area,
    threshold_for,
)
from ptxcore.metrics._groups import (
    SIZES,
    VIEWS,
    case_groups,
    size_quartiles,
    summarize_groups,
)
from ptxcore.metrics._ranking import average_precision, case_precision
from ptxcore.metrics._resampled import resampled
from ptxcore.metrics._rule import apply_rule, check_rule, logits_to_mask, per_case_dice
from ptxcore.metrics._summary import CONVENTIONS, DIRECTIONS, LOWER_IS_BETTER, OBJECTIVES, summarize
from ptxcore.metrics._surface import load_distances, measure_surface, summarize_surfaces
from ptxcore.metrics._table import build_table, concatenate, load_table, save_table
from ptxcore.metrics._tuning import choose_rule, leave_one_fold_out, prevalence_weights

__all__ = [
    "CONVENTIONS",
    "DIRECTIONS",
    "LOWER_IS_BETTER",
    "OBJECTIVES",
    "SIZES",
    "VIEWS",
    "Agreement",
    "apply_rule",
    "average_precision",
    "averaged",
    "better",
    "bounds",
    "build_table",
    "case_groups",
    "case_precision",
    "case_score",
    "case_scores",
    "check_rule",
    "choose_rule",
    "concatenate",
    "convention",
    "count_case",
    "finite_case_logit",
    "fit_calibration",
    "leave_one_fold_out",
    "load_distances",
    "load_table",
    "logits_to_mask",
    "measure_surface",
    "needs_threshold",
    "per_case_dice",
    "prevalence_weights",
    "probability_to_bin",
    "probability_to_logits",
    "quantise",
    "resampled",
    "roc_area",
    "save_table",
    "size_quartiles",
    "summarize",
    "summarize_groups",
    "summarize_surfaces",
    "tells_apart",
    "threshold_for",
]
