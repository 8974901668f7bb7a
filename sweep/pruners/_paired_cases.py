"""Stops trials that can hardly pass the best any more, by differences on the same held cases.

A pruner for plain Optuna, where a trial reports each held case as a step of its own. A fold holds
dozens of paired differences, so that one fold says how noisy it is, which `PairedFoldPruner` has to
learn from several. What cases cannot say is that two trainings of one configuration differ: the
variance of a fold's mean difference is that over its cases, times how much more the folds of
complete trials differ than their cases say (at least 1; 7 while one trial is complete, since real
networks showed 2.9 to 6.6, small learners 1 to 2.7). The rest is as in `PairedFoldPruner`: a
Student t quantile of the predicted mean over all folds, and looks after each of k - 1 folds that
share `false_prune` evenly.

It assumes that folds are exchangeable, that differences of folds are about normal, and that a
trial's mean over folds is what counts. In replays it costs more than a first wave at the same
regret, so no search space names it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.pruners._paired_folds import is_finite

if TYPE_CHECKING:
    from optuna.study import Study

#: How much more folds differ than their cases say, before complete trials show it.
_UNKNOWN_EXCESS = 7.0

Floats = NDArray[np.float64]


class PairedCasePruner(BasePruner):
    """Compares a trial with the best complete one, case by case.

    Step = index of the case, value = its score. In plain Optuna, after each fold:
    `trial.report(score, step=case)` for its cases, then `trial.should_prune()`. Cases of a fold
    that is not reported whole are not looked at yet.
    """

    def __init__(
        self, *, case_folds: Sequence[int], false_prune: float = 0.05, min_folds: int = 1
    ) -> None:
        """Set up.

        Args:
            case_folds: Fold that holds each case, by index; each fold from 0 on has two at least.
            false_prune: Bound on the chance to stop a trial that would end above the best; (0, 1).
            min_folds: Folds before a trial can be stopped, at least 1.

        Raises:
            ValueError: A value is out of its range.
        """
        self._folds = [np.flatnonzero(np.equal(case_folds, fold)) for fold in sorted({*case_folds})]
        if not self._folds or min(map(len, self._folds)) < 2:
            raise ValueError("case_folds: expected two cases at least in every fold")
        if not 0 < false_prune < 1:
            raise ValueError(f"false_prune: found {false_prune}, expected a value in (0, 1)")
        if min_folds < 1:
            raise ValueError(f"min_folds: found {min_folds}, expected at least 1")
        self._num_cases = len(case_folds)
        self._false_prune, self._min_folds = false_prune, min_folds

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop, by the folds reported so far."""
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        complete = [
            other
            for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len(other.intermediate_values) == self._num_cases and is_finite(other)
        ]
        if not complete:
            return False
        if not is_finite(trial):  # diverged
            return True
        values = [sign * self._cases(other) for other in complete]
        best = max(values, key=self._mean)
        own = self._differences(sign * self._cases(trial), best)
        missing = len(self._folds) - len(own)
        if len(own) < self._min_folds or missing < 1:
            return False
        others = [self._differences(other, best) for other in values if other is not best]
        variance, freedom = _variance_of_a_fold([*others, own])
        level = self._false_prune / (len(self._folds) - 1)
        share = len(own) / len(self._folds)
        expected = sum(float(fold.mean()) for fold in own) / share
        width = math.sqrt(variance * missing / share) * _quantile(1 - level, freedom)
        return expected + width < 0

    def _cases(self, trial: FrozenTrial) -> Floats:
        known = trial.intermediate_values
        return np.array([known.get(case, math.nan) for case in range(self._num_cases)])

    def _mean(self, cases: Floats) -> float:
        return float(np.mean([cases[fold].mean() for fold in self._folds]))

    def _differences(self, cases: Floats, best: Floats) -> list[Floats]:
        """To the best, of each whole fold."""
        differences = cases - best
        return [d for fold in self._folds if not np.isnan(d := differences[fold]).any()]


def _variance_of_a_fold(trials: list[list[Floats]]) -> tuple[float, int]:
    """Variance of the mean difference on a fold, and its degrees of freedom.

    Args:
        trials: Differences by case of each fold of each trial; the judged trial comes last.
    """
    folds = [fold for trial in trials for fold in trial]
    by_cases = float(np.mean([fold.var(ddof=1) / len(fold) for fold in folds]))
    num_cases = sum(len(fold) - 1 for fold in folds)
    squares, freedom = 0.0, 0
    for means in ([float(fold.mean()) for fold in trial] for trial in trials):
        squares += float(np.sum((np.array(means) - np.mean(means)) ** 2))
        freedom += len(means) - 1
    if len(trials) < 2 or freedom < 1:  # no complete trial but the best
        return by_cases * _UNKNOWN_EXCESS, num_cases
    if squares / freedom <= by_cases:
        return by_cases, num_cases
    return squares / freedom, freedom


def _quantile(level: float, freedom: int) -> float:
    from scipy.stats import t  # slow to import

    return float(t.ppf(level, freedom))
