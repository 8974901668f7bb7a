"""Which cases took part in a sweep, as its header has it and as people read it.

A score is one of certain cases: 0.4 over positive cases alone is no score over all comers. Headers
of older sweeps say nothing of this; then nothing is said here either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from sweep.ledger.header import SweepHeader

#: How an import knew which images belong to one patient, as the store's manifest calls it.
_GROUPED = {
    "table": "from the table of groups",
    "patient_id": "from the PatientID",
    "image": "each image taken as a patient of its own",
    "unknown": "it is not recorded how they were known",
}


def cohort_of(header: SweepHeader) -> dict[str, Any]:
    """What a header says of the cases that took part; empty where it says nothing."""
    return dict(header.cohort or {})


def has_positives_alone(cohort: Mapping[str, Any]) -> bool | None:
    """Whether no case without a pneumothorax took part, however that came; None if unknown."""
    if not {"num_cases", "num_positive"} <= cohort.keys():
        return None
    return bool(cohort["num_cases"] == cohort["num_positive"])


def describe(cohort: Mapping[str, Any]) -> str | None:
    """The cases that took part in one line; None where nothing is known of them."""
    if has_positives_alone(cohort) is None:
        return None
    counted = f"{cohort['num_cases']} of the store's {cohort['num_store_cases']} cases"
    if cohort["cases"] == "positive":
        counted += " (positive cases alone were asked for)"
    parts = [
        f"{counted}, {cohort['num_positive']} of them positive",
        f"{cohort['num_groups']} patients ({how_grouped(cohort)})",
        f"hold-out {cohort['num_holdout']} cases, {cohort['num_holdout_positive']} positive "
        f"({cohort['holdout_fraction']:g} asked for)",
        f"monitors of up to {cohort['num_monitor']} cases ({cohort['monitor_fraction']:g} of each "
        "training part asked for)",
    ]
    return "; ".join(parts)


def overlap_ratio(header: SweepHeader) -> float:
    """Scored cases per trained case, mean over the folds: n_test / n_train of Nadeau and Bengio.

    The monitor is neither scored nor trained on, so that it is more than 1 / (k - 1), which is
    returned where the ledger does not tell, as older ones do not. Checkpoints that are chosen on
    the scored fold are trained on the monitor too; their ratio is taken as the same, which makes
    their intervals wider than need be.

    Args:
        header: Header of a sweep.
    """
    counted = _num_scored_and_trained(header)
    if not counted:
        return 1 / max(1, header.num_folds - 1)
    return sum(num_scored / num_trained for num_scored, num_trained in counted) / len(counted)


def ratio_text(header: SweepHeader) -> str:
    """How overlapping training parts are reckoned with, in words."""
    text = f"{overlap_ratio(header):.3f} scored cases for each that a fold is trained on"
    if _num_scored_and_trained(header):
        return text
    return (
        f"{text}, as 1/(k-1), because the ledger of an earlier version does not tell how many "
        "cases watched instead"
    )


def _num_scored_and_trained(header: SweepHeader) -> list[tuple[int, int]]:
    """By fold; empty where it is not known."""
    cohort = cohort_of(header)
    pairs = list(zip(cohort.get("num_scored", ()), cohort.get("num_trained", ()), strict=False))
    return pairs if all(num_trained > 0 for _, num_trained in pairs) else []


def how_grouped(cohort: Mapping[str, Any]) -> str:
    """How the patients were known, for people."""
    ways = str(cohort.get("groups", "unknown")).split(", ")
    return ", ".join(_GROUPED.get(way, way) for way in ways)


def take_part(store: CaseStore, plan: FoldPlan) -> dict[str, Any]:
    """Which cases of a store take part in a sweep, and how they are shared out.

    Args:
        store: Store that the plan was made for.
        plan: Fold plan of the sweep.

    Returns:
        Plain values: counts of cases, positive cases and patients ("groups"), of all and of the
        hold-out; the shares that were asked for; "num_monitor", the most cases that watch a fold;
        "num_scored" and "num_trained", cases by fold.
    """
    holdout = [store.cases[store.index(name)] for name in plan.holdout]
    searched = [store.cases[store.index(name)] for fold in plan.search.folds for name in fold]
    cases = holdout + searched
    return {
        "cases": plan.settings["cases"],
        "num_cases": len(cases),
        "num_positive": sum(case.is_positive for case in cases),
        "num_groups": len({case.group for case in cases}),
        "groups": str(store.manifest.get("groups", "unknown")),
        "num_store_cases": len(store.cases),
        "num_store_positive": sum(case.is_positive for case in store.cases),
        "holdout_fraction": plan.settings["holdout_fraction"],
        "num_holdout": len(holdout),
        "num_holdout_positive": sum(case.is_positive for case in holdout),
        "num_holdout_groups": len({case.group for case in holdout}),
        "monitor_fraction": plan.settings["monitor_fraction"],
        "num_monitor": max(len(names) for names in plan.search.monitors),
        "num_scored": [len(names) for names in plan.search.folds],
        "num_trained": [len(plan.search.training(fold)) for fold in range(plan.num_folds)],
    }
