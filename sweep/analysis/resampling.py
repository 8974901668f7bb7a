"""What a finished sweep's ranking is worth, from resamples of its patients.

Patients are drawn within each fold and within those with a positive case and those without, so
that each resample has the folds' make-up; a trial's score is the mean over folds, as the search
has it. Only complete trials with a table of cases for each fold can be drawn from: the others are
named. The ledger keeps what comes out once a sweep is over, because tables and case store may be
elsewhere when it is read.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.metrics import load_table, resampled
from ptxcore.types import CaseTable, Rule
from sweep.analysis.bias_corrected import bias_corrected
from sweep.analysis.rank_stability import Rank, rank_stability
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.numbers import finite_or_none
from sweep.util.words import count

NUM_RESAMPLES = 500
#: What may be NaN.
_CORRECTED = ("corrected", "corrected_low", "corrected_high")


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """What resamples of the patients say of a sweep.

    Attributes:
        search_score: The winner's mean over folds, in the metric's own sign.
        corrected: The same without the luck of the choice, see `sweep.analysis.bias_corrected`; NaN
            where a fold has too few patients.
        corrected_low: Lower end of its 95% interval; NaN likewise, and in what earlier versions
            kept.
        corrected_high: Upper end.
        ranks: Ranks of the trials that could be drawn, see `sweep.analysis.rank_stability`.
        left_out: Numbers of trials that could not: not complete, or without tables.
        num_resamples: Resamples drawn.
    """

    search_score: float
    corrected: float
    corrected_low: float = math.nan
    corrected_high: float = math.nan
    ranks: tuple[Rank, ...]
    left_out: tuple[int, ...]
    num_resamples: int

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Resampling:
        """As a ledger holds it; `to_stored` gives the same mapping again."""
        corrected = {
            key: math.nan if (value := stored.get(key)) is None else float(value)
            for key in _CORRECTED
        }
        return cls(
            search_score=float(stored["search_score"]),
            **corrected,
            ranks=tuple(Rank(**rank) for rank in stored["ranks"]),
            left_out=tuple(stored["left_out"]),
            num_resamples=int(stored["num_resamples"]),
        )

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values, None for NaN."""
        kept = dataclasses.asdict(self)
        return {**kept, **{key: finite_or_none(kept[key]) for key in _CORRECTED}}


def sentences(found: Resampling, *, num_named: int = 3) -> tuple[str, ...]:
    """What every view says of it.

    Args:
        found: From `known_resampling` or `resample`.
        num_named: Number of trials that are named with their share of first places.
    """
    many = count(found.num_resamples, "resample")
    score = "unknown, since a fold has too few patients"
    if not math.isnan(found.corrected):
        score = f"{found.corrected:.3f}"
        if not math.isnan(found.corrected_low):
            low, high = found.corrected_low, found.corrected_high
            score += f" (95% interval {low:.3f} to {high:.3f}, for these networks)"
    left_out = f"; {_named(found.left_out)} left out" if found.left_out else ""
    shares = ", ".join(f"#{rank.trial} in {_share(rank.first)}" for rank in found.ranks[:num_named])
    first = found.ranks[0]
    order = (
        f"With other patients the order may be another: first is {shares} of the {many}, and "
        f"#{first.trial} lies between ranks {first.low} and {first.high} in 95%."
    )
    if first.first == 1.0:
        order = f"With other patients #{first.trial} stays first, in all of the {many}."
    return (
        f"The winner's mean of {found.search_score:.3f} over the folds is that of the best of "
        f"{count(len(found.ranks), 'complete trial')}; without the luck of that choice it is "
        f"{score} (BBC-CV over {many} of the patients{left_out}).",
        order,
    )


def _share(value: float) -> str:
    """In percent; what is not all is not rounded to it."""
    return "over 99%" if 0.995 <= value < 1.0 else f"{value:.0%}"


def _named(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(f"#{number}" for number in numbers[:5])
    more = len(numbers) - 5
    names = f"{shown} and {more:,} more" if more > 0 else shown
    return f"{names} without all folds or their tables"


def known_resampling(projection: Projection) -> Resampling | None:
    """What the ledger keeps; None where it keeps nothing, or of another winner."""
    best = projection.best()
    if projection.resampling is None or best is None:
        return None
    try:
        found = Resampling.from_stored(projection.resampling)
    except (KeyError, TypeError, ValueError):
        return None
    return found if math.isclose(found.search_score, best.mean_value) else None


def resample(
    projection: Projection,
    folder: Path,
    groups: Mapping[str, str],
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> Resampling | None:
    """Draw patients and rank the trials on them.

    Args:
        projection: Projection of a sweep.
        folder: Folder of the sweep; fold scores name their case tables relative to it.
        groups: The patient of each case by its id.
        num_resamples: Resamples, at least 1.

    Returns:
        None without a winner, or where one of its tables is not there.

    Raises:
        CheckpointError: A table is damaged.
    """
    best = projection.best()
    able = [trial for trial in projection.trials if _has_tables(trial, folder)]
    if best is None or best not in able:
        return None
    drawn: dict[int, NDArray[np.float64]] = {}
    num_ill: list[int] = []
    in_bag, out_of_bag = (np.empty((num_resamples, len(able))) for _ in range(2))
    for place, trial in enumerate(able):
        threshold = float(trial.settings.get("threshold", 0.5))
        inside, outside = [], []
        for fold in sorted(trial.folds):
            table = load_table(folder / str(trial.folds[fold].cases))
            if fold not in drawn:
                seed = (projection.header.seed, fold)
                drawn[fold] = _draw(table, groups, num_resamples, seed)
                num_ill.append(_num_ill(table, groups))
            rule, metric = Rule(top=threshold, bottom=threshold), projection.header.metric
            inside.append(resampled(metric, table, rule, drawn[fold]))
            outside.append(resampled(metric, table, rule, (drawn[fold] == 0) * 1.0))
        in_bag[:, place], out_of_bag[:, place] = _mean(inside), _mean(outside)
    sign = 1.0 if projection.maximize else -1.0
    corrected = bias_corrected(sign * in_bag, sign * out_of_bag, float(np.mean(num_ill)))
    low, high = sorted((sign * corrected.low, sign * corrected.high))
    return Resampling(
        search_score=best.mean_value,
        corrected=sign * corrected.score,
        corrected_low=low,
        corrected_high=high,
        ranks=rank_stability(tuple(trial.number for trial in able), sign * in_bag),
        left_out=tuple(trial.number for trial in projection.trials if trial not in able),
        num_resamples=num_resamples,
    )


def _has_tables(trial: Trial, folder: Path) -> bool:
    names = [score.cases for score in trial.folds.values()]
    is_complete = trial.state is State.COMPLETE and math.isfinite(trial.mean)
    return is_complete and all(name is not None and (folder / name).is_file() for name in names)


def _num_ill(table: CaseTable, groups: Mapping[str, str]) -> int:
    """Patients with a positive case; all of them where there is none."""
    names, is_positive = table.case_ids.tolist(), table.truth.sum(1) > 0
    chosen = is_positive if is_positive.any() else np.ones_like(is_positive)
    return len({groups.get(name, name) for name, one in zip(names, chosen, strict=True) if one})


def _draw(
    table: CaseTable, groups: Mapping[str, str], num_resamples: int, seed: tuple[int, int]
) -> NDArray[np.float64]:
    """How often each case is in each resample, shape (resamples, N)."""
    rng = np.random.default_rng(seed)
    names = table.case_ids.tolist()
    _, member_of = np.unique([groups.get(name, name) for name in names], return_inverse=True)
    is_ill = np.bincount(member_of, table.truth.sum(1) > 0) > 0
    times = np.empty((num_resamples, len(is_ill)))
    for kind in np.unique(is_ill):
        own = np.flatnonzero(is_ill == kind)
        even = np.full(len(own), 1 / len(own))
        times[:, own] = rng.multinomial(len(own), even, size=num_resamples)
    return np.asarray(times[:, member_of])


def _mean(by_fold: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over the folds that have a value; NaN where none has."""
    values = np.stack(by_fold)
    known = np.isfinite(values)
    number = known.sum(0)
    total = np.where(known, values, 0.0).sum(0)
    found: NDArray[np.float64] = np.full(len(total), np.nan)
    np.divide(total, number, out=found, where=number > 0)
    return found
