"""Whether the winner tells ill cases from healthy ones, and how surely one case can be called.

A case's score is the logit of the network's case head; of a network without one it is the highest
logit that more than a least area of its image reaches (`ptxcore.metrics.case_scores`). Least area,
calibration and thresholds of fold f come from the
*other* folds, as those of masks do; what stands here is how they did on fold f. What a model is
deployed with is chosen on all out-of-fold cases, and a hold-out alone can judge that.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ptxcore.metrics import (
    case_score,
    case_scores,
    concatenate,
    fit_calibration,
    load_table,
    probability_to_logits,
    roc_area,
    threshold_for,
)
from ptxcore.types import CaseTable
from sweep.analysis.intervals import TOO_FEW
from sweep.analysis.rates import rate_interval
from sweep.analysis.roc_interval import roc_interval
from sweep.ledger.projection import Projection
from sweep.util.numbers import finite_or_none
from sweep.util.words import count

#: What users of a triage ask for; each is the share of healthy cases that must not be called.
SPECIFICITIES = (0.90, 0.95, 0.99)
#: Least areas tried, as shares of the image; the one with the largest area under the curve stands.
AREAS = (0.0, 1e-4, 5e-4, 2e-3, 1e-2)
_TIE = 1e-9
#: Under which a model keeps it among the facts of its origin.
FACT = "case_detection"
#: What a case is scored by.
MASK, CASE_HEAD = "mask", "case_head"
_IN_WORDS = {MASK: "by its mask's logits", CASE_HEAD: "by the networks' case head"}


@dataclass(frozen=True, kw_only=True)
class CaseRule:
    """How the logits of a case become a probability that it is positive, and calls.

    Attributes:
        min_area: Share of the image that must reach the score; 0 of a case head.
        slope: Slope of the calibration, 0 or more.
        intercept: Its intercept.
        thresholds: Scores from which a case is called, one for each of `SPECIFICITIES`.
        score: `CASE_HEAD`, or `MASK` of a network without one.
    """

    min_area: float
    slope: float
    intercept: float
    thresholds: tuple[float, ...]
    score: str = MASK

    def probability(self, score: float) -> float:
        """Probability that a case of this score is positive, for the prevalence of the search."""
        return float(expit(self.slope * score + self.intercept))

    def calls(self, score: float) -> dict[str, bool]:
        """By specificity, such as "0.95": whether a case is called positive there."""
        pairs = zip(SPECIFICITIES, self.thresholds, strict=True)
        return {f"{asked:.2f}": score >= threshold for asked, threshold in pairs}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> CaseRule:
        """As a ledger or a model's description holds it."""
        return cls(**{**stored, "thresholds": tuple(stored["thresholds"])})


@dataclass(frozen=True, kw_only=True)
class CaseCall:
    """What a model says of an image as a whole.

    Attributes:
        probability: That it has a true mask, in [0, 1], if ill ones are as frequent as they were
            in the search; calibrated out of fold, for the mean of the networks where it is known
            how far they agree (`sweep.promotion.case_agreement`), else on them one by one.
        called: By specificity, such as "0.95": whether it is called ill at the threshold for that.
        score: What it was told by: `CASE_HEAD` of the networks, or their `MASK`.
    """

    probability: float
    called: Mapping[str, bool]
    score: str = MASK


def call_case(
    rule: CaseRule, probability: NDArray[np.float32], case_logit: float | None
) -> CaseCall | None:
    """What a model says of an image as a whole.

    Args:
        rule: How the model calls cases.
        probability: Map of probabilities, shape (H, W), in [0, 1].
        case_logit: What its case heads say, None of a model without.

    Returns:
        None where the rule is one of case heads and what computes has none.
    """
    score = case_logit
    if rule.score == MASK:
        score = case_score(probability_to_logits(probability), rule.min_area)
    if score is None:
        return None
    return CaseCall(probability=rule.probability(score), called=rule.calls(score), score=rule.score)


@dataclass(frozen=True, kw_only=True)
class Called:
    """How calls at one specificity did on cases that did not choose them.

    Attributes:
        asked: Specificity that the choice aimed at.
        specificity: Share of healthy cases that were not called, with its 95% interval over
            patients: found, low, high; NaN ends where there are too few.
        sensitivity: Share of positive cases that were called, likewise.
    """

    asked: float
    specificity: tuple[float, float, float]
    sensitivity: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """How a trial tells ill cases from healthy ones on its held folds.

    Attributes:
        trial: Its number.
        area: Area under the ROC curve of the cases, with its 95% interval over patients.
        called: Calls at each of `SPECIFICITIES`.
        num_positive: Positive cases.
        num_healthy: Cases without a true mask.
        rule: What the trial would be deployed with.
    """

    trial: int
    area: tuple[float, float, float]
    called: tuple[Called, ...]
    num_positive: int
    num_healthy: int
    rule: CaseRule

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Detection:
        """As a ledger holds it; `to_stored` gives the same mapping again."""
        return cls(
            trial=int(stored["trial"]),
            area=_numbers(stored["area"]),
            called=tuple(
                Called(
                    asked=float(one["asked"]),
                    specificity=_numbers(one["specificity"]),
                    sensitivity=_numbers(one["sensitivity"]),
                )
                for one in stored["called"]
            ),
            num_positive=int(stored["num_positive"]),
            num_healthy=int(stored["num_healthy"]),
            rule=CaseRule.from_stored(stored["rule"]),
        )

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values, None for NaN."""
        return {
            **dataclasses.asdict(self),
            "area": [finite_or_none(value) for value in self.area],
            "called": [
                {
                    "asked": one.asked,
                    "specificity": [finite_or_none(value) for value in one.specificity],
                    "sensitivity": [finite_or_none(value) for value in one.sensitivity],
                }
                for one in self.called
            ],
        }


def sentence(found: Detection) -> str:
    """What every view says of it."""
    cases = f"{found.num_positive:,} positive and {count(found.num_healthy, 'healthy case')}"
    if math.isnan(found.area[0]):
        return f"Case by case nothing can be said of {cases}: expected both kinds."
    text = (
        f"Case by case, {_IN_WORDS[found.rule.score]}: of {cases} out of fold, a positive one "
        "ranks above a healthy one in "
        f"{found.area[0]:.3f} of pairs ({spread(found.area)}; a coin 0.5)"
    )
    one = next((one for one in found.called if one.asked == 0.95), None)
    if one is None:
        return f"{text}."
    return (
        f"{text}; called at a specificity of {one.asked:.0%} that the other folds set "
        f"(here {one.specificity[0]:.1%}), {one.sensitivity[0]:.1%} of the positive ones are "
        f"found ({spread(one.sensitivity, percent=True)})."
    )


def spread(value: tuple[float, float, float], *, percent: bool = False) -> str:
    """Its interval in words."""
    found, low, high = value
    if math.isnan(low):
        return (
            "no interval, since no pair is out of order" if found == 1 and not percent else TOO_FEW
        )
    ends = f"{low:.1%} to {high:.1%}" if percent else f"{low:.3f} to {high:.3f}"
    return f"95% interval {ends}"


def known_detection(projection: Projection) -> Detection | None:
    """What the ledger keeps; None where it keeps nothing, or of another winner."""
    best = projection.best()
    if projection.detection is None or best is None:
        return None
    try:
        found = Detection.from_stored(projection.detection)
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.trial == best.number else None


def known_case_rule(facts: Mapping[str, Any]) -> CaseRule | None:
    """How a model calls cases, from the facts of its origin; None of one that does not know."""
    try:
        return Detection.from_stored(facts[FACT]).rule
    except (KeyError, TypeError, ValueError):
        return None


def detect(projection: Projection, folder: Path, groups: Mapping[str, str]) -> Detection | None:
    """How the winner tells cases apart.

    Args:
        projection: Projection of a sweep.
        folder: Folder of the sweep; fold scores name their case tables relative to it.
        groups: The patient of each case by its id.

    Returns:
        None without a winner, where one of its tables is not there, or some fold leaves no case of
        either kind to the others.

    Raises:
        CheckpointError: A table is damaged.
    """
    best = projection.best()
    names = [] if best is None else [best.folds[fold].cases for fold in sorted(best.folds)]
    files = [folder / name for name in names if name is not None]
    if best is None or len(files) < max(2, len(names)) or not all(map(Path.is_file, files)):
        return None
    return detect_on([load_table(file) for file in files], groups, trial=best.number)


def detect_on(
    tables: Sequence[CaseTable], groups: Mapping[str, str], *, trial: int
) -> Detection | None:
    """How out-of-fold cases are told apart, each under what the other folds choose.

    Args:
        tables: Counts of each fold's cases, two folds or more, no case in two of them.
        groups: The patient of each case by its id.
        trial: Number of the trial.
    """
    together = concatenate(tables)
    others = [concatenate([*tables[:fold], *tables[fold + 1 :]]) for fold in range(len(tables))]
    if any(positive.all() or not positive.any() for positive in map(_is_positive, others)):
        return None
    rules = [choose_case_rule(table) for table in others]
    found = [judge_calls(table, rule) for table, rule in zip(tables, rules, strict=True)]
    probability = np.concatenate([one for one, _ in found])
    calls = np.concatenate([one for _, one in found])
    positive, patients = _is_positive(together), _patients(together, groups)
    return Detection(
        trial=trial,
        area=roc_interval(probability, positive, patients),
        called=tuple(
            Called(
                asked=asked,
                specificity=_rate(~calls[:, place], ~positive, patients),
                sensitivity=_rate(calls[:, place], positive, patients),
            )
            for place, asked in enumerate(SPECIFICITIES)
        ),
        num_positive=int(positive.sum()),
        num_healthy=int((~positive).sum()),
        rule=choose_case_rule(together),
    )


def choose_case_rule(table: CaseTable) -> CaseRule:
    """The rule that some cases choose, to be used on others.

    Args:
        table: Counts of positive and healthy cases.
    """
    positive, best = _is_positive(table), 0.0
    if (scores := table.case_logits) is None:
        by_area = {area: case_scores(table, area) for area in AREAS}
        areas = {area: roc_area(own, positive) for area, own in by_area.items()}
        best = min(area for area in AREAS if areas[area] >= max(areas.values()) - _TIE)
        scores = by_area[best]
    slope, intercept = fit_calibration(scores, positive)
    healthy = scores[~positive]
    return CaseRule(
        min_area=best,
        slope=slope,
        intercept=intercept,
        thresholds=tuple(threshold_for(healthy, asked) for asked in SPECIFICITIES),
        score=MASK if table.case_logits is None else CASE_HEAD,
    )


def judge_calls(table: CaseTable, rule: CaseRule) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probability of each case, shape (N,), and its calls, shape (N, len(SPECIFICITIES))."""
    scores = case_scores(table, rule.min_area) if rule.score == MASK else table.case_logits
    assert scores is not None, "tables of one trial have all a case head, or none"
    probability = expit(rule.slope * scores + rule.intercept)
    return probability, scores[:, None] >= np.asarray(rule.thresholds)


def _rate(
    hits: NDArray[np.bool_], counts: NDArray[np.bool_], groups: Sequence[str]
) -> tuple[float, float, float]:
    low, high = rate_interval(hits, counts, groups)
    return float(hits[counts].mean()), low, high


def _is_positive(table: CaseTable) -> NDArray[np.bool_]:
    return np.asarray(table.truth.sum(1) > 0)


def _patients(table: CaseTable, groups: Mapping[str, str]) -> list[str]:
    return [groups.get(name, name) for name in table.case_ids.tolist()]


def _numbers(values: Sequence[float | None]) -> tuple[float, float, float]:
    first, low, high = (math.nan if value is None else float(value) for value in values)
    return first, low, high
