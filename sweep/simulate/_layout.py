"""What a replay runs on, and in which order it meets a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweep.errors import UsageError
from sweep.simulate._table import Table


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What the folds run on.

    Attributes:
        num_workers: Folds at once, at least 1.
        loss_rate: Chance that a fold is lost half way, in [0, 1).
        max_losses: A trial that loses a fold this often has failed, at least 1.
        straggler_rate: Chance that a fold takes `straggler_factor` times its seconds.
        straggler_factor: Factor, at least 1.
    """

    num_workers: int = 1
    loss_rate: float = 0.0
    max_losses: int = 3
    straggler_rate: float = 0.0
    straggler_factor: float = 4.0

    def __post_init__(self) -> None:
        for name, value in (("num_workers", self.num_workers), ("max_losses", self.max_losses)):
            if value < 1:
                raise UsageError(f"{name}: found {value}, expected at least 1")
        if not 0 <= self.loss_rate < 1:
            raise UsageError(f"loss_rate: found {self.loss_rate}, expected a value in [0, 1)")
        if not 0 <= self.straggler_rate <= 1:
            raise UsageError(
                f"straggler_rate: found {self.straggler_rate}, expected a value in [0, 1]"
            )
        if self.straggler_factor < 1:
            raise UsageError(
                f"straggler_factor: found {self.straggler_factor}, expected at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class ReplayOrder:
    """In which order a seed replays a table: its rows, partitions and folds.

    Attributes:
        partitions: Partitions of the table, those that the search sees.
        order: Row of each trial, in the order of proposal.
        folds: Partition and column of each fold; the same for every trial.
    """

    partitions: tuple[int, ...]
    order: tuple[int, ...]
    folds: tuple[tuple[int, int], ...]


def replay_order(table: Table, seed: int, *, repeats: int = 1) -> ReplayOrder:
    """The layout of a seed: random trials and folds, partitions in turn.

    Args:
        table: To search.
        seed: Seed, at least 0.
        repeats: Partitions that the search sees, the folds of one after those of the other.

    Raises:
        UsageError: The table has fewer partitions.
    """
    if not 1 <= repeats <= table.num_partitions:
        raise UsageError(
            f"{table.name}: {repeats} partitions were asked for, found {table.num_partitions}"
        )
    generator = np.random.default_rng(seed)
    order = tuple(generator.permutation(table.num_trials).tolist())
    partitions = tuple((seed + number) % table.num_partitions for number in range(repeats))
    return ReplayOrder(
        partitions=partitions,
        order=order,
        folds=tuple(
            (partition, fold)
            for partition in partitions
            for fold in generator.permutation(table.num_folds).tolist()
        ),
    )
