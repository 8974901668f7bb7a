"""Memory: a driver of many trials, and a process that trains a fold.

The driver is that of `sleeping_sweep.py`: 500 trials of five folds that only sleep, on two workers.
The fold is an epoch of an attention U-Net at 256 px on drawn cases, in a process of its own.

    memory_driver       largest resident memory of the driver over the earlier build's (goal: 0.75)
    memory_trial_peak   likewise of the process that trains (goal: 1, and 5% that vary)
    memory_trial        private memory of it when the epoch is over, likewise; this build keeps what
                        a step frees for the next one, so that it is nearer to its peak
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from two_builds import cpu_seconds, in_turns

if TYPE_CHECKING:
    from bench_speed import Builds

GOALS = {"memory_driver": 0.75, "memory_trial_peak": 1.05}
NUM_TRIALS = 500
SMALLEST = {"NUM_TRIALS": 20}

_DRIVE = """
import json, os, sys, tempfile
from pathlib import Path
sys.path.append("tests/benchmarks")
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # workers import the formula
from sleeping_sweep import run
with tempfile.TemporaryDirectory() as folder:
    found = run(Path(folder), int(sys.argv[2]), 2)
assert found["ledger_complete"]
Path(sys.argv[1]).write_text(json.dumps({"peak": found["driver_peak_mib"]}))
"""
_TRAIN = """
import json, sys
from pathlib import Path
from tiny_store import drawn_store
from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import Runtime
from sweep.ray.trainable import load_networks
load_networks()
try:
    from ptxcore.allocator import keep_buffers
except ImportError:
    pass
else:
    keep_buffers()

def mib(file, key):
    line = next(one for one in Path(file).read_text().splitlines() if one.startswith(key))
    return int(line.split()[1]) / 1024

folder = Path(sys.argv[2])
store = drawn_store(folder / "store", num_cases=24, num_positive=12, side_px=256)
plan = make_plan(store, num_folds=2, holdout_fraction=0.0)
settings = FoldSettings(channels=16, image_size=256, patch_size=256, batch_size=4, max_epochs=1)
for _ in train_fold(
    settings, store, plan.search_part(), 0, seed=0, runtime=Runtime(), directory=folder / "fold"
):
    pass
rollup = "/proc/self/smaps_rollup"
private = mib(rollup, "Private_Dirty") + mib(rollup, "Private_Clean")
found = {"peak": mib("/proc/self/status", "VmHWM"), "private": private}
Path(sys.argv[1]).write_text(json.dumps(found))
"""


def measure(builds: Builds) -> dict[str, float]:
    """Driver and trial, both in turns."""
    file, number = builds.scratch / "found.json", 0
    figures: dict[str, float] = {}

    def found(build: Path, code: str, *words: str | Path) -> dict[str, Any]:
        cpu_seconds(build, code, file, *words)
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        print(json.dumps({str(build): told}), file=sys.stderr, flush=True)
        return told

    def driver(build: Path) -> float:
        return float(found(build, _DRIVE, str(NUM_TRIALS))["peak"])

    kept: dict[Path, list[float]] = {builds.before: [], builds.now: []}

    def trial(build: Path) -> float:
        nonlocal number
        number += 1
        told = found(build, _TRAIN, builds.scratch / f"trial-{number}")
        kept[build].append(told["private"])
        return float(told["peak"])

    for name, run, num_turns in (("memory_driver", driver, 1), ("memory_trial_peak", trial, None)):
        before, now = in_turns(builds.before, builds.now, run, num_turns)
        figures |= {f"{name}_mib_before": before, f"{name}_mib": now, name: now / before}
    before, now = (min(kept[build]) for build in (builds.before, builds.now))
    return {
        **figures,
        "memory_trial_mib_before": before,
        "memory_trial_mib": now,
        "memory_trial": now / before,
    }
