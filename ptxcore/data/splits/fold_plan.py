"""Fold plans: which patients are in which fold, decided once for all trials.

Patients, not images, are split. The hold-out comes first and is locked away: a search gets a
`SearchPlan`, which does not contain it. Inside each training part a monitor split watches early
stopping, so that the held fold is scored once and chooses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptxcore.data.splits.stratified import Patient, patients_of, stratified_split
from ptxcore.data.store.case_store import Case, CaseStore
from ptxcore.digest import digest_of, load_with_digest, save_with_digest
from ptxcore.errors import FoldPlanError

#: Whole monitor images are scored after every epoch; more would cost more than they tell.
MAX_MONITOR_CASES = 64
CASE_FILTERS = ("all", "positive")
_HOLDOUT, _FOLDS, _MONITOR = range(3)


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """The part of a plan that a search may see: folds and monitors, no hold-out.

    Attributes:
        data_hash: Hash of the store that the ids belong to.
        folds: Case ids of each fold.
        monitors: Case ids of each fold's monitor split, inside its training part.
    """

    data_hash: str
    folds: tuple[tuple[str, ...], ...]
    monitors: tuple[tuple[str, ...], ...]

    @property
    def num_folds(self) -> int:
        """Number of folds."""
        return len(self.folds)

    @property
    def digest(self) -> str:
        """SHA-256 of the plan: 64 hexadecimal digits."""
        return digest_of(self._content())

    def held(self, fold: int) -> tuple[str, ...]:
        """Ids that are scored once at the end of a fold.

        Args:
            fold: Zero-based.

        Raises:
            FoldPlanError: The plan has no such fold.
        """
        return self.folds[self._checked(fold)]

    def monitor(self, fold: int) -> tuple[str, ...]:
        """Ids that early stopping watches.

        Args:
            fold: Zero-based.

        Raises:
            FoldPlanError: The plan has no such fold.
        """
        return self.monitors[self._checked(fold)]

    def training(self, fold: int) -> tuple[str, ...]:
        """Ids that weights are fitted to: the other folds without the monitor split.

        Args:
            fold: Zero-based.

        Raises:
            FoldPlanError: The plan has no such fold.
        """
        watched = set(self.monitor(fold))
        others = [ids for number, ids in enumerate(self.folds) if number != fold]
        return tuple(name for ids in others for name in ids if name not in watched)

    def check(self, store: CaseStore) -> None:
        """Make sure that the plan was made for these data.

        Args:
            store: Store with the `data_hash` that is compared.

        Raises:
            FoldPlanError: The store holds other data.
        """
        if store.data_hash != self.data_hash:
            raise FoldPlanError(
                f"found a store with data hash {store.data_hash[:12]}, expected "
                f"{self.data_hash[:12]}, for which the plan was made; make a plan for this store"
            )

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Args:
            path: Path of the file; one that is there is replaced.

        Raises:
            OSError: It cannot be written.
        """
        save_with_digest(path, self._content())

    @classmethod
    def load(cls, path: Path) -> SearchPlan:
        """Read a plan.

        Args:
            path: Path, as `save` wrote it.

        Raises:
            FoldPlanError: There is none, it is not as it was saved, or it is a whole plan, which
                a search must not see.
        """
        return cls._from(load_with_digest(path, "search plan"))

    @classmethod
    def _from(cls, content: Mapping[str, Any]) -> SearchPlan:
        return cls(
            data_hash=content["data_hash"],
            folds=tuple(map(tuple, content["folds"])),
            monitors=tuple(map(tuple, content["monitors"])),
        )

    def _content(self) -> dict[str, Any]:
        return {
            "kind": "search plan",
            "data_hash": self.data_hash,
            "folds": self.folds,
            "monitors": self.monitors,
        }

    def _checked(self, fold: int) -> int:
        if not 0 <= fold < self.num_folds:
            raise FoldPlanError(f"fold: found {fold}, expected 0 to {self.num_folds - 1}")
        return fold


@dataclass(frozen=True, kw_only=True)
class FoldPlan:
    """A whole plan. Only confirmation and promotion read its hold-out.

    Attributes:
        search: Folds and monitors.
        holdout: Case ids that no search sees.
        settings: How the plan was made: arguments of `make_plan` by name, and "holdout_seed".
    """

    search: SearchPlan
    holdout: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def num_folds(self) -> int:
        """Number of folds."""
        return self.search.num_folds

    @property
    def data_hash(self) -> str:
        """Hash of the store that the ids belong to: 64 hexadecimal digits."""
        return self.search.data_hash

    @property
    def digest(self) -> str:
        """SHA-256 of the plan, hold-out included: 64 hexadecimal digits."""
        return digest_of(self._content())

    def search_part(self) -> SearchPlan:
        """What a search may see."""
        return self.search

    def check(self, store: CaseStore) -> None:
        """As `SearchPlan.check`.

        Args:
            store: Store, as for `SearchPlan.check`.

        Raises:
            FoldPlanError: The store holds other data.
        """
        self.search.check(store)

    def repartition(self, store: CaseStore, *, seed: int) -> FoldPlan:
        """Other folds and monitors for the same cases, with the same hold-out.

        A winner can be confirmed on them: no search chose anything on this partition.

        Args:
            store: Store that the plan was made for.
            seed: Seed, as for `make_plan`; another than the plan's gives other folds.

        Raises:
            FoldPlanError: The store holds other data, or the training part of a fold has fewer
                than two positive patients.
        """
        self.check(store)
        settings = {**self.settings, "seed": seed}
        chosen = [store.cases[store.index(name)] for ids in self.search.folds for name in ids]
        search = _partition(chosen, store.data_hash, settings)
        return FoldPlan(search=search, holdout=self.holdout, settings=settings)

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Args:
            path: Path of the file; one that is there is replaced.

        Raises:
            OSError: It cannot be written.
        """
        save_with_digest(path, self._content())

    @classmethod
    def load(cls, path: Path) -> FoldPlan:
        """Read a plan.

        Args:
            path: Path, as `save` wrote it.

        Raises:
            FoldPlanError: There is none, it is not as it was saved, or it has no hold-out part.
        """
        content = load_with_digest(path, "fold plan")
        return cls(
            search=SearchPlan._from(content),
            holdout=tuple(content["holdout"]),
            settings=content["settings"],
        )

    def _content(self) -> dict[str, Any]:
        return {
            **self.search._content(),
            "kind": "fold plan",
            "holdout": self.holdout,
            "settings": dict(self.settings),
        }


def make_plan(
    store: CaseStore,
    *,
    num_folds: int = 5,
    seed: int = 0,
    holdout_fraction: float = 0.15,
    monitor_fraction: float = 0.15,
    cases: str = "all",
) -> FoldPlan:
    """Split the cases of a store.

    The hold-out depends on the data, the seed and its fraction alone, not on the number of folds.

    Args:
        store: Where they are.
        num_folds: Folds, at least 2.
        seed: Order in which equal patients are assigned, at least 0.
        holdout_fraction: Share of the cases locked away, in [0, 1); 0 locks none away.
        monitor_fraction: Share of each training part that early stopping watches, in (0, 1); the
            split has at most `MAX_MONITOR_CASES` cases.
        cases: "all", or "positive" for those with a mask alone.

    Raises:
        FoldPlanError: Too few positive patients for the parts asked for, or an argument out of its
            range.
    """
    settings = {
        "num_folds": num_folds,
        "seed": seed,
        "holdout_seed": seed,
        "holdout_fraction": holdout_fraction,
        "monitor_fraction": monitor_fraction,
        "cases": cases,
    }
    _check_arguments(num_folds, seed, holdout_fraction, monitor_fraction, cases)
    patients = patients_of([case for case in store.cases if cases == "all" or case.is_positive])
    wanted = num_folds + (holdout_fraction > 0)
    _need_positives(
        patients, wanted, f"{num_folds} folds" + " and a hold-out" * (wanted > num_folds)
    )
    holdout: list[Patient] = []
    if holdout_fraction > 0:
        rng = _generator(seed, _HOLDOUT)
        patients, holdout = stratified_split(
            patients, (1 - holdout_fraction, holdout_fraction), rng
        )
        _need_positives(patients, num_folds, f"{num_folds} folds outside the hold-out")
    rest = [case for patient in patients for case in patient.cases]
    search = _partition(rest, store.data_hash, settings)
    return FoldPlan(search=search, holdout=_ids(holdout), settings=settings)


def _partition(cases: Sequence[Case], data_hash: str, settings: Mapping[str, Any]) -> SearchPlan:
    """Folds of the cases outside the hold-out, and their monitors."""
    num_folds, seed = settings["num_folds"], settings["seed"]
    shares = (1 / num_folds,) * num_folds
    folds = stratified_split(patients_of(cases), shares, _generator(seed, _FOLDS, num_folds))
    monitors = []
    for fold in range(num_folds):
        others = [own for number, part in enumerate(folds) if number != fold for own in part]
        training = patients_of([case for patient in others for case in patient.cases])
        _need_positives(training, 2, f"the training and the monitor split of fold {fold}")
        num_cases = sum(len(patient.cases) for patient in training)
        share = min(settings["monitor_fraction"], MAX_MONITOR_CASES / num_cases)
        rng = _generator(seed, _MONITOR, num_folds, fold)
        _, monitor = stratified_split(
            training, (1 - share, share), rng, most=(None, MAX_MONITOR_CASES)
        )
        monitors.append(_ids(monitor))
    return SearchPlan(
        data_hash=data_hash, folds=tuple(_ids(part) for part in folds), monitors=tuple(monitors)
    )


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _check_arguments(num_folds: int, seed: int, holdout: float, monitor: float, cases: str) -> None:
    if num_folds < 2:
        raise FoldPlanError(f"num_folds: found {num_folds}, expected at least 2")
    if seed < 0:
        raise FoldPlanError(f"seed: found {seed}, expected at least 0")
    if not 0 <= holdout < 1:
        raise FoldPlanError(f"holdout_fraction: found {holdout}, expected a value in [0, 1)")
    if not 0 < monitor < 1:
        raise FoldPlanError(f"monitor_fraction: found {monitor}, expected a value in (0, 1)")
    if cases not in CASE_FILTERS:
        raise FoldPlanError(f"cases: found {cases!r}, expected one of {CASE_FILTERS}")


def _need_positives(patients: Sequence[Patient], wanted: int, parts: str) -> None:
    found = sum(patient.is_positive for patient in patients)
    if found < wanted:
        raise FoldPlanError(
            f"found {found} of {len(patients)} patients with a pneumothorax, expected at least "
            f"{wanted}, one for each of {parts}; use fewer folds, a smaller hold-out or more data"
        )


def _ids(patients: Sequence[Patient]) -> tuple[str, ...]:
    return tuple(sorted(case.case_id for patient in patients for case in patient.cases))
