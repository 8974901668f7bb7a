"""What a network makes of radiographs in another size, bit depth or shape than it was trained on.

    python tests/benchmarks/bench_other_images.py STORE [--size 192]

Trains one fold of a small network on a store of radiographs (some seven minutes on one core), then
scores the held positive cases and 25 others as they are and in other forms, all at one threshold,
predictions brought back to the original grid.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptxcore.data.resample import resize_image
from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.inference import Ensemble, on_grid
from ptxcore.metrics import build_table, count_case, summarize
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import Rule, Runtime

Change = Callable[[NDArray[Any]], NDArray[Any]]
SETTINGS: dict[str, Any] = {
    **{"network": "unet", "channels": 8, "levels": 4, "dropout": 0.0, "patch_size": 0},
    **{"batch_size": 8, "steps_per_epoch": 30, "max_epochs": 10, "patience": 10},
    **{"warmup_epochs": 1, "learning_rate": 3e-3, "positive_fraction": 0.6},
    "augmentation_strength": 0.3,
}


def changes() -> dict[str, Change]:
    """Ways to change an image of 8 bits."""
    ways: dict[str, Change] = {
        "as it is": lambda image: image,
        "16 bits": lambda image: image.astype(np.uint16) * 257,
    }
    for side in (2048, 512, 256, 128, 96, 64, 48, 32):
        ways[f"{side} px"] = partial(resize_image, shape=(side, side), method="lanczos")
    for bits in (7, 6, 5, 4, 3, 2):
        ways[f"{bits} bits"] = partial(_coarse, bits)
    for gamma in (0.5, 2.0):
        ways[f"shades to the power of {gamma}"] = partial(_bent, gamma)
    return ways


def _coarse(bits: int, image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(image >> (8 - bits))


def _bent(gamma: float, image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((255 * (image / 255) ** gamma).astype(np.uint8))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--size", type=int, default=192, help="grid of the network, px")
    chosen = parser.parse_args(arguments)
    store = CaseStore.open(chosen.store)
    plan = make_plan(store, num_folds=2, holdout_fraction=0.0).search_part()
    settings = FoldSettings.from_mapping({**SETTINGS, "image_size": chosen.size})
    result = None
    for report in train_fold(
        settings, store, plan, 0, seed=0, runtime=Runtime(), directory=Path(f"fold-{chosen.size}")
    ):
        result = report.result
    assert result is not None
    assert result.weights is not None
    ensemble = Ensemble.load([result.weights], rule=Rule(top=0.1, bottom=0.1))
    held = [store.index(name) for name in plan.held(0)]
    positive = [index for index in held if store.cases[index].is_positive]
    indices = positive + [index for index in held if index not in positive][:25]
    for name, change in changes().items():
        rows = []
        for index in indices:
            truth = store.mask(index)
            logits = torch.from_numpy(ensemble.logits(change(store.image(index))))
            height, width = truth.shape
            rows.append(count_case(on_grid(logits[None, None], (height, width)), truth))
        table = build_table([store.cases[index].case_id for index in indices], rows)
        found = summarize(table, ensemble.rule)
        print(f"{name:28}{found['average_precision']:.3f} {found['dice_positive']:.3f}", flush=True)


if __name__ == "__main__":
    main()
