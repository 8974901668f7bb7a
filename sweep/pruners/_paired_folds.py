"""Stops trials that can hardly pass the best any more, by differences on the same folds.

The difference d_j = trial - best on fold j takes the fold's difficulty out. With n of k folds done,
m = k - n missing and differences that are normal and exchangeable over folds, the sum of all k has
mean k/n * sum(d) and variance s^2 * m * k / n, where s^2 is pooled over the paired differences of
all complete trials to the best and the trial's own. The trial is stopped when a Student t quantile
of that prediction stays below zero. Looks after each of k - 1 folds share `false_prune` evenly, so
a trial that would end above the best is stopped with at most that probability (Bonferroni). A trial
that diverged is stopped as soon as another is complete, and no trial is compared with it.

It assumes that differences of folds are normal, exchangeable, and equally noisy for all trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field

from sweep.pruners._base import PrunerPair, PrunerSpec, too_late
from sweep.util.numbers import all_finite

if TYPE_CHECKING:
    from optuna.study import Study


class PairedFoldPruner(BasePruner):
    """Compares a trial with the best complete one, fold by fold.

    Step = fold, value = the fold's raw score. It works in plain Optuna:
    `trial.report(score, step=fold)` and `trial.should_prune()`.
    """

    def __init__(
        self, *, num_folds: int | None = None, false_prune: float = 0.05, min_folds: int = 1
    ) -> None:
        """Set up.

        Args:
            num_folds: Folds of a whole trial, at least 1; None for as many as a complete one has.
            false_prune: Bound on the chance to stop a trial that would end above the best; (0, 1).
            min_folds: Folds before a trial can be stopped, at least 1.

        Raises:
            ValueError: A value is out of its range.
        """
        if (num_folds is not None and num_folds < 1) or min_folds < 1:
            raise ValueError(f"found num_folds {num_folds}, min_folds {min_folds}, expected >= 1")
        if not 0 < false_prune < 1:
            raise ValueError(f"false_prune: found {false_prune}, expected a value in (0, 1)")
        self._num_folds, self._min_folds = num_folds, min_folds
        self._false_prune = false_prune

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop, by the folds reported so far."""
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        num_folds = self._num_folds or max(
            (len(trial.intermediate_values) for trial in complete), default=0
        )
        complete = [
            trial
            for trial in complete
            if len(trial.intermediate_values) == num_folds > 0 and is_finite(trial)
        ]
        if not complete:
            return False
        if not is_finite(trial):  # diverged
            return True
        best = max(complete, key=lambda trial: (_mean(trial, sign), -trial.number))
        own = _differences(trial, best, sign)
        missing = num_folds - len(own)
        if len(own) < self._min_folds or missing < 1:
            return False
        others = [
            _differences(trial, best, sign) for trial in complete if trial.number != best.number
        ]
        squares = [_squares(values) for values in [*others, own]]
        freedom = sum(count for _, count in squares)
        if freedom < 1:
            return False
        spread = math.sqrt(sum(total for total, _ in squares) / freedom)
        scale = num_folds / len(own)
        level = self._false_prune / max(1, num_folds - 1)
        width = spread * math.sqrt(missing * scale) * _quantile(1 - level, freedom)
        return scale * sum(own) + width < 0


class PairedFoldsSpec(PrunerSpec):
    """Stops a trial that can hardly pass the best any more, by differences on the same folds.

    Attributes:
        false_prune: Bound on the chance to stop a trial that would end above the best.
        min_folds: Folds before a trial can be stopped.
    """

    name: Literal["paired_folds"]
    # Of sweeps that were begun when it had to be given; complete trials say it now.
    num_folds: int | None = Field(default=None, exclude=True)
    false_prune: float = Field(default=0.05, gt=0, lt=1)
    min_folds: int = Field(default=1, ge=1)

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        pruner = PairedFoldPruner(false_prune=self.false_prune, min_folds=self.min_folds)
        return PrunerPair(fold=pruner, is_paired=True)

    def refuses(self, num_folds: int) -> Iterator[tuple[str, str]]:
        """See `PrunerSpec`."""
        if self.min_folds >= num_folds:
            yield "min_folds", too_late(num_folds)


def is_finite(trial: FrozenTrial) -> bool:
    """Whether every value that was reported is a number; not so of a trial that diverged."""
    return all_finite(trial.intermediate_values.values())


def _mean(trial: FrozenTrial, sign: float) -> float:
    values = trial.intermediate_values.values()
    return sign * sum(values) / len(values)


def _differences(trial: FrozenTrial, best: FrozenTrial, sign: float) -> list[float]:
    known = best.intermediate_values
    return [
        sign * (value - known[fold])
        for fold, value in trial.intermediate_values.items()
        if fold in known
    ]


def _squares(values: list[float]) -> tuple[float, int]:
    """Sum of squares about the mean, and degrees of freedom."""
    if len(values) < 2:
        return 0.0, 0
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values), len(values) - 1


def _quantile(level: float, freedom: int) -> float:
    from scipy.stats import t  # slow to import

    return float(t.ppf(level, freedom))
