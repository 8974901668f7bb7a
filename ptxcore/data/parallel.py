"""A bounded pipeline: work in threads, results in order, memory that does not grow."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_processors(root: Path = Path("/")) -> int:
    """Processors that this process may use: those it may run on, and no more than its quota.

    Args:
        root: Where `proc` and `sys` are.

    Returns:
        At least 1; a part of a processor is not counted.
    """
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, int(min([allowed, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Processors that each control group around this process grants, of either version of Linux.

    A container often sees its own group as the root, whatever `proc` calls it.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and "cpu" not in names.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if names else "")
        inner = top / path.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder == root / "sys/fs":
                break
            found = _quota(folder)
            if found is not None:
                yield found


def _quota(group: Path) -> float | None:
    """Processors that one control group grants: time used in a period, over the period."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (group / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip()
                for name in ("quota", "period")
            )
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # "max", or no limit there
        return None


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Apply `work` to every item in `workers` threads.

    Threads, because decoding, resampling and hashing let go of the interpreter lock, and because
    starting processes costs more than importing a few hundred images.

    Args:
        work: Called in any thread.
        items: Asked for as they are needed.
        workers: Number of workers, at least 1.

    Yields:
        Results in the order of the items; at most two per worker are waiting at any time. The
        first error ends the iteration, and what had not begun is not begun.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="ptxcore-data") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
