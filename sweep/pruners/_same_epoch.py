"""Learning curves against each other at the same fold and the same epoch only.

It assumes that curves rank alike from the first look on, and that the monitor is like the fold.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field

from sweep.pruners._base import PrunerPair, PrunerSpec
from sweep.util.numbers import mean_or

if TYPE_CHECKING:
    from optuna.study import Study

#: Steps of a fold: step = fold * 10,000 + epoch.
_FOLD = 10_000


class SameEpochPruner(BasePruner):
    """Stops a trial that is not among the best `keep_share` of all that came to its step.

    Optuna's percentile pruner compares a trial's best value over all steps with complete trials;
    here the mean of the last few epochs of one fold meets the same mean of others at that very
    step, because a small monitor split makes single epochs noisy. Trials that were pruned earlier
    in this fold count as worse, so the share is one of all that began the fold and does not shrink
    from look to look. A step names one epoch of one fold, in this platform as in plain Optuna with
    step = fold * 10,000 + epoch.
    """

    def __init__(
        self,
        *,
        keep_share: float,
        n_startup_trials: int,
        n_warmup_steps: int,
        interval_steps: int,
        window: int = 1,
    ) -> None:
        """Set up.

        Args:
            keep_share: Share of trials that go on, in (0, 1).
            n_startup_trials: Other trials that must have come to the step, at least 1.
            n_warmup_steps: Epochs of a fold before the first look, at least 0.
            interval_steps: Epochs between looks, at least 1.
            window: Number of the fold's epochs to average over, at least 1.

        Raises:
            ValueError: A value is out of its range.
        """
        if not 0 < keep_share < 1:
            raise ValueError(f"keep_share: found {keep_share}, expected a value in (0, 1)")
        for name, value, low in (
            ("n_startup_trials", n_startup_trials, 1),
            ("n_warmup_steps", n_warmup_steps, 0),
            ("interval_steps", interval_steps, 1),
            ("window", window, 1),
        ):
            if value < low:
                raise ValueError(f"{name}: found {value}, expected at least {low}")
        self._keep_share, self._startup = keep_share, n_startup_trials
        self._warmup, self._interval, self._window = n_warmup_steps, interval_steps, window

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop, by the last values reported."""
        step = trial.last_step
        if step is None:
            return False
        epoch = step % _FOLD
        if epoch <= self._warmup or (epoch - self._warmup - 1) % self._interval:
            return False
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        own = sign * self.level(trial, step)
        others = [
            sign * self.level(other, step) if step in other.intermediate_values else math.nan
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and _has_come_to(other, step)
        ]
        if len(others) < self._startup:
            return False
        if math.isnan(own):
            return True
        num_better = sum(value > own for value in others)
        return num_better >= self._keep_share * (len(others) + 1)

    def level(self, trial: FrozenTrial, step: int) -> float:
        """Mean of the last values of the step's fold, its own among them: what is judged."""
        first = max(step - step % _FOLD + 1, step - self._window + 1)
        values = trial.intermediate_values
        known = [values[epoch] for epoch in range(first, step + 1) if epoch in values]
        return mean_or(known)


class SameEpochSpec(PrunerSpec):
    """Stops a trial that is not among the best at the same fold and epoch."""

    name: Literal["same_epoch"]
    keep_share: float = Field(default=0.5, gt=0, lt=1)
    n_startup_trials: int = Field(default=10, ge=1)
    n_warmup_steps: int = Field(default=3, ge=0)
    interval_steps: int = Field(default=1, ge=1)
    window: int = Field(default=5, ge=1)

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        return PrunerPair(epoch=SameEpochPruner(**self.model_dump(exclude={"name"})))


def _has_come_to(trial: FrozenTrial, step: int) -> bool:
    """Whether it reported the step, or was pruned in the same fold before it."""
    if step in trial.intermediate_values:
        return True
    last = trial.last_step
    stopped = trial.state is TrialState.PRUNED and last is not None
    return stopped and last is not None and last // _FOLD == step // _FOLD and last < step
