"""The incumbent: the candidate that would win if the sweep ended now."""

from __future__ import annotations

import math


class IncumbentTracker:
    """The mean of every candidate, and which leads: complete before partial, then the better mean.

    Attributes:
        leader: Number of the leading candidate; -1 while none has finite scores only.
    """

    def __init__(self, num_folds: int) -> None:
        """Start without candidates.

        Args:
            num_folds: Folds of a complete candidate.
        """
        self.leader = -1
        self._num_folds = num_folds
        self._done: list[int] = []
        self._sums: list[float] = []

    def __len__(self) -> int:
        """How many candidates there are."""
        return len(self._done)

    def add(self) -> None:
        """The next candidate entered."""
        self._done.append(0)
        self._sums.append(0.0)

    def is_complete(self, candidate: int) -> bool:
        """Whether a candidate has all folds."""
        return self._done[candidate] == self._num_folds

    def score(self, candidate: int, score: float) -> None:
        """A fold was scored; a score that is not finite takes the candidate out for good."""
        before = self._standing(candidate)
        self._done[candidate] += 1
        self._sums[candidate] += score if math.isfinite(score) else -math.inf
        now = self._standing(candidate)
        if candidate == self.leader and now < before:
            # It led with some of its folds, so none is complete unless it is.
            self.leader = max(range(len(self)), key=self._standing)
            if self._standing(self.leader)[1] == -math.inf:
                self.leader = -1
        elif now > self._standing(self.leader):
            self.leader = candidate

    def _standing(self, candidate: int) -> tuple[bool, float]:
        if candidate < 0 or not self._done[candidate]:
            return (False, -math.inf)
        mean = self._sums[candidate] / self._done[candidate]
        return (self.is_complete(candidate) and mean > -math.inf, mean)
