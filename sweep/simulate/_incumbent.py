"""The incumbent: the trial that would win if the sweep ended now."""

from __future__ import annotations

import math


class IncumbentTracker:
    """The mean of every trial, and which leads: complete before partial, then the better mean.

    Attributes:
        leader: Number of the leading trial; -1 while none has finite scores only.
    """

    def __init__(self, num_folds: int) -> None:
        """Start without trials.

        Args:
            num_folds: Folds of a complete trial.
        """
        self.leader = -1
        self._num_folds = num_folds
        self._done: list[int] = []
        self._sums: list[float] = []

    def __len__(self) -> int:
        """How many trials there are."""
        return len(self._done)

    def add(self) -> None:
        """The next trial entered."""
        self._done.append(0)
        self._sums.append(0.0)

    def is_complete(self, number: int) -> bool:
        """Whether a trial has all folds."""
        return self._done[number] == self._num_folds

    def score(self, number: int, score: float) -> None:
        """A fold was scored; a score that is not finite takes the trial out for good."""
        before = self._standing(number)
        self._done[number] += 1
        self._sums[number] += score if math.isfinite(score) else -math.inf
        now = self._standing(number)
        if number == self.leader and now < before:
            # It led with some of its folds, so none is complete unless it is.
            self.leader = max(range(len(self)), key=self._standing)
            if self._standing(self.leader)[1] == -math.inf:
                self.leader = -1
        elif now > self._standing(self.leader):
            self.leader = number

    def _standing(self, number: int) -> tuple[bool, float]:
        if number < 0 or not self._done[number]:
            return (False, -math.inf)
        mean = self._sums[number] / self._done[number]
        return (self.is_complete(number) and mean > -math.inf, mean)
