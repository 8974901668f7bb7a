"""Replays of many tables, arms and seeds, spread over processes."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.parallel import num_processors
from sweep.simulate._layout import Cluster
from sweep.simulate._replay import Arm, ReplayResult, gathered, replay_seed
from sweep.simulate._report import Outcome
from sweep.simulate._table import Table

Item = TypeVar("Item")

#: A process costs about two seconds of imports; as many replays take that.
_REPLAYS_A_PROCESS = 8


def replay_all(
    tables: Sequence[Table],
    arms: Sequence[Arm],
    cluster: Cluster,
    seeds: Sequence[int],
    *,
    num_processes: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[ReplayResult]]:
    """Replay every arm on every table with every seed.

    Args:
        tables: Scores.
        arms: Policies with stop rule and pruner.
        cluster: Workers.
        seeds: One replay each.
        num_processes: How many share the work, at least 1; None for the processors at hand, fewer
            where the work is little. The results do not depend on it.
        on_progress: Called with replays done and in all.

    Returns:
        By arm, then by table.
    """
    jobs = list(itertools.product(range(len(arms)), range(len(tables)), seeds))
    if num_processes is None:
        num_processes = max(1, min(num_processors(), len(jobs) // _REPLAYS_A_PROCESS))
    job = _Job(tables, arms, cluster)
    found = []
    with _pool(num_processes, job) as pool:
        results = pool.map(_work, jobs) if pool else map(job, jobs)
        for done, result in enumerate(results, start=1):
            found.append(result)
            on_progress(done, len(jobs))
    parts = [gathered(part) for part in _runs_of(found, len(seeds))]
    return _runs_of(parts, len(tables))


def _runs_of(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


class _Job:
    """What every process holds once."""

    def __init__(self, tables: Sequence[Table], arms: Sequence[Arm], cluster: Cluster) -> None:
        self._tables, self._arms, self._cluster = tables, arms, cluster

    def __call__(self, place: tuple[int, int, int]) -> tuple[Outcome, NDArray[np.float64]]:
        arm, table, seed = place
        return replay_seed(self._tables[table], self._arms[arm], self._cluster, seed)


def _pool(num_processes: int, job: _Job) -> Executor | nullcontext[None]:
    if num_processes == 1:
        return nullcontext()
    # Not forked: BLAS and Optuna have threads by now.
    return ProcessPoolExecutor(
        num_processes, multiprocessing.get_context("spawn"), initializer=_take, initargs=(job,)
    )


_taken: list[_Job] = []


def _take(job: _Job) -> None:
    _taken[:] = [job]


def _work(place: tuple[int, int, int]) -> tuple[Outcome, NDArray[np.float64]]:
    return _taken[0](place)
