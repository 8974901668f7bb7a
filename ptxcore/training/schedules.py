"""Learning rates: pure functions of the step and of the values watched so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ptxcore.settings import FoldSettings
from ptxcore.training.early_stopping import EarlyStopping

#: The plateau schedule multiplies by this ...
PLATEAU_FACTOR = 0.5
#: ... whenever this share of the patience has passed without improvement, so that training is
#: slowed twice before it would be stopped.
PLATEAU_SHARE = 1 / 3
#: The cosine ends at this share of the top: the last epoch still learns.
COSINE_FLOOR = 0.01


def learning_rate(
    settings: FoldSettings, *, step: int, steps_per_epoch: int, watched: Sequence[float]
) -> float:
    """Learning rate of a step.

    Linear warm-up from 1/n to the top over the n steps of the warm-up epochs, then half a cosine
    (Loshchilov and Hutter 2017) down to `COSINE_FLOOR` over what is left of `max_epochs`, halving
    at each plateau of the watched values, or no change.

    Args:
        settings: learning_rate, schedule, warmup_epochs, max_epochs and what defines a plateau.
        step: Zero-based, over the whole fold.
        steps_per_epoch: Steps, at least 1.
        watched: The stopping metric of the epochs before this one.

    Returns:
        Above 0, at most the settings' `learning_rate` and in its unit: that of AdamW's `lr`.
    """
    warmup = settings.warmup_epochs * steps_per_epoch
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "plateau":
        return settings.learning_rate * PLATEAU_FACTOR ** num_plateaus(settings, watched)
    rest = max(1, settings.max_epochs * steps_per_epoch - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / rest)))
    return settings.learning_rate * (COSINE_FLOOR + (1 - COSINE_FLOOR) * cosine)


def num_plateaus(settings: FoldSettings, watched: Sequence[float]) -> int:
    """How often `PLATEAU_SHARE` of the patience passed without improvement.

    Args:
        settings: Settings, of which `patience`, `min_delta` and `stop_metric` count here.
        watched: The stopping metric after every finished epoch.

    Returns:
        0 or more.
    """
    if not watched:
        return 0
    wait = max(1, round(settings.patience * PLATEAU_SHARE))
    improved = EarlyStopping.of(settings).improvements(watched)
    gaps = (
        end - start - 1
        for start, end in zip(improved, [*improved[1:], len(watched) + 1], strict=True)
    )
    return sum(gap // wait for gap in gaps)
