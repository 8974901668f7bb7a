"""What values settings may have, each by itself, and which are judged together.

Read by `ptxcore.settings`, which refuses, and by all that must stay within the same limits.
"""

from __future__ import annotations

import math

NETWORKS = ("attention_unet", "unet")
NORMS = ("batch", "instance", "group")
RESAMPLINGS = ("nearest", "bilinear", "bicubic", "lanczos", "area", "bspline", "windowed_sinc")
SCHEDULES = ("cosine", "plateau", "constant")
FRACTION_SCHEDULES = ("constant", "linear", "cosine")
SELECTIONS = ("monitor", "fold")
#: Metrics of the monitor; `ptxcore.metrics.DIRECTIONS` says which way each is better.
STOP_METRICS = (
    "dice",
    "dice_positive",
    "iou",
    "iou_positive",
    "pixel_sensitivity",
    "precision",
    "case_sensitivity",
    "case_specificity",
    "case_precision",
    "average_precision",
    "loss",
)
#: Settings that count in inference alone: other values need no other weights.
INFERENCE_SETTINGS = ("overlap", "tta", "whole_image")
#: Cells along an image side of the grid that `grid_distortion_px` bends.
GRID_CELLS = 8
#: Largest move of its lines in units of a cell: below one half, neighbours keep their order.
MAX_LINE_MOVE = 0.48
#: Control points along an image side of the field that `elastic_px` bends by.
CONTROL_POINTS = 8
#: Largest `elastic_px` in units of their spacing. Points that would fold the field are held back;
#: from here on more than one in fifteen is, and images are bent less than was asked for.
MAX_ELASTIC_SHARE = 1 / 8
#: Settings that weigh the terms of the loss.
LOSS_WEIGHTS = ("bce_weight", "dice_weight", "focal_weight", "tversky_weight")
#: Settings with values that are refused together or not at all, each fine by itself.
COMBINED = (
    ("levels", "deep_supervision"),
    ("image_size", "patch_size", "context_factor"),
    ("context_factor", "whole_image"),
    ("image_size", "elastic_px"),
    ("image_size", "grid_distortion_px"),
    ("max_epochs", "warmup_epochs"),
    ("max_epochs", "average_best"),
    ("average_best", "swa_start"),
    LOSS_WEIGHTS,
)
#: Name: (another setting, its value at which the first counts for nothing)
NEEDS: dict[str, tuple[str, float | str]] = {
    "focal_gamma": ("focal_weight", 0),
    "tversky_alpha": ("tversky_weight", 0),
    "positive_fraction_end": ("positive_fraction_schedule", "constant"),
    "foreground_share": ("patch_size", 0),
    "elastic_px": ("augmentation_strength", 0),
    "grid_distortion_px": ("augmentation_strength", 0),
}
#: Words that a setting may be.
CHOICES: dict[str, tuple[str, ...]] = {
    "network": NETWORKS,
    "norm": NORMS,
    "resampling": RESAMPLINGS,
    "schedule": SCHEDULES,
    "selection": SELECTIONS,
    "stop_metric": STOP_METRICS,
    "positive_fraction_schedule": FRACTION_SCHEDULES,
}
#: Name: (lowest, highest, whether the highest itself is allowed)
RANGES: dict[str, tuple[float, float, bool]] = {
    "channels": (1, 1024, True),
    "levels": (2, 7, True),
    "dropout": (0.0, 1.0, False),
    "image_size": (0, 8192, True),
    "patch_size": (0, 8192, True),
    "overlap": (0.0, 0.9, True),
    "context_factor": (0, 16, True),
    "bce_weight": (0.0, math.inf, False),
    "dice_weight": (0.0, math.inf, False),
    "focal_weight": (0.0, math.inf, False),
    "focal_gamma": (0.0, 10.0, True),
    "tversky_weight": (0.0, math.inf, False),
    "tversky_alpha": (0.0, 1.0, False),
    "augmentation_strength": (0.0, 1.0, True),
    "elastic_px": (-1.0, math.inf, False),
    "grid_distortion_px": (0.0, math.inf, False),
    "positive_fraction": (0.0, 1.0, True),
    "positive_fraction_end": (0.0, 1.0, True),
    "foreground_share": (0.0, 1.0, True),
    "hard_negative_share": (0.0, 1.0, True),
    "learning_rate": (0.0, math.inf, False),
    "weight_decay": (0.0, math.inf, False),
    "warmup_epochs": (0, 9_999, True),
    "batch_size": (1, 65_536, True),
    "steps_per_epoch": (0, 1_000_000, True),
    "max_epochs": (1, 9_999, True),
    "patience": (1, 9_999, True),
    "min_delta": (0.0, math.inf, False),
    "gradient_clip": (0.0, math.inf, False),
    "ema_decay": (0.0, 1.0, False),
    "average_best": (1, 100, True),
    "swa_start": (0.0, 1.0, False),
    "threshold": (0.0, 1.0, False),
}
