"""Standard order: what a search without a fold policy does, and the measure of the others.

It assumes nothing of trials or folds.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sweep.policies._base import IndexedPolicy, TrialProgress
from sweep.policies._spec import PolicySpec


class Standard(IndexedPolicy):
    """Each trial trains all its folds in order, trials in the order of proposal."""

    def rank(self, trial: TrialProgress) -> tuple[float, ...]:
        """Trials in order."""
        return (trial.number,)

    def precedes_new(self, trial: TrialProgress) -> bool:
        """A trial that was begun is always finished first."""
        return True


class StandardSpec(PolicySpec):
    """Settings of `Standard`, which no count of completions ends by itself."""

    name: Literal["standard"]
    num_completions: int | None = Field(default=None, ge=1)
    policy = Standard
