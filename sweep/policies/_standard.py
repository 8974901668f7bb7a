"""Standard order: what a search without a fold policy does, and the measure of the others."""

from __future__ import annotations

from sweep.policies._base import IndexedPolicy, Progress


class Standard(IndexedPolicy):
    """Each candidate trains all its folds in order, candidates in the order of proposal."""

    def rank(self, progress: Progress) -> tuple[float, ...]:
        """Candidates in order."""
        return (progress.number,)

    def precedes_new(self, progress: Progress) -> bool:
        """A candidate that was begun is always finished first."""
        return True
