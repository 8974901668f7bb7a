"""Learning curves against each other at the same fold and the same epoch only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

if TYPE_CHECKING:
    from optuna.study import Study


class SameEpochPruner(BasePruner):
    """Stops a trial that is not among the best `keep_share` of all that reached its step.

    Optuna's percentile pruner compares a trial's best value over all steps with complete trials;
    here the value at a step meets values at that very step, of pruned and running trials too. A
    step names one epoch of one fold, in this platform as in plain Optuna with
    step = fold * 10,000 + epoch.
    """

    def __init__(
        self, *, keep_share: float, n_startup_trials: int, n_warmup_steps: int, interval_steps: int
    ) -> None:
        """Set up.

        Args:
            keep_share: Share of trials that go on at each look, in (0, 1).
            n_startup_trials: Other trials that must have reached the step, at least 1.
            n_warmup_steps: Epochs of a fold before the first look, at least 0.
            interval_steps: Epochs between looks, at least 1.

        Raises:
            ValueError: A value is out of its range.
        """
        if not 0 < keep_share < 1:
            raise ValueError(f"keep_share: found {keep_share}, expected a value in (0, 1)")
        for name, value, low in (
            ("n_startup_trials", n_startup_trials, 1),
            ("n_warmup_steps", n_warmup_steps, 0),
            ("interval_steps", interval_steps, 1),
        ):
            if value < low:
                raise ValueError(f"{name}: found {value}, expected at least {low}")
        self._keep_share, self._startup = keep_share, n_startup_trials
        self._warmup, self._interval = n_warmup_steps, interval_steps

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop, by the last value reported."""
        step = trial.last_step
        if step is None:
            return False
        epoch = step % 10_000
        if epoch <= self._warmup or (epoch - self._warmup - 1) % self._interval:
            return False
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        own = sign * trial.intermediate_values[step]
        others = [
            sign * one.intermediate_values[step]
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number and step in one.intermediate_values
        ]
        if len(others) < self._startup:
            return False
        num_better = sum(value > own for value in others)
        return num_better >= self._keep_share * (len(others) + 1)
