"""What a sweep has spent: the time of every try at every fold, whatever became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from sweep.ledger.projection import DRIVER_STOPPED, Attempt, Projection

_HOUR = 3600.0
#: Prices beside what a trial takes of each, in the ledger's row of resources.
PRICES = {"price_per_gpu_hour": "gpus", "price_per_cpu_hour": "cpus"}


def hourly_price(resources: Mapping[str, float]) -> float | None:
    """Price of an hour of one trial, by what it takes; None without a price of any of that."""
    return (
        sum(resources.get(name, 0.0) * resources.get(of, 0.0) for name, of in PRICES.items())
        or None
    )


def spent_money(projection: Projection, now: datetime | None = None) -> float | None:
    """Price of all attempts at all folds, at the prices of the last driver; None without any.

    Machines that wait, and the one that the driver runs on, are not in it.
    """
    price = hourly_price(projection.resources)
    return None if price is None else price * attempt_seconds(projection, now) / _HOUR


def attempt_seconds(projection: Projection, now: datetime | None = None) -> float:
    """Time of all attempts at all folds, lost ones and running ones included.

    Where a driver died, the end of what ran was noted by the next one, which may have come days
    later: such a try counts with its epochs, as long as those of the finished folds took.

    Args:
        projection: Projection of the sweep.
        now: End of what still runs; the present if None.
    """
    now = now or datetime.now(UTC)
    pace = _epoch_seconds(projection)
    total = 0.0
    for trial in projection.trials:
        for attempt in trial.log:
            seconds = _elapsed(attempt, now)
            if attempt.reason == DRIVER_STOPPED:
                num_epochs = len(trial.epochs.get(attempt.fold, {}))
                seconds = min(seconds, num_epochs * pace) if num_epochs else 0.0
            total += seconds
    return total


def _elapsed(attempt: Attempt, now: datetime) -> float:
    """From its start to its end; a clock that went backward takes no time off."""
    end = now if attempt.ended_at is None else datetime.fromisoformat(attempt.ended_at)
    return max(0.0, (end - datetime.fromisoformat(attempt.started_at)).total_seconds())


def _epoch_seconds(projection: Projection) -> float:
    """Mean time of an epoch of the finished folds; infinite before the first."""
    folds = [fold for trial in projection.trials for fold in trial.folds.values()]
    num_epochs = sum(fold.num_epochs for fold in folds)
    return math.fsum(fold.seconds for fold in folds) / num_epochs if num_epochs else math.inf
