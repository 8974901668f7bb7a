"""Choose the rule that makes masks, on cases other than those it is scored on.

The triplet (top threshold, minimum area, bottom threshold) is the post-processing that the best
entries of SIIM-ACR shared. They chose it on the fold they reported; here fold f is scored under the
rule that the other folds chose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import DataError, SettingsError
from ptxcore.metrics._case_gate import ONCE_IN_TWENTY, gate_of, tells_apart
from ptxcore.metrics._counts import probability_to_bin
from ptxcore.metrics._groups import size_quartiles, summarize_groups
from ptxcore.metrics._rule import per_case_dice, ratio
from ptxcore.metrics._summary import summarize
from ptxcore.metrics._table import concatenate
from ptxcore.types import CaseTable, Rule

#: Probabilities tried for `top` and `bottom`.
THRESHOLDS: tuple[float, ...] = (0.02, *(round(0.05 * step, 2) for step in range(1, 20)), 0.98)
#: Shares of the image tried for `min_area`; 0.002 is 2,097 of 1,024 x 1,024 px.
AREAS: tuple[float, ...] = (0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2)
#: Two mean Dice values closer than this are the same.
_TIE = 1e-9
#: Rules of the grid by top, area and bottom: all; pairs, with one threshold for top and bottom;
#: pairs without a least area, which leave it to a case head whether there is a mask.
_TOP, _AREA, _BOTTOM = np.ix_(THRESHOLDS, AREAS, THRESHOLDS)
_SHAPE = (len(THRESHOLDS), len(AREAS), len(THRESHOLDS))
_TRIPLETS = np.broadcast_to(_BOTTOM <= _TOP, _SHAPE)
_PAIRS = np.broadcast_to(_BOTTOM == _TOP, _SHAPE)
_HEAD_ALONE = _PAIRS & (_AREA == 0)


def prevalence_weights(
    positive: NDArray[np.bool_], prevalence: float | None
) -> NDArray[np.float64]:
    """The weight of each case with which ill ones are as frequent as where a model is used.

    A mean over cases with these weights is `prevalence` times the mean over positive cases plus the
    rest times the mean over healthy ones.

    Args:
        positive: Whether each case has a true mask, shape (N,).
        prevalence: Share of positive cases in (0, 1); None for their own.

    Returns:
        Float64 of shape (N,), mean 1; exactly 1 each at the cases' own share.

    Raises:
        SettingsError: The prevalence is out of range.
        DataError: The cases are all of one kind, so that no weight makes the other more frequent.
    """
    if prevalence is None:
        return np.ones(len(positive))
    if not 0 < prevalence < 1:
        raise SettingsError(f"prevalence: found {prevalence}, expected a share in (0, 1)")
    share = float(positive.mean())
    if share in (0.0, 1.0):
        kind = "positive" if share else "healthy"
        raise DataError(
            f"prevalence: found {kind} cases alone, expected both kinds to weigh for {prevalence:g}"
        )
    return np.where(positive, prevalence / share, (1 - prevalence) / (1 - share))


def choose_rule(table: CaseTable, prevalence: float | None = None) -> Rule:
    """The rule of the grid with the best mean Dice (both empty = 1), from the counts alone.

    Where a case head tells cases apart (`tells_apart`), the rule asks it first, at the threshold
    from which a case is expected to gain by its mask (`gate_of`), and takes all pixels above the
    threshold that is expected to gain the most so; where no case is, none that was seen passes. A
    least area, a bottom threshold below the top one, or pixels instead of the head, stand only
    where they gain more than by chance (one-sided at 5%, cases taken as independent), since the
    best of some two thousand always seems to gain. Among equals the simplest: least area, then
    `top`, then `bottom` nearest to 0.5.

    Args:
        table: Counts of cases that the rule will not be scored on, at least one.
        prevalence: Share of positive cases where the rule will be used; that of the table if None.

    Returns:
        A rule with values of `THRESHOLDS` and `AREAS`.

    Raises:
        DataError: The table has no case; or all are of one kind, and a prevalence is given.
        SettingsError: The prevalence is out of range.
    """
    if not len(table.case_ids):
        raise DataError("table: found no case, expected at least one to choose a rule on")
    both = table.truth + table.background
    num_truth = table.truth.sum(1)
    bins = [probability_to_bin(threshold) for threshold in THRESHOLDS]
    above = np.stack([both[:, edge:].sum(1) for edge in bins], axis=1)
    inside = np.stack([table.truth[:, edge:].sum(1) for edge in bins], axis=1)
    positive = num_truth > 0
    dice = ratio(2 * inside, above + num_truth[:, None], empty=1.0)
    # A case that passes `top` gains its Dice at `bottom` over what an empty mask would give it.
    weights = prevalence_weights(positive, prevalence)
    gain = dice - ~positive[:, None]
    passes = above[:, :, None] > np.asarray(AREAS) * both.sum(1)[:, None, None]
    mean = np.einsum("nta,nb->tab", passes, weights[:, None] * gain, optimize=True) / len(positive)
    on_grid = _best(mean, _TRIPLETS)
    if table.case_logits is None or not tells_apart(table.case_logits, positive):
        return on_grid
    gate = gate_of(table.case_logits, positive, weights, passes, gain)
    chosen, *richer = (
        _best(gate.gain, allowed, gate.threshold) for allowed in (_HEAD_ALONE, _PAIRS, _TRIPLETS)
    )
    for rule in (*richer, on_grid):
        more = weights * (per_case_dice(table, rule) - per_case_dice(table, chosen))
        if more.mean() > ONCE_IN_TWENTY * more.std(ddof=1) / len(more) ** 0.5 + _TIE:
            chosen = rule
    return chosen


def _best(
    gain: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    thresholds: NDArray[np.float64] | None = None,
) -> Rule:
    """The best allowed rule of the grid; gains and case thresholds are by top, area and bottom."""
    best = gain[allowed].max()
    equals = np.argwhere(allowed & (gain >= best - _TIE))
    rules = []
    for top, area, bottom in equals.tolist():
        asked = math.nan if thresholds is None else float(thresholds[top, area, bottom])
        rules.append(
            Rule(
                top=THRESHOLDS[top],
                min_area=AREAS[area],
                bottom=THRESHOLDS[bottom],
                case_threshold=None if math.isnan(asked) else asked,
            )
        )
    return min(rules, key=_complexity)


def leave_one_fold_out(
    tables: Sequence[CaseTable], prevalence: float | None = None
) -> tuple[tuple[Rule, ...], tuple[dict[str, float], ...]]:
    """For every fold, the rule that the other folds choose and the metrics of the fold under it.

    Args:
        tables: Out-of-fold counts of each fold, two or more, no case in two of them.
        prevalence: As for `choose_rule`; the metrics are those of the cases as they are.

    Returns:
        Rules and metrics, one of each per fold; quartiles of mask size are those of the positive
        cases of all folds. Distances are not among them: they hold for the settings' rule alone.

    Raises:
        DataError: There are fewer than two folds, a case is in two of them, or see `choose_rule`.
    """
    if len(tables) < 2:
        raise DataError(f"tables: found {len(tables)}, expected two folds or more")
    # Refuses a case that is in two folds: its rule would have seen it.
    together = concatenate(tables)
    rules = tuple(
        choose_rule(concatenate([*tables[:fold], *tables[fold + 1 :]]), prevalence)
        for fold in range(len(tables))
    )
    quartiles = size_quartiles(together.truth.sum(1))
    return rules, tuple(
        summarize(table, rule) | summarize_groups(table, rule, quartiles=quartiles)
        for table, rule in zip(tables, rules, strict=True)
    )


def _complexity(rule: Rule) -> tuple[float, ...]:
    return (
        rule.min_area,
        round(abs(rule.top - 0.5), 6),
        round(abs(rule.bottom - 0.5), 6),
        rule.top,
        rule.bottom,
    )
