"""A bounded pipeline: work in threads, results in order, memory that does not grow."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
