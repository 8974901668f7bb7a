"""From probabilities to masks: choosing a rule, never on the cases it is scored on.

The rule is the triplet of the SIIM-ACR winners: an image is empty unless enough of it lies above
a high threshold, and then every pixel above a lower one counts. All candidates are scored from
the histograms of a case table.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ptxcore.metrics.case_table import concatenate
from ptxcore.metrics.summary import per_case_dice, summarize
from ptxcore.types import CaseTable, Rule

TOPS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
MIN_AREAS = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
BOTTOMS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

#: All rules that are tried, the mildest first: it wins ties.
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            Rule(top=top, min_area=area, bottom=bottom)
            for top, area, bottom in product(TOPS, MIN_AREAS, BOTTOMS)
            if bottom <= top
        ),
        key=lambda rule: (abs(rule.top - 0.5) + abs(rule.bottom - 0.5), rule.min_area),
    )
)


def rule_scores(table: CaseTable) -> NDArray[np.float64]:
    """Dice (both empty = 1) of every case under every rule, shape (len(RULES), N)."""
    return np.stack([per_case_dice(table, rule) for rule in RULES])


def choose_rule(table: CaseTable) -> Rule:
    """The rule with the highest mean Dice (both empty = 1) on a table."""
    return RULES[int(np.argmax(rule_scores(table).mean(1)))]


def leave_one_fold_out(
    tables: Sequence[CaseTable],
) -> tuple[tuple[Rule, ...], tuple[dict[str, float], ...]]:
    """Score each fold under the rule that the other folds choose.

    Args:
        tables: Out-of-fold cases of each fold, at least 2.

    Returns:
        The rule of each fold, and each fold's metrics under it.
    """
    rules = tuple(
        choose_rule(concatenate([one for other, one in enumerate(tables) if other != fold]))
        for fold in range(len(tables))
    )
    metrics = tuple(summarize(table, rule) for table, rule in zip(tables, rules, strict=True))
    return rules, metrics
