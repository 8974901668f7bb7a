"""Which precision and memory layout trains fastest here: measured, not guessed.

A CPU with matrix units trains in bfloat16 several times as fast as in float32; one without takes
longer. A sweep asks once and keeps the answer, so that all its folds are computed alike.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import torch

from ptxcore.data.patches.sampler import Batch
from ptxcore.errors import OutOfMemory
from ptxcore.settings import FoldSettings
from ptxcore.training.context import TrainingContext
from ptxcore.training.micro_batches import STEPS_BEFORE_CAPTURE, SplitStep
from ptxcore.training.torch_state import isolated
from ptxcore.types import Runtime

#: bfloat16 has three digits: it must be worth it.
MIN_SPEEDUP_BFLOAT16 = 1.15
#: What is timed on a CPU at most: where a whole step takes a minute, a share of it tells enough. A
#: GPU is given the whole: a share of it does not fill one.
MAX_TIMED_PX = 256
MAX_TIMED_BATCH = 4
MAX_TIMED_STEPS = 4
#: No further step is timed once this has passed, but two are.
BUDGET_SECONDS = 1.5
#: Steps on a GPU: the last few of them are replayed.
NUM_STEPS_ON_GPU = STEPS_BEFORE_CAPTURE + 4


def has_gpu() -> bool:
    """Whether PyTorch sees a GPU on this machine."""
    return torch.cuda.is_available()


def measure_runtime(settings: FoldSettings, *, device: str, num_threads: int) -> Runtime:
    """Time a few training steps in each way, and take the fastest.

    Args:
        settings: Settings of the folds to come; network, patch and batch are timed, on a CPU cut
            down if large.
        device: "cpu" or "cuda".
        num_threads: CPU threads of one trial, at least 1.

    Returns:
        float32 unless bfloat16 is `MIN_SPEEDUP_BFLOAT16` times as fast. A way that does not fit in
        memory is never preferred; where none does, it is float32 without `channels_last`.

    Raises:
        RuntimeError: As of `isolated`, where the device is "cuda" and there is none.
    """
    seconds: dict[Runtime, float] = {}
    # float32 first: where it has been timed, a slower way is given up after one step.
    for precision, channels_last in itertools.product(("float32", "bfloat16"), (False, True)):
        runtime = Runtime(
            device=device,
            precision=precision,
            channels_last=channels_last,
            num_threads=num_threads,
            folded_norms=device == "cpu",
        )
        limit = 4 * min(seconds.values(), default=math.inf)
        cost = _seconds_per_step(settings, runtime, limit=limit)
        seconds[runtime] = cost * (MIN_SPEEDUP_BFLOAT16 if precision == "bfloat16" else 1.0)
    return min(seconds, key=lambda runtime: seconds[runtime])


def measure_step(settings: FoldSettings, runtime: Runtime) -> float:
    """Seconds that a training step of a configuration takes here, by a few of them.

    On a CPU what is too large to be timed is taken to cost as much for each pixel.

    Args:
        settings: Settings of the fold.
        runtime: How it would be computed.

    Returns:
        Infinity where a step does not fit in memory.
    """
    seconds = _seconds_per_step(settings, runtime, limit=math.inf)
    if runtime.device == "cuda":
        return seconds
    side = _side(settings)
    timed = min(side, MAX_TIMED_PX) ** 2 * min(settings.batch_size, MAX_TIMED_BATCH)
    return seconds * side**2 * settings.batch_size / timed


def _seconds_per_step(settings: FoldSettings, runtime: Runtime, *, limit: float) -> float:
    """The fastest of a few steps; on a CPU the first alone where even that is past the limit."""
    on_gpu = runtime.device == "cuda"
    batch = _batch(settings, is_whole=on_gpu)
    # On a CPU the time this process was given: a busy machine must not decide.
    clock = time.perf_counter if on_gpu else time.process_time
    least, most = (NUM_STEPS_ON_GPU,) * 2 if on_gpu else (2, MAX_TIMED_STEPS)
    times: list[float] = []
    with isolated(runtime, seed=0):
        context, split_step = TrainingContext.fresh(settings, runtime, seed=0), SplitStep()
        while len(times) < least or (len(times) < most and sum(times) < BUDGET_SECONDS):
            start = clock()
            try:
                step = split_step(context, batch, rate=0.0)
            except OutOfMemory:
                return math.inf
            step.loss.item()  # waits for the device
            times.append(clock() - start)
            if times[0] > limit and not on_gpu:
                break
    return min(times)


def _side(settings: FoldSettings) -> int:
    return settings.patch_size or settings.image_size or MAX_TIMED_PX


def _batch(settings: FoldSettings, *, is_whole: bool) -> Batch:
    side, count = _side(settings), settings.batch_size
    if not is_whole:
        side, count = min(side, MAX_TIMED_PX), min(count, MAX_TIMED_BATCH)
    shape = (count, settings.num_channels, side, side)
    rng = np.random.default_rng(0)
    return Batch(
        images=rng.standard_normal(shape, dtype=np.float32),
        targets=(rng.random((count, 1, side, side)) < 0.01).astype(np.float32),
    )
