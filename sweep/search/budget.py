"""How long a sweep may take: the user's limit, which no search can know."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.errors import UsageError

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Ends a sweep; None means no limit.

    Attributes:
        hours: Since this driver began.
        gpu_hours: GPUs of a trial times the time of all its attempts, since the sweep began.

    Raises:
        UsageError: A limit is not above 0.
    """

    hours: float | None = None
    gpu_hours: float | None = None

    def __post_init__(self) -> None:
        for name in ("hours", "gpu_hours"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name}: found {value!r}, expected a number above 0")

    def check(self, gpus: float) -> None:
        """Make sure that every limit can be reached.

        Args:
            gpus: GPUs of one trial.

        Raises:
            UsageError: A limit of GPU hours, but trials take none: it would never end the sweep.
        """
        if self.gpu_hours is not None and gpus <= 0:
            raise UsageError(
                f"gpu_hours: found {self.gpu_hours:g}, but trials take no GPU here, so that it "
                "would never be used; give --hours instead"
            )

    def used_up(self, elapsed_seconds: float, gpu_seconds: float) -> str | None:
        """Why the sweep must end now, None while it need not.

        Args:
            elapsed_seconds: Since this driver began.
            gpu_seconds: GPU seconds of all attempts.
        """
        if self.hours is not None and elapsed_seconds >= self.hours * _HOUR:
            return f"the budget of {self.hours:g} h is used"
        if self.gpu_hours is not None and gpu_seconds >= self.gpu_hours * _HOUR:
            return f"the budget of {self.gpu_hours:g} GPU hours is used"
        return None
