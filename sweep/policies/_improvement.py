"""Expected improvement of the best mean per missing fold of each trial.

Two models are asked and their answers averaged: one that knows the hyperparameters, so that
neighbours lend each other strength, and one that does not, because the first is overconfident where
neighbours differ for reasons it cannot see.

Expected improvement: Jones, Schonlau and Welch, Efficient Global Optimization, 1998.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sweep.policies._base import TrialProgress
from sweep.policies._fold_model import FoldModel, Variances
from sweep.records import FoldFinished
from sweep.util.blas import one_blas_thread

#: Steps of learning the variances, at first and when there are more scores.
_FIRST_STEPS, _NEXT_STEPS = 50, 16


class ImprovementModel:
    """Two models of some trials' scores, and the improvement that they expect on average."""

    def __init__(self, *, num_trials: int, num_folds: int) -> None:
        """Without a model yet.

        Args:
            num_trials: Trials in all, at least 1.
            num_folds: Folds of a complete trial, at least 1.
        """
        self._num_trials, self._num_folds = num_trials, num_folds
        self._models: list[FoldModel] = []
        self._rows: dict[int, int] = {}
        # With and without hyperparameters.
        self._variances = [
            Variances(),
            Variances(shared=0.05, shared_fold=0.02, own=0.5, noise=0.3),
        ]

    def __bool__(self) -> bool:
        """Whether there is a model."""
        return bool(self._models)

    def __contains__(self, number: object) -> bool:
        """Whether a trial is modelled."""
        return number in self._rows

    @property
    def scale(self) -> float:
        """Standard deviation of the trials' first scores, the hopeless lifted."""
        return self._models[0].scale

    @property
    def noise(self) -> float:
        """Standard deviation of what one trial's folds do not share with another's, in `scale`."""
        variances = [model.variances.noise + model.variances.shared_fold for model in self._models]
        return math.sqrt(float(np.mean(variances)))

    def build(
        self,
        trials: Sequence[TrialProgress],
        parameters: Mapping[int, Mapping[str, object]],
        *,
        learn: bool,
    ) -> set[int]:
        """Model these trials, with all their scores.

        Args:
            trials: Trials, at least two of them with a score.
            parameters: Their hyperparameters, by number.
            learn: Whether the variances are learned anew.

        Returns:
            Numbers of trials that are not modelled any more.
        """
        left = self._rows.keys() - {trial.number for trial in trials}
        self._rows = {trial.number: row for row, trial in enumerate(trials)}
        scores = {
            (self._rows[trial.number], fold): score
            for trial in trials
            for fold, score in trial.scores.items()
        }
        num_steps = 0 if not learn else _NEXT_STEPS if self._models else _FIRST_STEPS
        inputs: list[list[Mapping[str, object]]] = [
            [parameters[trial.number] for trial in trials],
            [{} for _ in trials],
        ]
        self._models = [
            FoldModel(known, self._num_folds, variances)
            for known, variances in zip(inputs, self._variances, strict=True)
        ]
        with one_blas_thread():
            for model in self._models:
                model.fit(scores, num_steps=num_steps)
        self._variances = [model.variances for model in self._models]
        return left

    def add(self, events: Iterable[FoldFinished]) -> None:
        """Take in scores of modelled trials."""
        with one_blas_thread():
            for event in events:
                for model in self._models:
                    model.add(self._rows[event.trial], event.fold, event.score)

    def expected_improvement(self, best: float) -> dict[int, float]:
        """The expected improvement of the best mean per share of the whole cost, by trial.

        Args:
            best: Sum of scores of the best complete trial. -inf while none is complete: then
                over the highest expectation, and as if all were equally uncertain, since one must
                be complete before any can be improved on.

        Returns:
            What all folds of all trials would bring if each brought as much as the trial's
            missing ones, in units of the trials' standard deviation; at least 0.
        """
        gains = np.mean([self._by(model, best) for model in self._models], axis=0)
        return dict(zip(self._rows, gains.tolist(), strict=True))

    def _by(self, model: FoldModel, best: float) -> NDArray[np.float64]:
        from scipy.special import ndtr  # 0.2 s that only this policy needs

        mean, spread = model.totals()
        target = best
        if best == -math.inf:
            spread, target = np.full_like(mean, float(mean.std())), float(mean.max())
        ahead = mean - target - 1e-6 * max(1.0, abs(target))  # a tie is no win
        spread = np.maximum(spread, 1e-12)
        z = ahead / spread
        gain = ahead * ndtr(z) + spread * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        unit = model.scale / self._num_trials  # `gain` is one of sums: `num_folds` cancels
        gains: NDArray[np.float64] = np.maximum(gain, 0.0) / (model.num_missing() * unit)
        return gains
