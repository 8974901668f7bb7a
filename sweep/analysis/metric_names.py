"""Names of metrics as a reader knows them, for every view."""

from __future__ import annotations

METRICS = {
    "dice": "Dice",
    "dice_positive": "Dice over positive cases",
    "iou": "IoU",
    "iou_positive": "IoU over positive cases",
    "pixel_sensitivity": "Pixel sensitivity",
    "precision": "Precision",
    "case_sensitivity": "Case sensitivity",
    "case_specificity": "Case specificity",
    "case_precision": "Case precision",
    "average_precision": "Average precision",
    "calibration_error": "Calibration error",
    "surface_dice": "Surface Dice at 2 mm",
    "surface_dice_positive": "Surface Dice at 2 mm, positive cases",
    "hausdorff95_mm": "Hausdorff 95%, mm",
    "hausdorff95_positive_mm": "Hausdorff 95%, mm, positive cases",
    "loss": "Loss",
}
_GROUPS = {
    "size_q1": "smallest quarter of masks",
    "size_q2": "second quarter of masks",
    "size_q3": "third quarter of masks",
    "size_q4": "largest quarter of masks",
    "view_ap": "view AP",
    "view_pa": "view PA",
    "view_unknown": "view unknown or another",
}


def metric_name(metric: str) -> str:
    """A metric as a reader knows it; an unknown one keeps its own name."""
    for group, words in _GROUPS.items():
        if metric.endswith(f"_{group}"):
            return f"{metric_name(metric.removesuffix(f'_{group}'))}, {words}"
    return METRICS.get(metric, metric.replace("_", " "))


def in_sentence(metric: str) -> str:
    """The name inside a sentence: only names that are capitalised by nature keep their capital."""
    name = metric_name(metric)
    return name if name.startswith(("Dice", "IoU", "Hausdorff")) else name[:1].lower() + name[1:]


def with_article(metric: str) -> str:
    """The name after "an" or "a", as it is spoken."""
    name = in_sentence(metric)
    return f"{'an' if name[0] in 'aeio' or name.startswith('IoU') else 'a'} {name}"
