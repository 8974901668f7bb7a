"""Which device, precision and memory layout trains fastest here: measured, not guessed.

A CPU with matrix units trains in bfloat16 several times as fast as in float32; one without takes
longer. A sweep asks once and keeps the answer, so that all its folds are computed alike.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import torch

from ptxcore.data.patches import Batch
from ptxcore.inference import place
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.isolation import isolated
from ptxcore.training.optimizer import make_optimizer
from ptxcore.training.step import train_step
from ptxcore.types import Runtime

#: bfloat16 has three digits: it must be worth it.
WORTH_BFLOAT16 = 1.15
#: Sides of the patches timed: where all of an epoch would take minutes, a share tells enough.
MAX_TIMED_PX = 256
MAX_TIMED_BATCH = 4
MAX_TIMED_STEPS = 4
#: No further step is timed once this has passed, but two are.
BUDGET_SECONDS = 1.5


def measure_runtime(settings: FoldSettings, *, num_threads: int) -> Runtime:
    """Time a few training steps in each way, and take the fastest.

    Args:
        settings: Of the folds to come; network, patch and batch are timed, cut down if large.
        num_threads: CPU threads of one trial, at least 1.

    Returns:
        On the GPU if PyTorch sees one. float32 unless bfloat16 gains `WORTH_BFLOAT16`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    seconds: dict[Runtime, float] = {}
    # float32 first: where it has been timed, a slower way is given up after one step.
    for precision, channels_last in itertools.product(("float32", "bfloat16"), (False, True)):
        runtime = Runtime(
            device=device,
            precision=precision,
            channels_last=channels_last,
            num_threads=num_threads,
        )
        limit = 4 * min(seconds.values(), default=math.inf)
        cost = _seconds_per_step(settings, runtime, limit=limit)
        seconds[runtime] = cost * (WORTH_BFLOAT16 if precision == "bfloat16" else 1.0)
    return min(seconds, key=lambda runtime: seconds[runtime])


def _seconds_per_step(settings: FoldSettings, runtime: Runtime, *, limit: float) -> float:
    """The fastest of a few steps; the first alone where even that is past the limit."""
    side = min(settings.patch_size or settings.image_size or MAX_TIMED_PX, MAX_TIMED_PX)
    shape = (min(settings.batch_size, MAX_TIMED_BATCH), 1, side, side)
    rng = np.random.default_rng(0)
    batch = Batch(
        images=rng.standard_normal(shape, dtype=np.float32),
        targets=(rng.random(shape) < 0.01).astype(np.float32),
    )
    with isolated(runtime, seed=0):
        network = place(build_network(settings, seed=0).train(), runtime)
        optimizer = make_optimizer(network, settings)
        # On a CPU the time this process was given: a busy machine must not decide.
        clock = time.process_time if runtime.device == "cpu" else time.perf_counter
        times: list[float] = []
        while len(times) < 2 or (len(times) < MAX_TIMED_STEPS and sum(times) < BUDGET_SECONDS):
            start = clock()
            step = train_step(network, optimizer, batch, settings, runtime, rate=0.0)
            step.loss.item()  # waits for the device
            times.append(clock() - start)
            if times[0] > limit:
                break
    return min(times)
