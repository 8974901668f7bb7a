"""Is the winner worse on a part of the cases? By view, by size of the mask, by subgroup at import.

Each part is compared by its own interval over patients. One of many parts looks worse by chance, so
the error is shared among those that have an interval (Bonferroni): of two equal models one is
called worse on any part in at most as many promotions as one interval is wrong below.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.splits.fold_plan import SearchPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import case_groups, size_quartiles
from ptxcore.types import CaseTable
from sweep.analysis.intervals import DIFFERENCE, TOO_FEW, stated_interval

#: What cases are parted by, and how the names of the parts begin.
KINDS = {"view": "view_", "mask_size": "size_", "subgroup": "subgroup_"}


@dataclass(frozen=True, kw_only=True)
class PartDifference:
    """The winner's Dice above another's on a part of the cases.

    Attributes:
        name: Name of the part: "view_ap", "size_q1" (the smallest masks), "subgroup_" and a label.
        num_cases: Cases in it.
        num_groups: Patients in it.
        difference: Mean over its cases; None without a case.
        low: Lower end of its interval; None where there are too few patients.
        high: Upper end.
        confidence: Confidence of the interval, corrected for the number of parts that have one.
    """

    name: str
    num_cases: int
    num_groups: int
    difference: float | None
    low: float | None
    high: float | None
    confidence: float

    @property
    def words(self) -> str:
        """The part for people."""
        kind, _, label = self.name.partition("_")
        if kind == "size":
            ends = {"q1": ", the smallest", "q4": ", the largest"}.get(label, "")
            return f"masks in quartile {label[1:]} of size{ends}"
        return f"{kind} {label.upper() if label in ('ap', 'pa') else label}"

    @property
    def span(self) -> str:
        """Difference and interval in words."""
        if self.difference is None or self.low is None or self.high is None:
            return f"{TOO_FEW} ({self.num_groups} with {self.num_cases} cases)"
        return (
            f"{self.difference:+.4f} ({100 * self.confidence:.4g}% interval {self.low:+.4f} to "
            f"{self.high:+.4f}, {self.num_groups} patients)"
        )


def parts_of(table: CaseTable, store: CaseStore, plan: SearchPlan) -> dict[str, NDArray[np.bool_]]:
    """Parts of the cases by name; quartiles are those of the positive cases of all folds.

    Args:
        table: Table of the cases.
        store: Where they are.
        plan: Fold plan with the folds that give the quartiles.
    """
    searched = [name for fold in range(plan.num_folds) for name in plan.held(fold)]
    quartiles = size_quartiles([store.cases[store.index(name)].mask_px for name in searched])
    labels = np.array([store.cases[store.index(name)].subgroup for name in table.case_ids.tolist()])
    given = {
        f"subgroup_{label}": labels == label for label in sorted(set(labels.tolist())) if label
    }
    return case_groups(table, quartiles) | given


def compare_parts(
    difference: NDArray[np.float64],
    parts: Mapping[str, NDArray[np.bool_]],
    groups: Sequence[str],
    positive: NDArray[np.bool_],
    confidence: float,
) -> tuple[PartDifference, ...]:
    """Compare two models on each part that has a case.

    Args:
        difference: Dice of the one above the other's by case, shape (N,).
        parts: Which cases belong to a part, by name.
        groups: The patient of each case.
        positive: Whether each case has a true mask.
        confidence: Confidence of all intervals together, in (0, 1).
    """
    patients = np.asarray(groups)
    there = {name: part for name, part in parts.items() if part.any()}

    def interval(part: NDArray[np.bool_], level: float) -> tuple[float, float]:
        own = patients[part].tolist()
        # The one that is on the safe side would find fewer losses, and let more pass.
        return stated_interval(
            difference[part],
            own,
            positive[part],
            is_dealt=False,
            ends=DIFFERENCE,
            confidence=level,
        )

    have_one = {name for name, part in there.items() if not np.isnan(interval(part, confidence)[0])}
    level = 1 - (1 - confidence) / max(len(have_one), 1)
    found = []
    for name, part in there.items():
        low, high = interval(part, level) if name in have_one else (None, None)
        found.append(
            PartDifference(
                name=name,
                num_cases=int(part.sum()),
                num_groups=len(set(patients[part].tolist())),
                difference=float(difference[part].mean()),
                low=low,
                high=high,
                confidence=level,
            )
        )
    return tuple(found)


def kept_parts(found: Sequence[PartDifference]) -> list[dict[str, Any]]:
    """As the evidence study keeps them."""
    return [dataclasses.asdict(one) for one in found]


def read_parts(
    stored: Mapping[str, Sequence[Mapping[str, Any]]] | None,
) -> dict[str, tuple[PartDifference, ...]] | None:
    """From the evidence study, by what was compared with; None in what earlier versions kept."""
    if stored is None:
        return None
    return {key: tuple(PartDifference(**one) for one in rows) for key, rows in stored.items()}
