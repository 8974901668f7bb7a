"""Networks on a CPU: a training step and a prediction, and what other norms cost beside batch norm.

Attention U-Nets of 32 channels in bfloat16 and channels last on windows of 256 px, in batches of
four, on one thread, as a trial's process of each build has them. Starting a process is left out: it
does many and few of them, and the difference counts.

    train_step         CPU of a training step over the earlier build's
    predict_windows    CPU of the windows of an image of 640 px over the earlier build's
    norm_instance      CPU of a training step with instance norm over batch norm, this build
    norm_group         with group norm
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import two_builds
from two_builds import cpu_seconds, in_turns

if TYPE_CHECKING:
    from bench_speed import Builds

GOALS = {"train_step": 0.80, "predict_windows": 0.65, "norm_instance": 1.2, "norm_group": 1.15}
MANY, FEW = 6, 2
SMALLEST = {"MANY": 2, "FEW": 1}

_CODE = """
import dataclasses, sys
import numpy as np
from ptxcore.inference import predict_grid
from ptxcore.settings import FoldSettings
from ptxcore.training.context import TrainingContext
from ptxcore.training.micro_batches import SplitStep
from ptxcore.training.runtime import _batch
from ptxcore.training.torch_state import isolated
from ptxcore.types import Runtime
try:
    from ptxcore.allocator import keep_buffers
    from ptxcore.inference import for_inference_on
except ImportError:
    for_inference_on = lambda network, runtime: network
else:
    keep_buffers()
what, norm, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
known = [field.name for field in dataclasses.fields(Runtime)]
folded = {name: True for name in known if name == "folded_norms"}
runtime = Runtime(precision="bfloat16", channels_last=True, **folded)
settings = FoldSettings(channels=32, image_size=1024, patch_size=256, batch_size=4, norm=norm)
with isolated(runtime, seed=0):
    context, step = TrainingContext.fresh(settings, runtime, seed=0), SplitStep()
    if what == "train":
        batch = _batch(settings, is_whole=False)
        for _ in range(number):
            step(context, batch, rate=1e-4).loss.item()
    else:
        image = np.random.default_rng(0).integers(0, 255, (640, 640), dtype=np.uint8)
        network = for_inference_on(context.network, runtime)
        for _ in range(number):
            predict_grid(network, image, settings, runtime)
"""


def measure(builds: Builds) -> dict[str, float]:
    """Both in turns, and this build's norms in turns."""

    def seconds(build: Path, what: str, norm: str = "batch") -> float:
        many, few = (cpu_seconds(build, _CODE, what, norm, str(n)) for n in (MANY, FEW))
        return (many - few) / (MANY - FEW)

    figures: dict[str, float] = {}
    for name, what in (("train_step", "train"), ("predict_windows", "predict")):
        before, now = in_turns(
            builds.before, builds.now, lambda build, what=what: seconds(build, what)
        )
        say = {f"{name}_seconds_before": before, f"{name}_seconds": now}
        print(json.dumps(say), file=sys.stderr, flush=True)
        figures |= {**say, name: now / before}
    for norm in ("instance", "group"):
        turns = [
            (seconds(builds.now, "train"), seconds(builds.now, "train", norm))
            for _ in range(min(2, two_builds.NUM_TURNS))
        ]
        batch, other = (sum(times) for times in zip(*turns, strict=True))
        figures[f"norm_{norm}"] = other / batch
    return figures
