"""How fast and how lean the core trains and predicts, as ratios within one run.

    python tests/benchmarks/bench_core.py [--device cuda]

On the real slice that the tests use, where it is found, else on drawn radiographs, all at 1024 px.
What is compared runs in turn, and medians count: step by step on a CPU, in blocks of steps on a
GPU, which goes on while the next batches are made. The last line is one JSON object:

    pipeline_efficiency          throughput with all data work, over that on one batch in memory
    speedup_vs_plain_monai       by patch size: a plain MONAI loop (CacheDataset,
                                 RandCropByPosNegLabeld, float32, contiguous) over ours, same
                                 network, batch size and number of steps
    dice_positive                of both loops after equally many steps, by held fold
    sliding_window_overhead      a whole image at overlap 0.25, over its bare forward passes
    sliding_window_difference    largest difference from MONAI's inferer, as a share of the largest
                                 logit
    augmentation_share           of a training step at full strength
    private_mib                  of a process that trained an epoch, by number of cases in the store

With a GPU the efficiency is that of 512 px, and beside it stand `gpu_busy` (the driver's figure,
and that of the plain loop), `milliseconds_in_memory` (a step on one batch), `gib` (reserved) and
`largest_batch_size` (the largest power of two that fits undivided).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from plain_monai import batches, learning, our_step, plain_step, source_of
from siim_slice import find_slice

from ptxcore.data.importing.run import import_cases
from ptxcore.data.patches.augment import Augmentation
from ptxcore.data.patches.loader import Loader
from ptxcore.data.patches.sampler import Batch, PatchSampler
from ptxcore.data.phantom import write_phantom
from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import OutOfMemory
from ptxcore.inference import place, predict_grid
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.context import TrainingContext
from ptxcore.training.micro_batches import STEPS_BEFORE_CAPTURE, SplitStep
from ptxcore.training.runtime import measure_runtime
from ptxcore.training.torch_state import isolated
from ptxcore.types import Runtime

NUM_STEPS = 12
NETWORK: dict[str, Any] = {"channels": 32, "levels": 5, "image_size": 1024, "dropout": 0.1}
RATE = 1e-4
PRIVATE_SIZES = (252, 2520)


def make_store(folder: Path) -> CaseStore:
    real = find_slice()
    if real is not None:
        import_cases(real / "dicom", real / "train-rle.csv", folder / "store")
    else:
        files = write_phantom(folder / "drawn", num_cases=32, size=1024, prevalence=0.5, seed=0)
        import_cases(files.dicom, files.rle, folder / "store")
    return CaseStore.open(folder / "store")


def positives(store: CaseStore) -> list[str]:
    return [case.case_id for case in store.cases if case.is_positive]


def medians(steps: dict[str, Callable[[], object]], device: str, num: int) -> dict[str, float]:
    """Seconds of each step, run in turn after one round of warming up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(num + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if device == "cuda":
                torch.cuda.synchronize()
            if number:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def blocks(
    steps: dict[str, Callable[[], object]], runtime: Runtime, *, num: int, num_ahead: int
) -> dict[str, float]:
    """Seconds of a step on a GPU, in blocks of `num` in turn, the median of three.

    Before a block of the pipeline `num_ahead` steps use up what was made ahead while others ran.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(3):
        for name, step in steps.items():
            ours = isolated(runtime, seed=0) if name != "plain" else nullcontext()
            with ours:  # the plain loop runs as PyTorch comes
                for _ in range(num_ahead if name == "pipeline" else 4):
                    step()
                torch.cuda.synchronize()
                begin = time.perf_counter()
                for _ in range(num):
                    step()
                torch.cuda.synchronize()
            times[name].append((time.perf_counter() - begin) / num)
    return {name: statistics.median(values) for name, values in times.items()}


def busy(step: Callable[[], object], runtime: Runtime | None, *, seconds: float = 6.0) -> float:
    """Share of the time in which a kernel ran, as the driver says, while step follows step."""
    asked = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "250"]
    with (
        isolated(runtime, seed=0) if runtime else nullcontext(),
        subprocess.Popen(["nvidia-smi", *asked], stdout=subprocess.PIPE, text=True) as watch,
    ):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            step()
        watch.terminate()
        assert watch.stdout is not None
        found = [float(line) for line in watch.stdout.read().split()]
    settled = found[len(found) // 3 : -1]
    return statistics.mean(settled) / 100


def largest_batch_size(settings: FoldSettings, runtime: Runtime, *, most: int = 256) -> int:
    """Patches of the largest batch, a power of two, that is trained undivided; 0 if none is.

    What this process holds already is taken from the memory there is.
    """
    size = 1
    while size <= most:
        trial = dataclasses.replace(settings, batch_size=size)
        shape = (size, trial.num_channels, trial.patch_size, trial.patch_size)
        targets = np.zeros((size, 1, *shape[2:]), np.float32)
        batch, split_step = Batch(images=np.zeros(shape, np.float32), targets=targets), SplitStep()
        with isolated(runtime, seed=0):
            context = TrainingContext.fresh(trial, runtime, seed=0)
            try:
                for _ in range(STEPS_BEFORE_CAPTURE + 2):
                    split_step(context, batch, rate=RATE)
            except OutOfMemory:
                break
        is_whole = split_step.num_parts == 1
        del context, split_step
        torch.cuda.empty_cache()
        if not is_whole:
            break
        size *= 2
    return size // 2


#: Side of the patches and patches of a batch: what a CPU trains, and what fills a GPU.
BATCHES = {"cpu": ((256, 4), (512, 2)), "cuda": ((256, 16), (512, 8))}


def training(store: CaseStore, device: str) -> tuple[dict[str, float], dict[str, Any]]:
    speedups, facts = {}, {}
    for side, batch_size in BATCHES[device]:
        settings = FoldSettings(
            **NETWORK, patch_size=side, batch_size=batch_size, augmentation_strength=1.0
        )
        runtime = measure_runtime(settings, device=device, num_threads=torch.get_num_threads())
        sampler = PatchSampler(store, positives(store), settings, seed=0)
        source, fixed = source_of(sampler, runtime), next(sampler.epoch(1))
        with isolated(runtime, seed=0):
            steps = {
                "pipeline": our_step(settings, runtime, batches(source), rate=RATE)[1],
                "memory": our_step(settings, runtime, cycle([fixed]), rate=RATE)[1],
                "plain": plain_step(store, positives(store)[:16], settings, device, rate=RATE)[1],
            }
            if device == "cpu":
                found = medians(steps, device, NUM_STEPS if side == 256 else NUM_STEPS // 2)
        if device == "cuda":
            found = blocks(steps, runtime, num=40, num_ahead=2 * runtime.num_threads + 8)
        speedups[str(side)] = round(found["plain"] / found["pipeline"], 2)
        print(f"{side} px: {found}, {runtime}", file=sys.stderr, flush=True)
        if device == "cpu" and side == 256:
            share = augmentation_seconds(store, settings) * batch_size / found["pipeline"]
            facts = {"augmentation_share": round(share, 4)}
        if device == "cuda":
            facts = {
                "batch_size": batch_size,
                "milliseconds_in_memory": round(1000 * found["memory"], 2),
                "gpu_busy": round(busy(steps["pipeline"], runtime), 3),
                "gpu_busy_plain": round(busy(steps["plain"], None), 3),
                "gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
                "largest_batch_size": largest_batch_size(settings, runtime),
            }
        if side == 256 or device == "cuda":
            facts["precision"] = runtime.precision
            facts["pipeline_efficiency"] = round(found["memory"] / found["pipeline"], 3)
        if isinstance(source, Loader):
            source.close()
    return speedups, facts


def augmentation_seconds(store: CaseStore, settings: FoldSettings) -> float:
    """Of one patch at full strength."""
    change = Augmentation(1.0, patch_px=settings.patch_size, image_px=settings.image_size)
    side = settings.patch_size + 2 * change.margin_px
    grid = store.resampled(settings.image_size)
    image = np.ascontiguousarray(grid.image(0)[:side, :side])
    mask = np.ascontiguousarray(grid.soft_mask(0)[:side, :side])
    pad = [(0, side - image.shape[0]), (0, side - image.shape[1])]
    image, mask = np.pad(image, pad), np.pad(mask, pad)
    seeds = iter(range(1000))
    return medians({"one": lambda: change(image, mask, seed=next(seeds))}, "cpu", 40)["one"]


def windows(store: CaseStore, device: str) -> dict[str, float]:
    from monai.inferers import SlidingWindowInferer

    settings = FoldSettings(**NETWORK, patch_size=256, overlap=0.25)
    runtime = measure_runtime(settings, device=device, num_threads=torch.get_num_threads())
    image = store.resampled(1024).image(0)
    with isolated(runtime, seed=0):
        network = place(build_network(settings, seed=0).eval(), runtime)
        layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
        num_windows, at_once = 25, 16 if device == "cuda" else 1
        batch = torch.randn(at_once, 1, 256, 256, device=device).contiguous(memory_format=layout)

        def forward(values: torch.Tensor) -> torch.Tensor:
            enabled = runtime.precision == "bfloat16"
            with torch.autocast(device, dtype=torch.bfloat16, enabled=enabled):
                return network(values.contiguous(memory_format=layout)).float()

        def bare() -> None:
            with torch.inference_mode():
                for start in range(0, num_windows, at_once):
                    forward(batch[: num_windows - start])

        def whole() -> torch.Tensor:
            return predict_grid(network, image, settings, runtime)

        found = medians({"whole": whole, "bare": bare}, device, NUM_STEPS)
        ours = whole()
        inferer = SlidingWindowInferer(256, at_once, 0.25, mode="gaussian", sigma_scale=0.125)
        from ptxcore.data.intensity import normalise

        values = torch.from_numpy(normalise(image))[None, None].to(device)
        with torch.inference_mode():
            theirs = inferer(values, forward)
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    return {
        "sliding_window_overhead": round(found["whole"] / found["bare"], 3),
        "sliding_window_difference": difference,
    }


def private_mib() -> float:
    """Memory of this process that no other shares."""
    text = Path("/proc/self/smaps_rollup").read_text()
    sizes = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
    return (int(sizes["Private_Dirty"]) + int(sizes["Private_Clean"])) / 1024


def child(folder: Path) -> None:
    """Train one epoch of a fold and say what this process holds for itself."""
    from ptxcore.training import train_fold

    store = CaseStore.open(folder)
    plan = make_plan(store, num_folds=5, seed=0).search_part()
    settings = FoldSettings(
        channels=4, levels=3, image_size=0, patch_size=128, batch_size=4, steps_per_epoch=8,
        max_epochs=2, warmup_epochs=0,
    )  # fmt: skip
    next(train_fold(settings, store, plan, 0, seed=0, runtime=Runtime()))
    print(json.dumps(private_mib()))


def memory(folder: Path) -> dict[str, Any]:
    found = {}
    for num_cases in PRIVATE_SIZES:
        files = write_phantom(folder / f"p{num_cases}", num_cases=num_cases, size=256, seed=0)
        import_cases(files.dicom, files.rle, folder / f"s{num_cases}")
        words = [sys.executable, __file__, "--child", str(folder / f"s{num_cases}")]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found[str(num_cases)] = round(json.loads(done.stdout.splitlines()[-1]), 1)
    return {"private_mib": found}


def main(device: str) -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder)
        speedups, facts = training(store, device)
        result = {
            "images": "drawn" if find_slice() is None else "real",
            "device": device,
            "num_threads": torch.get_num_threads(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "amx": "amx_bf16" in Path("/proc/cpuinfo").read_text(),
            **facts,
            "speedup_vs_plain_monai": speedups,
            "dice_positive": learning(store, positives(store), device),
            **windows(store, device),
            **(memory(folder) if device == "cpu" else {}),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--child", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
    else:
        main(arguments.device)
