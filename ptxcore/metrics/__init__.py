"""Scores of segmentations: histograms per case, metrics, operating points."""

from ptxcore.metrics.case_table import (
    build_table,
    concatenate,
    count_case,
    first_bin,
    load_table,
    quantise,
    save_table,
)
from ptxcore.metrics.operating_point import RULES, choose_rule, leave_one_fold_out
from ptxcore.metrics.summary import (
    CONVENTIONS,
    DIRECTIONS,
    apply_rule,
    average_precision,
    per_case_dice,
    summarize,
)

__all__ = [
    "CONVENTIONS",
    "DIRECTIONS",
    "RULES",
    "apply_rule",
    "average_precision",
    "build_table",
    "choose_rule",
    "concatenate",
    "count_case",
    "first_bin",
    "leave_one_fold_out",
    "load_table",
    "per_case_dice",
    "quantise",
    "save_table",
    "summarize",
]
