"""Python's collector, put to sleep while much is made of which nothing is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_asleep() -> Iterator[None]:
    """No look for garbage in the block.

    The collector looks at all objects again and again while hundreds of thousands are made, which
    takes as long as making them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
