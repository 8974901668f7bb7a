"""A policy in one file, as somebody outside of the package would add it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sweep.policies import IndexedPolicy, PolicySpec
from sweep.policies._base import TrialProgress


class EveryNth(IndexedPolicy):
    """One fold for all, then all folds of each `stride`-th trial, then the rest."""

    def __init__(self, *, num_trials: int, num_folds: int, stride: int) -> None:
        super().__init__(num_trials=num_trials, num_folds=num_folds)
        self.stride = stride

    def rank(self, trial: TrialProgress) -> tuple[float, ...]:
        return (bool(trial.scores), trial.number % self.stride, trial.number)

    def precedes_new(self, trial: TrialProgress) -> bool:
        return not trial.scores


class EveryNthSpec(PolicySpec):
    """Settings of `EveryNth`."""

    name: Literal["every_nth"]
    stride: int = Field(default=2, ge=1)
    policy = EveryNth
