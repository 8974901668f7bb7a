"""Choose the rule that makes masks, on cases other than those it is scored on.

The triplet (top threshold, minimum area, bottom threshold) is the post-processing that the best
entries of SIIM-ACR shared. They chose it on the fold they reported; here fold f is scored under the
rule that the other folds chose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import DataError, SettingsError
from ptxcore.metrics._counts import probability_to_bin, quantise
from ptxcore.metrics._groups import size_quartiles, summarize_groups
from ptxcore.metrics._rule import per_case_dice, ratio
from ptxcore.metrics._summary import summarize
from ptxcore.metrics._table import concatenate
from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS, CaseTable, Rule

#: Probabilities tried for `top` and `bottom`.
THRESHOLDS: tuple[float, ...] = (0.02, *(round(0.05 * step, 2) for step in range(1, 20)), 0.98)
#: Shares of the image tried for `min_area`; 0.002 is 2,097 of 1,024 x 1,024 px.
AREAS: tuple[float, ...] = (0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2)
#: Quantiles of the cases' own logits tried for `case_threshold`: a head knows no scale beforehand.
CASE_QUANTILES: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))
#: Two mean Dice values closer than this are the same.
_TIE = 1e-9


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

    A table with logits of a case head may ask it first, at one of `CASE_QUANTILES` of them; it does
    where that gains more than its own standard error over not asking it (the rule of Breiman and
    others, Classification and Regression Trees, 1984), since one of many thresholds always seems to
    gain a little. Among equals the simplest: least area, then `top`, then `bottom` nearest to 0.5.

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
    empty = (num_truth == 0).astype(np.float64)
    dice = ratio(2 * inside, above + num_truth[:, None], empty=1.0)
    # A case that passes `top` gains its Dice at `bottom` over what an empty mask would give it.
    weights = prevalence_weights(num_truth > 0, prevalence)
    gain = weights[:, None] * (dice - empty[:, None])
    passes = above[:, :, None] > np.asarray(AREAS) * both.sum(1)[:, None, None]

    def best(threshold: float | None, lets_pass: NDArray[np.bool_] | None) -> _Scored:
        own = gain if lets_pass is None else gain * lets_pass[:, None]
        gains = np.einsum("nta,nb->tab", passes, own, optimize=True)
        mean = (weights * empty).mean() + gains / len(empty)
        return _best(mean, threshold)

    plain = best(None, None).rule
    asking = [best(*each) for each in _case_thresholds(table)]
    if not asking:
        return plain
    # The first and so the lowest threshold among equals.
    chosen = max(asking, key=lambda one: round(one.score / _TIE)).rule
    more = weights * (per_case_dice(table, chosen) - per_case_dice(table, plain))
    # One whole case alone is exactly a standard error, which is not enough.
    return chosen if more.mean() > more.std(ddof=1) / len(more) ** 0.5 + _TIE else plain


class _Scored(NamedTuple):
    score: float
    rule: Rule


def _best(mean: NDArray[np.float64], case_threshold: float | None) -> _Scored:
    """The best rule of the grid; `mean` is Dice by top, area and bottom."""
    candidates = [
        _Scored(
            float(mean[t, a, b]),
            Rule(top=top, min_area=area, bottom=bottom, case_threshold=case_threshold),
        )
        for t, top in enumerate(THRESHOLDS)
        for a, area in enumerate(AREAS)
        for b, bottom in enumerate(THRESHOLDS)
        if bottom <= top
    ]
    best = max(score for score, _ in candidates)
    equals = (one for one in candidates if one.score >= best - _TIE)
    return min(equals, key=lambda one: _complexity(one.rule))


def _case_thresholds(table: CaseTable) -> Iterator[tuple[float, NDArray[np.bool_]]]:
    """Those of the case head, the lowest first, with the cases that pass; none without a head."""
    if table.case_logits is None or len(table.case_ids) < 2:
        return
    bins = quantise(table.case_logits.astype(np.float32))
    # At an edge of a bin, so that the threshold as a probability acts just there.
    edges = np.quantile(bins, CASE_QUANTILES, method="higher")
    for edge in np.unique(edges[(edges > 0)]).tolist():
        logit = LOGIT_RANGE[0] + edge * (LOGIT_RANGE[1] - LOGIT_RANGE[0]) / NUM_LOGIT_BINS
        yield 1 / (1 + math.exp(-logit)), bins >= edge


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
