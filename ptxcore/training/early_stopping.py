"""When to stop, and which epoch was the best: pure functions of the values watched so far.

No counters: an epoch after a resume sees exactly what it would have seen without the crash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ptxcore.errors import SettingsError
from ptxcore.metrics import CONVENTIONS, DIRECTIONS
from ptxcore.settings import FoldSettings


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Patience on one value per epoch.

    Attributes:
        patience: Epochs without improvement after which training is over.
        min_delta: A value improves when it is better than the best by more than this.
        maximize: Whether larger is better.
    """

    patience: int
    min_delta: float
    maximize: bool

    @classmethod
    def of(cls, settings: FoldSettings) -> EarlyStopping:
        """As the settings say."""
        return cls(
            patience=settings.patience,
            min_delta=settings.min_delta,
            maximize=DIRECTIONS[settings.stop_metric] == "maximize",
        )

    def improvements(self, values: Sequence[float]) -> list[int]:
        """One-based epochs with a value that improved on all before by more than `min_delta`.

        The first epoch is one of them, whatever its value. NaN never improves.

        Args:
            values: One per finished epoch, the first one first.
        """
        sign = 1.0 if self.maximize else -1.0
        best, epochs = -math.inf, []
        for epoch, value in enumerate(values, start=1):
            if epoch == 1 or sign * value > best + self.min_delta:
                epochs.append(epoch)
                best = -math.inf if math.isnan(value) else sign * value
        return epochs

    def best_epoch(self, values: Sequence[float]) -> int:
        """One-based epoch of the last improvement.

        Args:
            values: Values, as in `improvements`, at least one.
        """
        return self.improvements(values)[-1]

    def is_over(self, values: Sequence[float]) -> bool:
        """Whether `patience` epochs have passed since the last improvement."""
        return bool(values) and len(values) - self.best_epoch(values) >= self.patience


def check_watched(metric: str, value: float) -> None:
    """Refuse to watch what the monitor's cases do not have; asked after the first epoch.

    NaN never improves, so that the first epoch would be kept whatever came after it.

    Args:
        metric: One of `DIRECTIONS`.
        value: Value after the first epoch.

    Raises:
        SettingsError: It is NaN, as every metric is that has no case to speak of.
    """
    if math.isnan(value):
        raise SettingsError(
            f"stop_metric: found {metric!r}, NaN after the first epoch, expected a metric that the "
            f"monitor's cases have ({CONVENTIONS[metric]})"
        )
