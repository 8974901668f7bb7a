"""Score a model, or masks that anyone predicted, on a labelled store: the external test.

Nothing is tuned here: a model keeps the rule that its hold-out was scored with, masks are taken as
they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxcore.data.formats.image_range import other_kind, unlike_training
from ptxcore.data.formats.radiograph import Header
from ptxcore.data.formats.subject import Subject
from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore, OnProgress, no_progress
from ptxcore.data.studies.predicted_masks import PredictedMasks, find_masks
from ptxcore.errors import CoreError, FoldPlanError
from ptxcore.inference import ImageLogits
from ptxcore.metrics import (
    apply_rule,
    per_case_dice,
    probability_to_logits,
    size_quartiles,
    summarize,
    summarize_groups,
    summarize_surfaces,
)
from ptxcore.types import CaseTable, Rule
from sweep.analysis.expected_dice import ExpectedDice, expected_dice
from sweep.analysis.intervals import TOO_FEW, num_positive_patients, stated_interval
from sweep.analysis.rates import rate_interval
from sweep.errors import SweepError, UsageError
from sweep.mlflow.open_model import open_model
from sweep.promotion.assess import CONFIDENCE, dice_intervals, surface_intervals
from sweep.promotion.holdout import score_cases
from sweep.storage.case_stores import open_store, store_of
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Metrics of probabilities, which a mask has none of.
_OF_PROBABILITIES = ("average_precision", "calibration_error")
#: Nobody dealt the patients of a store: how many of them are positive is chance.
_DRAWN = partial(stated_interval, is_dealt=False)
#: Whether the cases may have trained the model.
UNSEEN, SEEN, UNKNOWN = "none", "some", "unknown"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model or masks on a labelled store.

    Attributes:
        subject: What was scored.
        num_cases: Cases of the store.
        num_positive: Cases with a true mask.
        num_groups: Patients.
        num_positive_groups: Patients with a positive case.
        num_missing: Cases without a predicted mask, scored as if nothing was found.
        num_unknown: Predicted masks of no case of the store.
        num_unlike: Cases too far from the images that the model was trained on, as far as it tells.
        metrics: Metrics by the names of `ptxcore.metrics.CONVENTIONS`, the all-empty baselines
            among them.
        intervals: Lower and upper end by metric, over patients; NaN twice where there are too few.
        confidence: Level of the intervals, in (0, 1).
        rule: How probabilities became masks; None where masks were given.
        seen: Whether the model's sweep had cases of this store: "none", "some" or "unknown".
        data_hash: Content hash of the store.
        facts: What the model says of its origin.
        cases: A row per case: id, Dice (both empty = 1), pixels true, predicted and common.
        expected: Dice as it is expected at a prevalence; None where none was given.
    """

    subject: str
    num_cases: int
    num_positive: int
    num_groups: int
    num_positive_groups: int
    num_missing: int
    num_unknown: int
    num_unlike: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, list[float]]
    confidence: float
    rule: Rule | None
    seen: str
    data_hash: str
    facts: Mapping[str, Any]
    cases: tuple[Mapping[str, Any], ...]
    expected: ExpectedDice | None = None

    def span(self, name: str, form: str) -> str:
        """The interval of a metric in words."""
        low, high = self.intervals[name]
        if np.isnan(low):
            return TOO_FEW
        return f"{self.confidence:.0%} interval {low:{form}} to {high:{form}}"


def evaluate_model(
    home: Home,
    uri: str,
    store: CaseStore,
    *,
    allow_seen: bool = False,
    beyond_training: bool = False,
    prevalence: float | None = None,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """Score a model on every case of a store.

    Args:
        home: Its registry knows the model, its sweeps tell which cases that has seen.
        uri: Address of the model, see `open_model`.
        store: Labelled cases.
        allow_seen: Whether cases that the model's sweep had are scored all the same.
        beyond_training: Likewise cases of a size, shape, bit depth or view that is too far from
            those that it was trained on.
        prevalence: Share of positive cases that Dice is reckoned with besides; what the model's
            rule was chosen for if None, where it says one.
        on_progress: Called after every case.

    Raises:
        UsageError: No such model; one of other pictures than the store has, by kind or by size; or
            the sweep that it comes from had cases of this store.
        CheckpointError: The model's files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
    """
    ensemble, facts = open_model(home, uri)
    if (problem := other_kind(facts, store.contents)) is not None:
        raise UsageError(
            f"evaluate: {uri} is {problem} in the store, expected pictures of the same kind"
        )
    unlike = find_unlike(facts, store)
    if unlike and not beyond_training:
        raise UsageError(
            f"evaluate: {len(unlike)} of the {len(store)} cases are too far from the images that "
            f"{uri} was trained on (the first: {unlike[0]}); expected a store of such images "
            "(--beyond-training scores them all the same, and says so)"
        )
    num_seen = count_seen(home, facts, store)
    if num_seen and not allow_seen:
        raise UsageError(
            f"evaluate: {num_seen} of the {len(store)} cases took part in the sweep that {uri} "
            "comes from, so they say nothing of new patients; expected a store that it has not "
            "seen (--allow-seen scores it all the same, and says so)"
        )
    seen = UNKNOWN if num_seen is None else SEEN if num_seen else UNSEEN
    names = [case.case_id for case in store.cases]
    models = [(lambda _, image: ensemble.predict(image), ensemble.rule)]
    (table,) = score_cases(models, store, names, on_progress)
    found = _evaluation(
        uri, table, ensemble.rule, store, seen=seen, facts=facts, num_unlike=len(unlike)
    )
    return _at_prevalence(found, table, store, prevalence or facts.get("prevalence"))


def evaluate_masks(
    source: Path,
    store: CaseStore,
    *,
    missing_as_empty: bool = False,
    prevalence: float | None = None,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """Score masks on every case of a store.

    Args:
        source: Folder or table of masks, see `find_masks`.
        store: Labelled cases.
        missing_as_empty: Whether a case without a mask counts as one in which nothing was found.
        prevalence: Share of positive cases that Dice is reckoned with besides.
        on_progress: Called after every case.

    Raises:
        UsageError: Cases have no mask.
        DataError: A mask cannot be read, or is of another size than its image.
    """
    masks = find_masks(source, store)
    if masks.missing and not missing_as_empty:
        raise UsageError(
            f"evaluate: {len(masks.missing)} of the {len(store)} cases have no mask in "
            f"{source.name}, expected one each (--missing-as-empty counts them as empty)"
        )

    def predicted(name: str, image: NDArray[Any]) -> ImageLogits:
        height, width = image.shape
        mask = masks.mask(name, (height, width)).astype(np.float32)
        return ImageLogits(probability_to_logits(mask), None)

    names = [case.case_id for case in store.cases]
    (table,) = score_cases([(predicted, Rule())], store, names, on_progress)
    found = _evaluation(source.name, table, Rule(), store, masks=masks)
    return _at_prevalence(found, table, store, prevalence)


def _at_prevalence(
    found: Evaluation, table: CaseTable, store: CaseStore, prevalence: float | None
) -> Evaluation:
    """The same with the Dice to expect at a prevalence."""
    if prevalence is None:
        return found
    dice = np.array([case["dice"] for case in found.cases])
    positive, groups = np.asarray(table.truth.sum(1) > 0), [case.group for case in store.cases]
    expected = expected_dice(dice, positive, groups, prevalence)
    return dataclasses.replace(found, expected=expected)


def find_unlike(facts: Mapping[str, Any], store: CaseStore) -> list[str]:
    """What is wrong with each case that is too far from the images that a model was trained on.

    Args:
        facts: What the model says of its origin; one that does not tell is taken to have seen such.
        store: The cases.
    """
    headers = [
        Header(
            uid=case.case_id,
            shape=(case.height, case.width),
            is_eight_bit=store.dtype.itemsize == 1,
            subject=Subject(view=case.view),
        )
        for case in store.cases
    ]
    problems = [unlike_training(facts, header) for header in headers]
    return [problem for problem in problems if problem is not None]


def count_seen(home: Home, facts: Mapping[str, Any], store: CaseStore) -> int | None:
    """Cases of a store that the sweep behind a model had, in folds, monitors or hold-out.

    Args:
        home: Its folder may hold that sweep.
        facts: What the model says of its origin.
        store: The cases.

    Returns:
        None where it cannot be told: the sweep is not here, and the store is another one; or its
        ids have another key, and its own store is not here or has none of these pictures.
    """
    name = facts.get("sweep")
    try:
        plan = FoldPlan.load(home.sweep_folder(str(name)) / "plan.json") if name else None
    except (FoldPlanError, UsageError):
        plan = None
    if plan is None or plan.digest != facts.get("plan_digest"):
        return len(store) if facts.get("data_hash") == store.data_hash else None
    searched = {case for fold in range(plan.num_folds) for case in plan.search.held(fold)}
    had = searched | set(plan.holdout)
    num_seen = len({case.case_id for case in store.cases} & had)
    if num_seen or facts.get("data_hash") == store.data_hash:
        return num_seen
    try:
        with Sweep.open(home, str(name)) as sweep:
            own = open_store(store_of(sweep.header, home.folder))
    except (CoreError, SweepError):
        return None if store.id_key is not None else 0
    if own.id_key == store.id_key:
        return 0
    return _num_same_pictures(own, had, store) or None


def _num_same_pictures(own: CaseStore, had: set[str], store: CaseStore) -> int:
    """Cases of a store with the very pixels of some that a sweep had, whatever their ids."""
    known = {own.look_of(own.index(name)) for name in had}
    return sum(store.look_of(index) in known for index in range(len(store)))


def _evaluation(
    subject: str,
    table: CaseTable,
    rule: Rule,
    store: CaseStore,
    *,
    masks: PredictedMasks | None = None,
    seen: str = UNKNOWN,
    facts: Mapping[str, Any] | None = None,
    num_unlike: int = 0,
) -> Evaluation:
    groups = [case.group for case in store.cases]
    dice, counts = per_case_dice(table, rule), apply_rule(table, rule)
    truth = counts.true_positive + counts.false_negative
    found = counts.true_positive + counts.false_positive
    positive = np.asarray(truth > 0)
    quartiles = size_quartiles([case.mask_px for case in store.cases])
    metrics = {
        **summarize(table, rule),
        **summarize_surfaces(table),
        **summarize_groups(table, rule, quartiles=quartiles),
    }
    if masks is not None:
        metrics = {
            name: value for name, value in metrics.items() if not name.startswith(_OF_PROBABILITIES)
        }

    def rate(hits: NDArray[np.bool_], counts_where: NDArray[np.bool_]) -> list[float]:
        return list(rate_interval(hits, counts_where, groups, confidence=CONFIDENCE))

    return Evaluation(
        subject=subject,
        num_cases=len(store),
        num_positive=int(positive.sum()),
        num_groups=len(set(groups)),
        num_positive_groups=num_positive_patients(groups, positive),
        num_missing=0 if masks is None else len(masks.missing),
        num_unknown=0 if masks is None else masks.num_unknown,
        num_unlike=num_unlike,
        metrics=metrics,
        intervals={
            **dice_intervals(dice, positive, groups, method=_DRAWN),
            **surface_intervals(table, positive, groups, method=_DRAWN),
            "case_sensitivity": rate(found > 0, positive),
            "case_specificity": rate(found == 0, ~positive),
            "case_precision": rate(positive, found > 0),
        },
        confidence=CONFIDENCE,
        rule=rule if masks is None else None,
        seen=seen,
        data_hash=store.data_hash,
        facts=dict(facts or {}),
        cases=tuple(
            {
                "case_id": str(case_id),
                "dice": float(score),
                "true_px": int(true_px),
                "predicted_px": int(found_px),
                "common_px": int(common),
            }
            for case_id, score, true_px, found_px, common in zip(
                table.case_ids, dice, truth, found, counts.true_positive, strict=True
            )
        ),
    )
