"""How long a sweep may take and what it may cost: the user's limit, which no search can know."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from sweep.errors import UsageError

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Ends a sweep; None means no limit.

    Attributes:
        hours: Since this driver began.
        gpu_hours: GPUs of a trial times the time of all its attempts, since the sweep began.
        max_cost: Price of all attempts at all folds, since the sweep began.
        price_per_gpu_hour: Price of one GPU's hour, in any currency.
        price_per_cpu_hour: Price of one CPU's hour, in the same one.

    Raises:
        UsageError: A limit or a price is not above 0, or a cost has no price.
    """

    hours: float | None = None
    gpu_hours: float | None = None
    max_cost: float | None = None
    price_per_gpu_hour: float | None = None
    price_per_cpu_hour: float | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{one.name}: found {value!r}, expected a finite number above 0")
        if self.max_cost is not None and not self.prices:
            raise UsageError(
                f"max_cost: found {self.max_cost:g} without a price; give --price-per-gpu-hour or "
                "--price-per-cpu-hour"
            )

    @property
    def prices(self) -> dict[str, float]:
        """Those that were given, by name."""
        found = {name: getattr(self, name) for name in ("price_per_gpu_hour", "price_per_cpu_hour")}
        return {name: price for name, price in found.items() if price is not None}

    def check(self, gpus: float) -> None:
        """Make sure that every limit can be reached.

        Args:
            gpus: GPUs of one trial.

        Raises:
            UsageError: A limit of GPU hours, or a cost by GPUs alone, but trials take none: it
                would never end the sweep.
        """
        if gpus > 0:
            return
        if self.gpu_hours is not None:
            raise UsageError(
                f"gpu_hours: found {self.gpu_hours:g}, but trials take no GPU here, so that it "
                "would never be used; give --hours instead"
            )
        if self.max_cost is not None and self.price_per_cpu_hour is None:
            raise UsageError(
                f"max_cost: found {self.max_cost:g} by GPU hours alone, but trials take no GPU "
                "here, so that it would never be used; give --price-per-cpu-hour"
            )

    def used_up(self, elapsed_seconds: float, gpu_seconds: float, cost: float = 0.0) -> str | None:
        """Why the sweep must end now, None while it need not.

        Args:
            elapsed_seconds: Since this driver began.
            gpu_seconds: GPU seconds of all attempts.
            cost: Price of all attempts.
        """
        if self.hours is not None and elapsed_seconds >= self.hours * _HOUR:
            return f"the budget of {self.hours:g} h is used"
        if self.gpu_hours is not None and gpu_seconds >= self.gpu_hours * _HOUR:
            return f"the budget of {self.gpu_hours:g} GPU hours is used"
        if self.max_cost is not None and cost >= self.max_cost:
            return f"the budget of {self.max_cost:g} is used: {cost:.2f} spent"
        return None
