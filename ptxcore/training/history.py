"""What every epoch of a fold gave: the only state of a fold beside its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptxcore.types import EpochReport


@dataclass(frozen=True, kw_only=True)
class History:
    """Finished epochs, the first one first.

    Attributes:
        reports: Without a result.
    """

    reports: tuple[EpochReport, ...] = ()

    @property
    def num_epochs(self) -> int:
        """Finished epochs."""
        return len(self.reports)

    @property
    def num_parts(self) -> int:
        """Parts that batches were split into at last."""
        return self.reports[-1].num_parts if self.reports else 1

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(report.seconds for report in self.reports)

    def watched(self, metric: str) -> list[float]:
        """The monitor's value of a metric at each epoch.

        Args:
            metric: Name of the metric in `EpochReport.monitor`.

        Raises:
            KeyError: The monitor does not measure it.
        """
        return [report.monitor[metric] for report in self.reports]

    def and_then(self, report: EpochReport) -> History:
        """One epoch more.

        Args:
            report: Report of the epoch after the last one, without a result.

        Returns:
            A new history; this one stays as it is.
        """
        return History(reports=(*self.reports, report))

    def curves(self) -> dict[str, tuple[float, ...]]:
        """One value per epoch by name, as in `FoldResult`."""
        if not self.reports:
            return {}
        curves = {
            name: tuple(getattr(report, name) for report in self.reports)
            for name in ("train_loss", "learning_rate", "seconds")
        }
        if self.num_parts > 1:
            curves["num_parts"] = tuple(report.num_parts for report in self.reports)
        for metric in self.reports[0].monitor:
            curves[f"monitor_{metric}"] = tuple(self.watched(metric))
        return curves

    @classmethod
    def of_curves(cls, fold: int, curves: Mapping[str, Any]) -> History:
        """The inverse of `curves`; JSON keeps every float exactly.

        Args:
            fold: Zero-based.
            curves: One value per epoch by name; no epoch where they are empty.

        Raises:
            KeyError: A curve that every history has is not there.
        """
        parts = curves.get("num_parts")
        monitors = {name for name in curves if name.startswith("monitor_")}
        return cls(
            reports=tuple(
                EpochReport(
                    fold=fold,
                    epoch=number + 1,
                    train_loss=curves["train_loss"][number],
                    learning_rate=curves["learning_rate"][number],
                    monitor={
                        name.removeprefix("monitor_"): curves[name][number]
                        for name in sorted(monitors)
                    },
                    seconds=curves["seconds"][number],
                    num_parts=int(parts[number]) if parts else 1,
                )
                for number in range(len(curves.get("seconds", ())))
            )
        )
