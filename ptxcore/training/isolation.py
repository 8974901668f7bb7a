"""Global state of PyTorch, borrowed for a step and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ptxcore.types import Runtime


@contextmanager
def isolated(runtime: Runtime, *, seed: int) -> Iterator[None]:
    """Random numbers from `seed`, the runtime's threads, deterministic kernels; then as before.

    Dropout draws from PyTorch's global generator. Seeded anew for every epoch, it needs no state
    in a checkpoint, and two folds that take turns in one process do not disturb each other.
    `torch.use_deterministic_algorithms` is left alone: nothing in these networks needs it on a
    CPU, and it is a switch for the whole process; cuDNN is held to its deterministic kernels.

    Args:
        runtime: Of which `device` and `num_threads` count here.
        seed: For the generators of the CPU and of that device.
    """
    num_threads = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if runtime.device == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        try:
            if num_threads != runtime.num_threads:
                torch.set_num_threads(runtime.num_threads)
            yield
        finally:
            if num_threads != runtime.num_threads:
                torch.set_num_threads(num_threads)
