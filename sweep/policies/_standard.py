"""Standard order: what a search without a fold policy does, and the measure of the others."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sweep.policies._base import CandidateState, IndexedPolicy
from sweep.policies._spec import PolicySpec


class Standard(IndexedPolicy):
    """Each candidate trains all its folds in order, candidates in the order of proposal."""

    def rank(self, candidate: CandidateState) -> tuple[float, ...]:
        """Candidates in order."""
        return (candidate.number,)

    def precedes_new(self, candidate: CandidateState) -> bool:
        """A candidate that was begun is always finished first."""
        return True


class StandardSpec(PolicySpec):
    """Settings of `Standard`, which no count of completions ends by itself."""

    name: Literal["standard"]
    num_completions: int | None = Field(default=None, ge=1)
    policy = Standard
