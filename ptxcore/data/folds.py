"""Fold plans: who is in which fold, decided once for all candidates.

Patients, not images, are dealt out. The hold-out comes first and is locked away: a search gets a
`SearchPlan`, which does not contain it. Inside each training part a monitor split watches early
stopping, so that the held fold is scored once and chooses nothing.

Our own dealer rather than scikit-learn's StratifiedGroupKFold, because presence, size of mask and
view must all be balanced with at most a few dozen positives: patients are dealt in strata, the
rarest first, each to the part that is furthest behind in that stratum.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptxcore.data.store import Case, CaseStore
from ptxcore.errors import FoldPlanError

#: Whole monitor images are scored after every epoch; more would cost more than they tell.
MAX_MONITOR_CASES = 64
CASE_FILTERS = ("all", "positive")


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """The part of a plan that a search may see: folds and monitors, no hold-out.

    Attributes:
        data_hash: Of the store that the ids belong to.
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
        return _digest(self._content())

    def held(self, fold: int) -> tuple[str, ...]:
        """Ids that are scored once at the end of a fold."""
        return self.folds[fold]

    def monitor(self, fold: int) -> tuple[str, ...]:
        """Ids that early stopping watches."""
        return self.monitors[fold]

    def training(self, fold: int) -> tuple[str, ...]:
        """Ids that weights are fitted to: the other folds without the monitor split."""
        watched = set(self.monitors[fold])
        others = [ids for number, ids in enumerate(self.folds) if number != fold]
        return tuple(name for ids in others for name in ids if name not in watched)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        _save(path, self._content())

    @classmethod
    def load(cls, path: Path) -> SearchPlan:
        """Read a plan.

        Raises:
            FoldPlanError: There is none, or it is not as it was saved.
        """
        content = _load(path)
        return cls(
            data_hash=content["data_hash"],
            folds=_tuples(content["folds"]),
            monitors=_tuples(content["monitors"]),
        )

    def _content(self) -> dict[str, Any]:
        return {"data_hash": self.data_hash, "folds": self.folds, "monitors": self.monitors}


@dataclass(frozen=True, kw_only=True)
class FoldPlan:
    """A whole plan. Only confirmation and promotion read its hold-out.

    Attributes:
        search: Folds and monitors.
        holdout: Case ids that no search sees.
        settings: How the plan was made.
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
        """Of the store that the ids belong to."""
        return self.search.data_hash

    @property
    def digest(self) -> str:
        """SHA-256 of the plan, hold-out included: 64 hexadecimal digits."""
        return _digest(self._content())

    def search_part(self) -> SearchPlan:
        """What a search may see."""
        return self.search

    def save(self, path: Path) -> None:
        """Write as JSON."""
        _save(path, self._content())

    @classmethod
    def load(cls, path: Path) -> FoldPlan:
        """Read a plan.

        Raises:
            FoldPlanError: There is none, or it is not as it was saved.
        """
        content = _load(path)
        search = SearchPlan(
            data_hash=content["data_hash"],
            folds=_tuples(content["folds"]),
            monitors=_tuples(content["monitors"]),
        )
        return cls(search=search, holdout=tuple(content["holdout"]), settings=content["settings"])

    def _content(self) -> dict[str, Any]:
        return {
            **self.search._content(),
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

    Args:
        store: Where they are.
        num_folds: At least 2.
        seed: Of the order in which equal patients are dealt.
        holdout_fraction: Share of the cases locked away, in [0, 1); 0 locks none away.
        monitor_fraction: Share of each training part that early stopping watches, in (0, 1).
        cases: "all", or "positive" for those with a mask alone.

    Raises:
        FoldPlanError: Too few patients or positive patients for the parts asked for.
    """
    _check(num_folds, holdout_fraction, monitor_fraction, cases)
    chosen = [case for case in store.cases if cases == "all" or case.is_positive]
    strata = _strata(chosen)
    rng = np.random.default_rng(np.random.SeedSequence([seed, num_folds]))
    holdout: list[Case] = []
    rest = chosen
    if holdout_fraction > 0:
        rest, holdout = _deal(chosen, strata, (1 - holdout_fraction, holdout_fraction), rng)
    folds = _deal(rest, strata, (1 / num_folds,) * num_folds, rng)
    monitors = []
    for fold in range(num_folds):
        training = [case for other in range(num_folds) if other != fold for case in folds[other]]
        share = min(monitor_fraction, MAX_MONITOR_CASES / max(1, len(training)))
        monitors.append(_deal(training, strata, (1 - share, share), rng)[1])
    _check_parts(folds, monitors, holdout if holdout_fraction > 0 else None)
    return FoldPlan(
        search=SearchPlan(
            data_hash=store.data_hash,
            folds=tuple(_ids(part) for part in folds),
            monitors=tuple(_ids(part) for part in monitors),
        ),
        holdout=_ids(holdout),
        settings={
            "num_folds": num_folds,
            "seed": seed,
            "holdout_fraction": holdout_fraction,
            "monitor_fraction": monitor_fraction,
            "cases": cases,
        },
    )


def _check(num_folds: int, holdout: float, monitor: float, cases: str) -> None:
    if num_folds < 2:
        raise FoldPlanError(f"num_folds: found {num_folds}, expected at least 2")
    if not 0 <= holdout < 1:
        raise FoldPlanError(f"holdout_fraction: found {holdout}, expected a value in [0, 1)")
    if not 0 < monitor < 1:
        raise FoldPlanError(f"monitor_fraction: found {monitor}, expected a value in (0, 1)")
    if cases not in CASE_FILTERS:
        raise FoldPlanError(f"cases: found {cases!r}, expected one of {CASE_FILTERS}")


def _strata(cases: Sequence[Case]) -> dict[str, tuple[int, str]]:
    """Stratum of each case: quartile of mask size (0 for none) and view."""
    sizes = np.array([case.mask_px / case.num_pixels for case in cases if case.is_positive])
    edges = np.quantile(sizes, (0.25, 0.5, 0.75)) if sizes.size else np.zeros(3)
    return {
        case.case_id: (
            int(np.searchsorted(edges, case.mask_px / case.num_pixels)) + 1
            if case.is_positive
            else 0,
            case.view,
        )
        for case in cases
    }


def _deal(
    cases: Sequence[Case],
    strata: Mapping[str, tuple[int, str]],
    shares: Sequence[float],
    rng: np.random.Generator,
) -> list[list[Case]]:
    """Deal patients to parts of given shares, rarest stratum first.

    A patient belongs to the stratum of the largest mask among the images. Each goes to the part
    that is emptiest for its share, by stratum, positives and all cases together.
    """
    patients: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        patients[case.group].append(case)
    stratum = {name: max(strata[case.case_id] for case in own) for name, own in patients.items()}
    sizes = Counter(stratum.values())
    order = sorted(patients)
    order = [order[position] for position in rng.permutation(len(order))]
    # Large patients first within a stratum: a part that is full can still be evened out by others.
    order.sort(
        key=lambda name: (
            -(stratum[name][0] > 0),
            sizes[stratum[name]],
            stratum[name],
            -len(patients[name]),
        )
    )
    parts: list[list[Case]] = [[] for _ in shares]
    have: list[Counter[Any]] = [Counter() for _ in shares]
    for name in order:
        own, keys = patients[name], (stratum[name], stratum[name][0] > 0, "all")

        def fullness(part: int, own: list[Case] = own, keys: Sequence[Any] = keys) -> float:
            # Half of what would be added is Webster's rule: no bias towards small shares or large.
            return sum((have[part][key] + len(own) / 2) / shares[part] for key in keys)

        best = min(range(len(shares)), key=fullness)
        parts[best] += own
        for key in keys:
            have[best][key] += len(own)
    return parts


def _check_parts(
    folds: Sequence[Sequence[Case]],
    monitors: Sequence[Sequence[Case]],
    holdout: Sequence[Case] | None,
) -> None:
    parts = {f"fold {number}": part for number, part in enumerate(folds)}
    parts |= {f"the monitor split of fold {number}": part for number, part in enumerate(monitors)}
    if holdout is not None:
        parts["the hold-out"] = holdout
    for name, part in parts.items():
        if not any(case.is_positive for case in part):
            num_positive = len({case.group for fold in folds for case in fold if case.is_positive})
            raise FoldPlanError(
                f"{name} has no positive case: found {num_positive} patients with a mask for "
                f"{len(folds)} folds; use fewer folds, a smaller hold-out or more data"
            )


def _ids(cases: Sequence[Case]) -> tuple[str, ...]:
    return tuple(sorted(case.case_id for case in cases))


def _tuples(lists: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names) for names in lists)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _save(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps({**content, "digest": _digest(content)}, indent=1, sort_keys=True)
    making = path.with_name(path.name + ".part")
    making.write_text(text + "\n", encoding="utf-8")
    making.replace(path)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FoldPlanError(f"{path}: found no fold plan")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("digest")
    except (ValueError, KeyError, AttributeError) as error:
        raise FoldPlanError(f"{path}: damaged fold plan ({error})") from error
    if digest != _digest(content):
        raise FoldPlanError(f"{path}: the plan was changed after it was made; its digest differs")
    return dict(content)
