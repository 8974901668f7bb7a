"""The gain below which a fold is not worth it, in the unit in which a search space gives it.

Gains are expected improvements of the best mean per missing fold, times the number of all folds of
all trials. Three units: the trials' spread; the error of a mean over all folds (Nadeau and Bengio,
Inference for the Generalization Error, Machine Learning 52, 2003), so that near-equal trials end it
soon, but no less than a share of the spread, since where folds say nearly all there is no price
left; and the metric per hour of training.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from sweep.errors import UsageError

Unit = Literal["spread", "error", "hour"]

_SECONDS_PER_HOUR = 3600.0
#: An error counts as so many spreads at least.
_LEAST_ERROR = 0.6
_WRITTEN = re.compile(
    r"(?P<value>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?) "
    r"(?:(?P<error>errors?)|(?:(?P<metric>\w+) )?per "
    r"(?:gpu_)?hour)"
)
FORMS = "a number above 0, 'NUMBER errors', 'NUMBER per hour' or 'NUMBER METRIC per hour'"


@dataclass(frozen=True, kw_only=True)
class LeastGain:
    """A gain and its unit.

    Attributes:
        value: Above 0, or 0 for any gain.
        unit: `spread`: standard deviations of the trials' first scores. `error`: standard errors of
            a mean over all folds, of what it does not share with others. `hour`: the metric's, per
            hour of training.
        metric: The metric that `hour` names, if it does.
    """

    value: float
    unit: Unit = "spread"
    metric: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.value < math.inf:
            raise UsageError(f"min_gain: found {self.value}, expected at least 0")
        assert self.unit in get_args(Unit)

    def __str__(self) -> str:
        match self.unit:
            case "spread":
                return f"{self.value:g}"
            case "error":
                return f"{self.value:g} errors"
            case "hour":
                return " ".join(filter(None, (f"{self.value:g}", self.metric, "per hour")))

    def in_spreads(
        self, *, scale: float, noise: float, num_trials: int, num_folds: int, seconds: float
    ) -> float:
        """The same in the unit of gains.

        Args:
            scale: The trials' spread, in the metric's unit.
            noise: Standard deviation of what folds of one trial do not share with those of others,
                in spreads.
            num_trials: Trials in all.
            num_folds: Folds of a complete trial.
            seconds: Mean training time of a fold.
        """
        match self.unit:
            case "spread":
                return self.value
            case "error":
                return self.value * max(_LEAST_ERROR, noise * corrected(num_folds))
            case "hour":
                worth = self.value * seconds / _SECONDS_PER_HOUR * num_trials * num_folds
                return worth / scale


def corrected(num_folds: int) -> float:
    """Standard error of a mean over folds that share training cases, in those of one fold.

    sqrt(1/k + 1/(k - 1)): the second is test over training cases. One fold has no such share.
    """
    return 1.0 if num_folds < 2 else math.sqrt(1 / num_folds + 1 / (num_folds - 1))


def least_gain(given: float | str) -> LeastGain:
    """What a search space or a command line gives.

    Raises:
        UsageError: It is none of the forms.
    """
    if not isinstance(given, str):
        return LeastGain(value=given)
    try:
        return LeastGain(value=float(given))
    except ValueError:
        pass
    if (found := _WRITTEN.fullmatch(given.strip())) is None:
        raise UsageError(f"min_gain: found {given!r}, expected {FORMS}")
    unit: Unit = "error" if found["error"] else "hour"
    return LeastGain(value=float(found["value"]), unit=unit, metric=found["metric"])
