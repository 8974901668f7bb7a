"""Words that settings may be, limits that others share, and which settings are judged together.

The range of a setting stands at its field in `ptxcore.settings`, which refuses.
"""

from __future__ import annotations

NETWORKS = ("attention_unet", "unet")
#: Contracting paths: the network's own, or one that has learned photographs.
PLAIN = "plain"
ENCODERS = (PLAIN, "efficientnet_lite0")
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
    "levels": ("encoder", "efficientnet_lite0"),
    "case_loss_weight": ("case_head", False),
    "positive_fraction_end": ("positive_fraction_schedule", "constant"),
    "foreground_share": ("patch_size", 0),
    "elastic_px": ("augmentation_strength", 0),
    "grid_distortion_px": ("augmentation_strength", 0),
}
