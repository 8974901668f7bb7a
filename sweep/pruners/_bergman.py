"""Early stopping of cross-validation (Bergman, Purucker and Hutter, AutoML 2024).

It assumes folds that are about equally hard: means over different folds are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.pruners._base import PrunerPair, PrunerSpec
from sweep.pruners._paired_folds import is_finite

if TYPE_CHECKING:
    from optuna.study import Study


class BergmanPruner(BasePruner):
    """Stops a trial with a mean so far that is not above a bound taken from the best complete
    trial.

    Step = fold, value = the fold's score. The aggressive bound is the best trial's mean, the
    forgiving one its worst fold. The aggressive rule may stop the best configuration for one
    unlucky fold; the paper found it unreliable.
    """

    def __init__(self, *, is_forgiving: bool) -> None:
        self._is_forgiving = is_forgiving

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop, by the folds reported so far."""
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        own = [sign * value for value in trial.intermediate_values.values()]
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        complete = [trial for trial in complete if trial.intermediate_values and is_finite(trial)]
        if not own or not complete:
            return False
        if not is_finite(trial):  # diverged
            return True
        best = max(complete, key=lambda trial: (sign * float(trial.value or 0.0), -trial.number))
        folds = [sign * value for value in best.intermediate_values.values()]
        bound = min(folds) if self._is_forgiving else sum(folds) / len(folds)
        return sum(own) / len(own) <= bound


class BergmanAggressiveSpec(PrunerSpec):
    """Stops a trial with a running mean not above the mean of the best complete one."""

    name: Literal["bergman_aggressive"]

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        return PrunerPair(fold=BergmanPruner(is_forgiving=False), is_paired=True)


class BergmanForgivingSpec(PrunerSpec):
    """Stops a trial with a running mean not above the worst fold of the best complete one."""

    name: Literal["bergman_forgiving"]

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        return PrunerPair(fold=BergmanPruner(is_forgiving=True), is_paired=True)
