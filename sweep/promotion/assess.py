"""What tables of the locked cases say: the winner, the default beside it, the champion beside it.

All are scored on the same cases, so they are compared case by case, and each difference has its own
interval over patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.image_range import ImageRange
from ptxcore.data.formats.subject import main_subject
from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import apply_rule, per_case_dice
from ptxcore.training.scoring import held_metrics
from ptxcore.types import CaseTable, Rule
from sweep.analysis.expected_dice import ExpectedDice, expected_dice
from sweep.analysis.intervals import (
    DIFFERENCE,
    SHARE,
    gain_ends,
    grouped_interval,
    num_positive_patients,
    stated_interval,
)
from sweep.analysis.rates import rate_interval
from sweep.promotion.confirmation import TRIAL_KEY
from sweep.promotion.subgroups import compare_parts, kept_parts, parts_of

#: Of intervals on cases that nothing was decided on before.
CONFIDENCE = 0.95
Intervals = dict[str, list[float]]
#: `grouped_interval` to decide on, or `stated_interval` to print.
Method = Callable[..., tuple[float, float]]
#: A hold-out is dealt.
_STATED = partial(stated_interval, is_dealt=True)


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """A model on the locked cases.

    Attributes:
        table: Table of the cases in the plan's order.
        rule: How its logits become masks.
    """

    table: CaseTable
    rule: Rule

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice of each case (both empty = 1), shape (N,)."""
        return per_case_dice(self.table, self.rule)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether each case has a true mask, shape (N,)."""
        return np.asarray(self.table.truth.sum(1) > 0)


def assess(
    number: int,
    winner: ScoredModel,
    default: ScoredModel | None,
    store: CaseStore,
    plan: FoldPlan,
    confidence: float = CONFIDENCE,
) -> dict[str, Any]:
    """The winner's result and the default's, as the evidence study keeps it; plain JSON values.

    Args:
        number: Number of the winner.
        winner: The winner on the locked cases.
        default: Likewise, None where it is the winner or cannot be scored.
        store: Store of the cases.
        plan: Fold plan of the sweep.
        confidence: Confidence of the intervals, see `sweep.promotion.spending`.
    """
    groups, positive = patients(winner, store), winner.positive
    parts = {} if default is None else {"default": _parts(winner, default, store, plan)}
    return {
        TRIAL_KEY: number,
        "metrics": held_metrics(winner.table, store, plan.search, winner.rule),
        "rule": winner.rule.to_stored(),
        "default": None
        if default is None
        else held_metrics(default.table, store, plan.search, default.rule),
        "intervals": _all_intervals(winner, default, groups, confidence, grouped_interval),
        "stated": _all_intervals(winner, default, groups, CONFIDENCE, _STATED),
        "subgroups": parts,
        "pictures": main_subject(store.contents),
        "images": _trained_on(store, plan).to_facts(),
        "num_groups": len(set(groups)),
        "num_positive_groups": num_positive_patients(groups, positive),
        "confidence": confidence,
        "data_hash": store.data_hash,
        "plan_digest": plan.digest,
    }


def expected_on(model: ScoredModel, store: CaseStore, prevalence: float) -> ExpectedDice:
    """Dice of a model on cases as it is expected at another prevalence; nothing decides on it.

    Args:
        model: The model on the cases.
        store: Store of the cases.
        prevalence: Share of positive cases in (0, 1).

    Raises:
        UsageError: The cases are all of one kind.
    """
    return expected_dice(model.dice, model.positive, patients(model, store), prevalence)


def _trained_on(store: CaseStore, plan: FoldPlan) -> ImageRange:
    """Range of the search's images; the grid is the trial's, and not told here."""
    names = [name for fold in range(plan.num_folds) for name in plan.search.held(fold)]
    cases = [store.cases[store.index(name)] for name in names]
    return ImageRange.of(
        [(case.height, case.width) for case in cases],
        views=[case.view for case in cases],
        bits=8 * store.dtype.itemsize,
    )


def challenged(
    result: Mapping[str, Any],
    winner: ScoredModel,
    champion: ScoredModel | None,
    facts: Mapping[str, Any],
    store: CaseStore,
    plan: FoldPlan,
    confidence: float = CONFIDENCE,
) -> dict[str, Any]:
    """A winner's result with the champion beside it.

    Args:
        result: Result from `assess`.
        winner: The winner on the locked cases.
        champion: The champion on the same cases; None if it could not be scored.
        facts: Version and origin of the champion, and why it could not be scored; kept with the
            result.
        store: Store of the cases.
        plan: Fold plan of the sweep.
        confidence: Confidence of the interval of the difference to the champion.
    """
    intervals, metrics = dict(result["intervals"]), None
    stated = dict(result.get("stated") or {})
    for known in (intervals, stated):
        known.pop("challenge", None)
    parts = {**(result.get("subgroups") or {})}
    parts.pop("champion", None)
    if champion is not None:
        same = winner.table.case_ids.tolist() == champion.table.case_ids.tolist()
        assert same, "both were scored in the plan's order"
        metrics = held_metrics(champion.table, store, plan.search, champion.rule)
        groups = patients(winner, store)
        both = winner.dice, champion.dice, winner.positive, groups
        intervals["challenge"] = paired_interval(*both, confidence)
        if stated:  # what earlier versions kept has none
            stated["challenge"] = paired_interval(*both, method=_STATED)
        parts["champion"] = _parts(winner, champion, store, plan)
    return {
        **result,
        "intervals": intervals,
        "stated": stated,
        "subgroups": parts,
        "champion": {**facts, "metrics": metrics},
        "challenge_confidence": confidence,
    }


def dice_intervals(
    dice: NDArray[np.float64],
    positive: NDArray[np.bool_],
    groups: Sequence[str],
    confidence: float = CONFIDENCE,
    method: Method = grouped_interval,
) -> Intervals:
    """Intervals of a model's Dice, of that over positive cases, and of its gain over nothing.

    Args:
        dice: Dice of each case (both empty = 1), shape (N,).
        positive: Whether each case has a true mask.
        groups: The patient of each case.
        confidence: Confidence of the intervals.
        method: See `sweep.analysis.intervals`: those to decide on, or to print.
    """
    of_positives = np.where(positive, dice, np.nan)
    ends = gain_ends(groups, positive)
    return {
        "dice": _interval(dice, groups, positive, SHARE, confidence, method),
        "dice_positive": _interval(of_positives, groups, positive, SHARE, confidence, method),
        "gain": _interval(dice - ~positive, groups, positive, ends, confidence, method),
    }


def paired_interval(
    dice: NDArray[np.float64],
    other: NDArray[np.float64],
    positive: NDArray[np.bool_],
    groups: Sequence[str],
    confidence: float = CONFIDENCE,
    method: Method = grouped_interval,
) -> list[float]:
    """Interval of the Dice of one model above that of another on the same cases.

    Args:
        dice: Dice of the one, shape (N,).
        other: Dice of the other.
        positive: Whether each case has a true mask.
        groups: The patient of each case.
        confidence: Confidence of the interval.
        method: As for `dice_intervals`.
    """
    return _interval(dice - other, groups, positive, DIFFERENCE, confidence, method)


def patients(model: ScoredModel, store: CaseStore) -> list[str]:
    """The patient of each case, in the order of the table.

    Args:
        model: The model on the locked cases.
        store: Store of the cases.
    """
    return [store.cases[store.index(name)].group for name in model.table.case_ids.tolist()]


def rate_intervals(
    model: ScoredModel,
    groups: Sequence[str],
    confidence: float = CONFIDENCE,
    method: Method = grouped_interval,
) -> Intervals:
    """Intervals of overlap and rates besides Dice, by the names of `ptxcore.metrics.CONVENTIONS`.

    Args:
        model: The model on the cases.
        groups: The patient of each case.
        confidence: Confidence in (0, 1).
        method: As for `dice_intervals`; what is yes or no has Wilson's either way.
    """
    hit, extra, missed = apply_rule(model.table, model.rule)
    truth, marked = hit + missed, hit + extra
    union = hit + extra + missed
    iou = np.where(union > 0, hit / np.maximum(union, 1), 1.0)
    positive, predicted = truth > 0, marked > 0
    shares = {
        "iou": (iou, np.ones_like(positive)),
        "iou_positive": (iou, positive),
        "pixel_sensitivity": (hit / np.maximum(truth, 1), positive),
        "precision": (hit / np.maximum(marked, 1), predicted),
    }
    rates = {
        "case_sensitivity": (predicted, positive),
        "case_specificity": (~predicted, ~positive),
        "case_precision": (positive, predicted),
    }
    return {
        name: _interval(
            np.where(counts, found, np.nan), groups, positive, SHARE, confidence, method
        )
        for name, (found, counts) in shares.items()
    } | {
        name: list(rate_interval(hits, counts, groups, confidence=confidence))
        for name, (hits, counts) in rates.items()
    }


def surface_intervals(
    table: CaseTable,
    positive: NDArray[np.bool_],
    groups: Sequence[str],
    confidence: float = CONFIDENCE,
    method: Method = grouped_interval,
) -> Intervals:
    """Intervals of the distances between outlines, over all cases and over positive ones.

    Args:
        table: Table with distances.
        positive: Whether each case has a true mask.
        groups: The patient of each case.
        confidence: Confidence of the intervals.
        method: As for `dice_intervals`.
    """
    assert table.surfaces is not None, "they are measured with the score"
    distance, surface_dice, _ = table.surfaces.T
    over = {"surface_dice": (surface_dice, SHARE), "hausdorff95": (distance, None)}
    found = {}
    for name, (values, ends) in over.items():
        unit = "_mm" if name == "hausdorff95" else ""
        found[name + unit] = _interval(values, groups, positive, ends, confidence, method)
        found[f"{name}_positive{unit}"] = _interval(
            np.where(positive, values, np.nan), groups, positive, ends, confidence, method
        )
    return found


def _all_intervals(
    winner: ScoredModel,
    default: ScoredModel | None,
    groups: Sequence[str],
    confidence: float,
    method: Method,
) -> Intervals:
    positive = winner.positive
    found = {
        **dice_intervals(winner.dice, positive, groups, confidence, method),
        **rate_intervals(winner, groups, confidence, method),
        **surface_intervals(winner.table, positive, groups, confidence, method),
    }
    if default is not None:
        both = winner.dice, default.dice
        found["difference"] = paired_interval(*both, positive, groups, confidence, method)
    return found


def _parts(
    winner: ScoredModel, other: ScoredModel, store: CaseStore, plan: FoldPlan
) -> list[dict[str, Any]]:
    """At the same confidence at each use: a wider interval finds fewer losses, not fewer gains."""
    found = compare_parts(
        winner.dice - other.dice,
        parts_of(winner.table, store, plan.search),
        patients(winner, store),
        winner.positive,
        CONFIDENCE,
    )
    return kept_parts(found)


def _interval(
    values: NDArray[np.float64],
    groups: Sequence[str],
    positive: NDArray[np.bool_],
    ends: Any,
    confidence: float,
    method: Method,
) -> list[float]:
    return list(method(values, groups, positive, ends=ends, confidence=confidence))
