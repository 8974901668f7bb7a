"""Folds that had begun to find lesions and ended by predicting nothing at all."""

from __future__ import annotations

from sweep.ledger.projection import Projection, Trial

#: Of the monitor at the fold's threshold: predicting nothing scores 0 there.
_WATCHED = "monitor_dice_positive"
#: Dice that was more than chance.
_FOUND = 0.05
#: Last epochs without a single pixel in common.
_LAST = 3


def emptied_folds(projection: Projection) -> str | None:
    """What happened, in a sentence without its capital and its stop, and what to do; None if not.

    Early stopping keeps an epoch before that, so that no score shows it.
    """
    finished = [
        (trial, score.curves.get(_WATCHED, ()))
        for trial in projection.trials
        for score in trial.folds.values()
    ]
    emptied = [trial for trial, curve in finished if _is_emptied(curve)]
    if not emptied:
        return None
    said = (
        f"{len(emptied)} of {len(finished)} folds had begun to find lesions and ended by "
        "predicting nothing at all; their scores are of an earlier epoch"
    )
    if any(_costs_healthy_images(trial) for trial in emptied):
        said += (
            "; dice_on_empty: false takes the Dice loss, which asks for that, off healthy images"
        )
    return said


def _is_emptied(curve: tuple[float, ...]) -> bool:
    return not any(curve[-_LAST:]) and max(curve, default=0) >= _FOUND


def _costs_healthy_images(trial: Trial) -> bool:
    settings = trial.settings
    has_overlap = settings.get("dice_weight", 1.0) or settings.get("tversky_weight", 0.0)
    return bool(settings.get("dice_on_empty", True) and has_overlap)
