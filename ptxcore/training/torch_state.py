"""Global state of PyTorch, borrowed for a step and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from ptxcore.types import Runtime


@contextmanager
def isolated(runtime: Runtime, *, seed: int) -> Iterator[None]:
    """Random numbers from `seed`, the runtime's threads, deterministic kernels; then as before.

    Dropout draws from PyTorch's global generator. Seeded anew for every epoch, it needs no state
    in a checkpoint, and two folds that take turns in one process do not disturb each other.
    Nothing in these networks needs `torch.use_deterministic_algorithms` on a CPU; on a GPU the
    gradient of a bilinear upsampling does, and cuDNN is held to its deterministic kernels.

    Args:
        runtime: Runtime, of which `device` and `num_threads` count here.
        seed: Seed for the generators of the CPU and of that device.

    Raises:
        RuntimeError: The device is "cuda" and there is none; AssertionError where PyTorch was
            built without it.
    """
    num_threads = torch.get_num_threads()
    on_gpu = runtime.device == "cuda"
    devices = [torch.cuda.current_device()] if on_gpu else []
    with (
        torch.random.fork_rng(devices=devices),
        _deterministic() if on_gpu else nullcontext(),
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


@contextmanager
def _deterministic() -> Iterator[None]:
    """An operation without a deterministic kernel is an error."""
    was_on, filled = (
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
