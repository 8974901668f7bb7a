"""What training a fold would give, by a formula: scores, curves and metrics of the usual size.

Scores depend on the configuration, on the fold (much) and on both together (a little), as real ones
do. Imports little, so that a worker that only needs this starts soon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sweep.records import Assignment, FoldScore

PREVALENCE = 0.22
NUM_CASES = 40
FOLD_EFFECT = (0.03, -0.06, 0.01, 0.05, -0.03)


def seconds_per_epoch(parameters: Mapping[str, Any]) -> float:
    """Larger patches and more overlap cost more."""
    return 2.0 + parameters["patch_size"] / 128 + 2 * parameters["overlap"]


def fold_score(job: Assignment) -> FoldScore:
    """What training this fold would give."""
    draw = np.random.default_rng([job.trial, job.fold])
    p = job.settings
    quality = (
        0.62
        - 0.10 * (math.log10(p["learning_rate"]) + 2.6) ** 2
        - 0.25 * (p["augmentation_strength"] - 0.45) ** 2
        - (0.05 if p["patch_size"] == 128 else 0.0)
        + FOLD_EFFECT[job.fold]
        + draw.normal(0, 0.012)
    )
    quality = float(np.clip(quality, 0.02, 0.98))
    num_epochs = int(draw.integers(8, 13))
    epochs = np.arange(1, num_epochs + 1)
    rise = 1 - np.exp(-epochs / 3.5)

    def curve(top: float, noise: float = 0.012) -> tuple[float, ...]:
        return tuple((top * rise + draw.normal(0, noise, num_epochs)).tolist())

    dice_positive = 0.85 * quality
    metrics = {
        "average_precision": quality,
        "dice": (1 - PREVALENCE) * (0.90 + 0.1 * quality) + PREVALENCE * dice_positive,
        "dice_positive": dice_positive,
        "iou": (1 - PREVALENCE) * (0.90 + 0.1 * quality) + PREVALENCE * 0.7 * dice_positive,
        "iou_positive": 0.7 * dice_positive,
        "pixel_sensitivity": dice_positive * 0.95,
        "precision": dice_positive,
        "case_sensitivity": min(1.0, quality + 0.25),
        "case_specificity": 0.90 + 0.1 * quality,
        "case_precision": 0.5 + 0.5 * quality,
        "calibration_error": 0.02 * (1 - quality),
        "surface_dice": 0.7 + 0.3 * quality,
        "surface_dice_positive": quality,
        "surface_dice_all_empty": 1 - PREVALENCE,
        "surface_dice_positive_all_empty": 0.0,
        "hausdorff95_mm": 60 * (1 - quality),
        "hausdorff95_positive_mm": 200 * (1 - quality),
        "hausdorff95_mm_all_empty": 200 * PREVALENCE,
        "hausdorff95_positive_mm_all_empty": 200.0,
        **{f"dice_size_q{n}": dice_positive * (0.6 + 0.15 * n) for n in (1, 2, 3, 4)},
        **{f"case_sensitivity_size_q{n}": 0.2 * n for n in (1, 2, 3, 4)},
        **{f"dice_view_{view}": 0.9 * quality for view in ("ap", "pa")},
        **{f"dice_view_{view}_all_empty": 0.8 for view in ("ap", "pa")},
        "dice_view_unknown": math.nan,
        "dice_all_empty": 1 - PREVALENCE,
        "dice_positive_all_empty": 0.0,
        "num_cases": float(NUM_CASES),
        "num_positive": round(PREVALENCE * NUM_CASES),
    }
    monitor = curve(quality + 0.02)
    return FoldScore(
        trial=job.trial,
        fold=job.fold,
        attempt=job.attempt,
        value=quality,
        score=quality,
        seconds=num_epochs * seconds_per_epoch(p),
        num_epochs=num_epochs,
        best_epoch=int(np.argmax(monitor)) + 1,
        metrics=metrics,
        curves={
            "train_loss": tuple((1.5 - 0.9 * rise + draw.normal(0, 0.01, num_epochs)).tolist()),
            "monitor_loss": tuple((1.5 - 0.7 * rise + draw.normal(0, 0.03, num_epochs)).tolist()),
            "monitor_average_precision": monitor,
            "monitor_dice": curve(metrics["dice"]),
            "monitor_iou": curve(metrics["iou"]),
        },
        usage={
            "cpu_seconds": num_epochs * seconds_per_epoch(p),
            "peak_memory_bytes": 2.0**30,
            "seconds_per_image": 0.02 * seconds_per_epoch(p) / (1 - float(p.get("overlap", 0.25))),
        },
    )
