"""What a simulated sweep cost and how good its winner is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sweep.simulate._layout import Cluster, ReplayOrder
from sweep.simulate._run import Run
from sweep.simulate._table import Table


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One policy on one table; means when it stands for several seeds or tables.

    Attributes:
        cost: Folds paid for, as a share of all configurations times the folds of one partition.
        cost_epochs: Likewise of all epochs.
        cost_seconds: Likewise of all training seconds.
        regret: (best - chosen) / (best - median) over the means of the folds that the search saw.
        regret_fresh: Likewise over partitions that the search did not see; NaN without one.
        hit: Whether the chosen mean equals the best; NaN, as both regrets, where no configuration
            has finite scores only and so none is the best.
        makespan_seconds: Simulated time until the sweep was over.
        idle: Share of the workers' time in which they had nothing to do.
    """

    cost: float
    cost_epochs: float
    cost_seconds: float
    regret: float
    regret_fresh: float
    hit: float
    makespan_seconds: float
    idle: float


def outcome(table: Table, layout: ReplayOrder, run: Run, cluster: Cluster) -> Outcome:
    """Account for a run."""
    own, partition = searched_means(table, layout), layout.partitions[0]
    others = [p for p in range(table.num_partitions) if p not in layout.partitions]
    fresh = [regret(full_means(table, other), run.chosen) for other in others]
    fresh = [value for value in fresh if value == value]
    worker_seconds = run.makespan_seconds * cluster.num_workers
    num_folds = table.num_trials * table.num_folds
    all_seconds = float(table.seconds[partition].sum())
    return Outcome(
        cost=run.num_folds / num_folds,
        cost_epochs=run.num_epochs / all_epochs(table, partition),
        cost_seconds=run.busy_seconds / all_seconds if all_seconds else 0.0,
        regret=regret(own, run.chosen),
        regret_fresh=float(np.mean(fresh)) if fresh else float("nan"),
        hit=float(is_best(own, run.chosen)) if np.isfinite(own).any() else float("nan"),
        makespan_seconds=run.makespan_seconds,
        idle=max(0.0, 1 - run.busy_seconds / worker_seconds) if worker_seconds else 0.0,
    )


def all_epochs(table: Table, partition: int) -> int:
    """Epochs of all folds of all configurations on one partition."""
    return sum(
        table.num_epochs(partition, row, fold)
        for row in range(table.num_trials)
        for fold in range(table.num_folds)
    )


def searched_means(table: Table, layout: ReplayOrder) -> NDArray[np.float64]:
    """[N] mean over all folds that the search may see."""
    means: NDArray[np.float64] = np.mean([full_means(table, p) for p in layout.partitions], axis=0)
    return means


def full_means(table: Table, partition: int) -> NDArray[np.float64]:
    """[N] mean over the folds; -inf where a score is not finite."""
    scores = table.scores[partition]
    bad = ~np.isfinite(scores).all(axis=1)
    means: NDArray[np.float64] = np.where(bad[:, None], 0.0, scores).mean(axis=1)
    means[bad] = -np.inf
    return means


def regret(means: NDArray[np.float64], chosen: int) -> float:
    """(best - chosen) / (best - median); 0 when the best equals the median and is chosen.

    Where they are equal and something worse was chosen, the scale is the whole range. A median
    that is -inf (most configurations diverged) is replaced by the worst finite mean.

    Args:
        means: Shape (N,), higher is better; -inf for one that diverged.
        chosen: Index of the chosen one; -1 where nothing was scored and so nothing chosen.

    Returns:
        0 or more; 1 for one that is as good as the median, or that diverged, and for none. NaN
        where all diverged.
    """
    finite = means[np.isfinite(means)]
    if not len(finite):
        return float("nan")
    if chosen < 0:
        return 1.0
    best = float(finite.max())
    gap = best - float(means[chosen])
    if is_best(means, chosen):
        return 0.0
    middle = float(np.median(means))
    if not np.isfinite(middle) or middle >= best:
        middle = float(finite.min())
    if not np.isfinite(gap) or middle >= best:
        return 1.0
    return gap / (best - middle)


def is_best(means: NDArray[np.float64], chosen: int) -> bool:
    """Whether one was chosen and none has a better mean; equal up to rounding."""
    best = float(means.max())
    return chosen >= 0 and bool(means[chosen] >= best - 1e-6 * max(1.0, abs(best)))


def mean_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """Mean of every figure, NaN left out."""
    means = {}
    for field in fields(Outcome):
        values = [getattr(found, field.name) for found in outcomes]
        kept = [value for value in values if value == value]
        means[field.name] = float(np.mean(kept)) if kept else float("nan")
    return Outcome(**means)
