"""How many threads linear algebra takes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the block's linear algebra in one thread.

    On matrices of a few hundred rows OpenBLAS spends more on waking and waiting for its other
    threads than on arithmetic: a replay of 200 trials took 6 to 17 times the CPU time on two cores.
    The limit holds for the whole process while the block runs, and entering costs some 20 us.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  brings a BLAS of its own, which would be overlooked

    return ThreadpoolController()
