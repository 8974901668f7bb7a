"""The plain MONAI loop that `bench_core.py` compares with, and whether both learn equally well."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ptxcore.data.intensity import normalise
from ptxcore.data.patches.loader import Loader
from ptxcore.data.patches.sampler import Batch, PatchSampler
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import summarize
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.context import TrainingContext
from ptxcore.training.micro_batches import SplitStep
from ptxcore.training.runtime import measure_runtime
from ptxcore.training.scoring import score_cases
from ptxcore.training.torch_state import isolated
from ptxcore.types import Runtime

Step = Callable[[], object]

NUM_FOLDS = 3
NUM_LEARNING_STEPS = 600
#: What a CPU learns in minutes: patches of images of 128 px.
LEARNING = FoldSettings(
    network="unet", channels=8, levels=4, image_size=128, patch_size=96, batch_size=8,
    overlap=0.5, learning_rate=2e-3, augmentation_strength=0.3,
)  # fmt: skip


#: Processes of the plain loop's `DataLoader`: as in MONAI's tutorials, where the CPU is not the
#: device itself.
PLAIN_WORKERS = {"cpu": 0, "cuda": 4}


def batches(sampler: PatchSampler | Loader) -> Iterator[Batch]:
    epoch = 0
    while True:
        epoch += 1
        yield from sampler.epoch(epoch)


def source_of(sampler: PatchSampler, runtime: Runtime) -> PatchSampler | Loader:
    """As a fold has it."""
    on_gpu = runtime.device == "cuda"
    return Loader(sampler, num_workers=runtime.num_threads) if on_gpu else sampler


def our_step(
    settings: FoldSettings, runtime: Runtime, source: Iterator[Batch], *, rate: float, seed: int = 0
) -> tuple[nn.Module, Step]:
    context, split_step = TrainingContext.fresh(settings, runtime, seed=seed), SplitStep()

    def step() -> Tensor:
        return split_step(context, next(source), rate=rate).loss

    return context.network, step


def plain_step(
    store: CaseStore,
    case_ids: Sequence[str],
    settings: FoldSettings,
    device: str,
    *,
    rate: float,
    seed: int = 0,
    num_workers: int | None = None,
) -> tuple[nn.Module, Step]:
    """A step of the loop that MONAI's tutorials show."""
    from monai.data import CacheDataset, DataLoader
    from monai.losses import DiceCELoss
    from monai.transforms import Compose, RandAffined, RandCropByPosNegLabeld, RandFlipd

    side = settings.patch_size
    grid = store.resampled(settings.image_size)
    rows: list[dict[str, Any]] = []
    for index in (store.index(name) for name in case_ids):
        image = normalise(grid.image(index)).astype(np.float32)[None]
        mask = (grid.soft_mask(index) >= 128).astype(np.float32)[None]
        rows.append({"image": image, "label": mask})
    keys = ["image", "label"]
    transforms = Compose(
        [
            RandCropByPosNegLabeld(
                keys, label_key="label", spatial_size=(side, side), num_samples=1
            ),
            RandFlipd(keys, prob=0.5, spatial_axis=1),
            RandAffined(keys, prob=0.5, rotate_range=0.15, scale_range=0.1, padding_mode="zeros"),
        ]
    )
    transforms.set_random_state(seed=seed)
    workers = PLAIN_WORKERS[device] if num_workers is None else num_workers
    loader = DataLoader(
        CacheDataset(rows, transforms, progress=False),
        batch_size=settings.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        drop_last=True,
    )
    network = build_network(settings, seed=seed).train().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    loss_of = DiceCELoss(sigmoid=True)
    source = (batch for _ in cycle([None]) for batch in loader)

    def step() -> float:
        batch = next(source)
        optimizer.zero_grad()
        loss = loss_of(network(batch["image"].to(device)), batch["label"].to(device))
        loss.backward()
        optimizer.step()
        return float(loss)

    return network, step


def learning(store: CaseStore, positives: Sequence[str], device: str) -> dict[str, Any]:
    """Mean Dice over the positive cases of each held fold after equally many steps of both loops.

    Same network, first weights, cases, steps and rate. To predict nothing has a Dice of 0 there.
    """
    found: dict[str, list[float]] = {"ours": [], "plain": []}
    runtime = measure_runtime(LEARNING, device=device, num_threads=torch.get_num_threads())
    plain = Runtime(device=device, num_threads=torch.get_num_threads())
    for fold in range(NUM_FOLDS):
        held = positives[fold::NUM_FOLDS]
        cases = [name for name in positives if name not in held]
        rate = LEARNING.learning_rate
        for name, how in (("ours", runtime), ("plain", plain)):
            with isolated(how, seed=fold):
                if name == "ours":
                    sampler = source_of(PatchSampler(store, cases, LEARNING, seed=fold), how)
                    source = batches(sampler)
                    network, step = our_step(LEARNING, how, source, rate=rate, seed=fold)
                else:
                    network, step = plain_step(store, cases, LEARNING, device, rate=rate, seed=fold)
                for _ in range(NUM_LEARNING_STEPS):
                    step()
                table, _ = score_cases(network, store, held, LEARNING, how)
            dice = summarize(table)["dice_positive"]
            found[name].append(round(dice, 3))
    differences = [a - b for a, b in zip(found["ours"], found["plain"], strict=True)]
    return {
        **found,
        "all_empty": 0.0,
        "mean_difference": round(statistics.mean(differences), 3),
        "sd_of_differences": round(statistics.stdev(differences), 3),
    }
