"""Split patients into parts of given shares, stratified so that the parts resemble each other.

Our own split rather than scikit-learn's StratifiedGroupKFold. That one balances one label per
image, warns or leaves folds without positives when a stratum has fewer patients than folds, knows
only equal shares, and would make the command line import scikit-learn for a hold-out. Here
presence, number of images, size of mask and view are balanced in that order of importance, and
every part is sure to have a positive patient where there are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.store.case_table import Case

#: How much an unevenness of each kind costs. The steps are large so that a rare view never
#: outweighs a positive case.
_WEIGHTS = {"positive": 100.0, "all": 30.0, "size": 3.0, "view": 1.0}


@dataclass(frozen=True, kw_only=True)
class Patient:
    """The images of one person, which stay together.

    Attributes:
        cases: Cases in the order of their ids.
    """

    cases: tuple[Case, ...]

    @property
    def is_positive(self) -> bool:
        """Whether any of the images has a mask."""
        return any(case.is_positive for case in self.cases)


def patients_of(cases: Sequence[Case]) -> list[Patient]:
    """Group cases by patient, in the order of the first case id of each.

    The order does not look at the group's name: that is salted, so it differs between two imports
    of the same files, and the plans must not.

    Args:
        cases: Each once, in any order.

    Returns:
        One for each group; the cases of each in the order of their ids.
    """
    groups: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: case.case_id):
        groups.setdefault(case.group, []).append(case)
    return [Patient(cases=tuple(own)) for own in groups.values()]


def stratified_split(
    patients: Sequence[Patient],
    shares: Sequence[float],
    rng: np.random.Generator,
    *,
    most: Sequence[int | None] | None = None,
) -> list[list[Patient]]:
    """Split patients into parts.

    Positive patients come first and large ones before small ones; each goes where the weighted
    chi-square distance to the wanted counts grows least. As soon as there are only as many
    positive patients left as parts without one, those parts get them.

    Args:
        patients: Patients in a reproducible order.
        shares: Share of each part, above 0, with the sum 1.
        rng: Orders patients that are alike, and parts that are equally good.
        most: Cases that a part may hold at most; None is no limit. Another part must have room.

    Returns:
        Patients of each part.
    """
    counts, weights = _features(patients)
    wanted = np.maximum(np.outer(shares, counts.sum(axis=0)), 1e-9)
    have = np.zeros_like(wanted)
    limits = np.array(
        [np.inf if limit is None else limit for limit in most or [None] * len(shares)]
    )
    parts: list[list[Patient]] = [[] for _ in shares]
    left = sum(patient.is_positive for patient in patients)
    lacking = set(range(len(shares)))
    for position in _order(patients, rng):
        patient, added = patients[position], counts[position]
        growth = ((2 * (have - wanted) + added) * added / wanted) @ weights
        growth[have[:, 0] + added[0] > limits] = np.inf
        if patient.is_positive and 0 < left <= len(lacking):
            growth[[part for part in range(len(shares)) if part not in lacking]] = np.inf
        if np.isinf(growth).all():  # a positive patient larger than the last part's limit
            growth[sorted(lacking)] = 0.0
        best = np.flatnonzero(growth <= growth.min() + 1e-9)
        chosen = int(best[rng.integers(best.size)])
        parts[chosen].append(patient)
        have[chosen] += added
        if patient.is_positive:
            left -= 1
            lacking.discard(chosen)
    return parts


def _order(patients: Sequence[Patient], rng: np.random.Generator) -> list[int]:
    shuffled = [int(position) for position in rng.permutation(len(patients))]
    return sorted(
        shuffled,
        key=lambda position: (
            not patients[position].is_positive,
            -len(patients[position].cases),
            _views(patients[position]),
        ),
    )


def _views(patient: Patient) -> tuple[str, ...]:
    return tuple(case.view for case in patient.cases)


def _features(patients: Sequence[Patient]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is to be balanced: counts (patients, features), all cases first, and the weights."""
    cases = [case for patient in patients for case in patient.cases]
    shares = [case.mask_px / case.num_pixels for case in cases if case.is_positive]
    edges = np.quantile(shares, (0.25, 0.5, 0.75)) if shares else np.zeros(3)
    views = sorted({case.view for case in cases})

    def of(case: Case) -> list[bool]:
        quartile = int(np.searchsorted(edges, case.mask_px / case.num_pixels))
        return [
            True,
            case.is_positive,
            *(case.is_positive and quartile == number for number in range(4)),
            *(case.view == view for view in views),
            *(case.is_positive and case.view == view for view in views),
        ]

    kinds = ["all", "positive", *["size"] * 4, *["view"] * 2 * len(views)]
    rows = [np.sum([of(case) for case in patient.cases], axis=0) for patient in patients]
    counts = np.array(rows, dtype=np.float64).reshape(len(patients), len(kinds))
    return counts, np.array([_WEIGHTS[kind] for kind in kinds])
