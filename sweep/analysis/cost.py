"""What a sweep takes of the machines, and of the money where their price is known."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.ledger.projection import Projection
from sweep.ledger.spent import attempt_seconds, hourly_price

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a sweep takes of the machines.

    Attributes:
        unit: "GPU" or "CPU".
        hours: Spent by all tries at all folds, times what a trial takes.
        hours_left: Likewise of the folds that are still expected; None where that is not known.
        price: What those tries cost, at the prices of the last driver; None without any.
        price_left: Likewise of the folds that are still expected; None where one is not known.
        max_cost: Where that ends the sweep; None without such a limit.
    """

    unit: str
    hours: float
    hours_left: float | None = None
    price: float | None = None
    price_left: float | None = None
    max_cost: float | None = None

    @property
    def money(self) -> str | None:
        """Price and limit in words; None without a price."""
        if self.price is None:
            return None
        return f"{self.price:,.2f}" + (f" of {self.max_cost:,.2f}" if self.max_cost else "")


def cost_of(projection: Projection, seconds_left: float | None = None) -> Cost | None:
    """Hours of all tries times what a trial takes; without a word of that, one GPU or one CPU.

    Args:
        projection: Projection of the sweep.
        seconds_left: Time of the folds that are still expected, one after the other; None where
            that is not known.

    Returns:
        None before the first fold was begun, and where the ledger's times cannot be read.
    """
    if not any(trial.log for trial in projection.trials):
        return None
    taken = projection.resources
    gpus = taken.get("gpus", 0.0)
    if not taken and (projection.header.runtime or {}).get("device") == "cuda":
        gpus = 1.0
    per_trial = gpus or taken.get("cpus", 1.0)
    try:
        seconds, price = attempt_seconds(projection), hourly_price(taken)
    except (TypeError, ValueError):  # what was not written by us
        return None
    left = None if seconds_left is None else seconds_left / _HOUR
    return Cost(
        unit="GPU" if gpus else "CPU",
        hours=seconds * per_trial / _HOUR,
        hours_left=None if left is None else left * per_trial,
        price=None if price is None else seconds * price / _HOUR,
        price_left=None if price is None or left is None else left * price,
        max_cost=taken.get("max_cost"),
    )


def sentence(cost: Cost) -> str | None:
    """Price and hours in one sentence; None without a price."""
    if cost.money is None:
        return None
    return f"cost: {cost.money}, by {cost.hours:,.2f} {cost.unit} hours of trials"
