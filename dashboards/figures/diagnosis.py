"""Overfitting of one fold in numbers: where its monitor left the training, and what stopping saved.

The training loss is measured on augmented patches with dropout, the monitor loss on whole images
without, so the two differ in level from the start. What tells overfitting is their direction, and
there are two ways to part while the training loss goes on falling:

    rises   the monitor gets worse than its best by more than its noise; the departure is the epoch
            of its lowest loss (Prechelt 1998, "Early stopping - but when?")
    stalls  it does not get better any more, and the gap grows by more than its noise; the departure
            is the first epoch that is as good as the lowest, noise aside

Noise is estimated from the curve itself, by the distance of each epoch from the middle of its
neighbours (Gasser, Sroka and Jennen-Steinmetz 1986), which a smooth trend hardly changes; by the
median, so that one outlier does not hide a rise. Measured on drawn curves of 8 to 60 epochs, 1,000
each, noise 0.05: 4 to 5% of flat monitors are said to rise, and of those that level off together
with their training up to 3% to rise and 2% to stall; a rise by 0.3 over the second half is found in
45% of 8, 95% of 20 and all of 40 epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from ptxcore.settings import FoldSettings
from sweep.records import FoldScore

#: Epochs of the moving mean, odd.
WINDOW = 3
#: Shorter folds tell a rise from noise by chance alone.
MIN_EPOCHS = 5
#: Standard errors, of a difference of two means of `WINDOW` epochs, that a rise must exceed.
NUM_ERRORS = 3.0
#: Median absolute value of a normal variable in units of its standard deviation.
_MEDIAN_OF_NORMAL = 0.6745


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The one-based `epoch` at which a monitor parts from its training; "rises" or "stalls"."""

    epoch: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class FoldDiagnosis:
    """One finished fold. Gaps are monitor loss minus training loss, means of three epochs.

    Attributes:
        fold: Zero-based.
        num_epochs: Epochs trained.
        departure: One-based epoch from which the monitor got no better while the training loss
            fell; None if both went on together.
        kind: "rises" or "stalls", how it departed; empty if it did not.
        gap_at_departure: NaN without a departure.
        gap_at_end: Mean gap of the last epochs; NaN without both losses.
        best_epoch: One-based epoch that was best on the monitor; its weights were kept, unless
            `average_best` or `swa_start` keep a mean of several.
        metric_kept: The stopping metric on the monitor at that epoch; NaN if not recorded.
        metric_at_end: Likewise at the last epoch: what would have been kept without looking back.
        epochs_not_run: Epochs left of `max_epochs`.
        seconds_not_run: Their time at this fold's mean pace.
    """

    fold: int
    num_epochs: int
    departure: int | None
    kind: str
    gap_at_departure: float
    gap_at_end: float
    best_epoch: int
    metric_kept: float
    metric_at_end: float
    epochs_not_run: int
    seconds_not_run: float


def diagnose(score: FoldScore, settings: Mapping[str, Any]) -> FoldDiagnosis:
    """Diagnose a finished fold from its curves.

    Args:
        score: Score with the curves "train_loss" and "monitor_loss", and the stopping metric's.
        settings: Settings of the trial; those it leaves out are at the default of `FoldSettings`.
    """
    training, monitor = _losses(score)
    found = departure(training, monitor)
    departed = None if found is None else found.epoch
    gaps = [b - a for a, b in zip(smooth(training), smooth(monitor), strict=True)]
    watched = score.curves.get(f"monitor_{stop_metric(settings)}", ())
    missing = max(0, int(settings.get("max_epochs", FoldSettings.max_epochs)) - score.num_epochs)
    pace = score.seconds / score.num_epochs if score.num_epochs else 0.0
    return FoldDiagnosis(
        fold=score.fold,
        num_epochs=score.num_epochs,
        departure=departed,
        kind="" if found is None else found.kind,
        gap_at_departure=math.nan if departed is None else gaps[departed - 1],
        gap_at_end=gaps[-1] if gaps else math.nan,
        best_epoch=score.best_epoch,
        metric_kept=watched[score.best_epoch - 1] if score.best_epoch <= len(watched) else math.nan,
        metric_at_end=watched[-1] if watched else math.nan,
        epochs_not_run=missing,
        seconds_not_run=missing * pace,
    )


def stop_metric(settings: Mapping[str, Any]) -> str:
    """What early stopping watched."""
    return str(settings.get("stop_metric", FoldSettings.stop_metric))


def departure(training: Sequence[float], monitor: Sequence[float]) -> Departure | None:
    """Where the monitor loss departs from the training loss, and how.

    Args:
        training: Loss of every epoch, finite.
        monitor: Likewise, of the same length.

    Returns:
        None where the two go on together, the training loss does not fall either (then both get
        worse, which is not overfitting), or the fold is shorter than `MIN_EPOCHS`.
    """
    if len(monitor) < MIN_EPOCHS:
        return None
    smooth_training, smooth_monitor = smooth(training), smooth(monitor)
    lowest = min(range(len(monitor)), key=smooth_monitor.__getitem__)
    near = range(max(0, lowest - WINDOW // 2), min(len(monitor), lowest + WINDOW // 2 + 1))
    turn = min(near, key=monitor.__getitem__)
    if smooth_monitor[-1] - smooth_monitor[turn] > _detectable(monitor):
        falls = smooth_training[-1] < smooth_training[turn]
        return Departure(epoch=turn + 1, kind="rises") if falls else None
    enough = smooth_monitor[lowest] + _detectable(monitor)
    stall = next(epoch for epoch, value in enumerate(smooth_monitor) if value <= enough)
    growth = smooth_monitor[-1] - smooth_training[-1]
    growth -= smooth_monitor[stall] - smooth_training[stall]
    gap = [b - a for a, b in zip(training, monitor, strict=True)]
    fall = smooth_training[stall] - smooth_training[-1]
    if growth > _detectable(gap) and fall > _detectable(training):
        return Departure(epoch=stall + 1, kind="stalls")
    return None


def _detectable(values: Sequence[float]) -> float:
    """The smallest difference of two smoothed values that is not noise."""
    error = noise(values) * math.sqrt(2 / WINDOW)
    return max(NUM_ERRORS * error, 1e-9 * max(map(abs, values)))


def smooth(values: Sequence[float]) -> list[float]:
    """Centred moving mean over `WINDOW` epochs; at both ends the mean of the two that are there."""
    half = WINDOW // 2
    return [fmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def noise(values: Sequence[float]) -> float:
    """Standard deviation of the epochs about their trend; 0 for fewer than three.

    For independent errors of variance s^2 the distance from the middle of both neighbours has the
    variance 1.5 s^2.
    """
    residuals = [
        abs((values[i - 1] + values[i + 1]) / 2 - values[i]) for i in range(1, len(values) - 1)
    ]
    return median(residuals) / _MEDIAN_OF_NORMAL / math.sqrt(1.5) if residuals else 0.0


def _losses(score: FoldScore) -> tuple[list[float], list[float]]:
    """Both losses up to the first epoch in which one is missing or not finite."""
    pairs = zip(
        score.curves.get("train_loss", ()), score.curves.get("monitor_loss", ()), strict=False
    )
    training, monitor = [], []
    for trained, monitored in pairs:
        if not (math.isfinite(trained) and math.isfinite(monitored)):
            break
        training.append(trained)
        monitor.append(monitored)
    return training, monitor
