"""Successive halving over folds, and greedy cross-validation inside it.

Rung r holds trials with `depths[r]` finished folds (1, 2, 4, ... k). Of all that reached a
rung the best 1 / `factor` go on (Jamieson and Talwalkar, AISTATS 2016); the others keep waiting
behind, by their mean, so that a sweep without a stop rule still comes to an end.

`GreedyHalving` (after Soper, Algorithms 2022) takes the best running mean first inside a rung and
decides the rung as soon as as many members have arrived as may go on.

Both assume that the best trial is among the better 1 / `factor` by mean at every rung, on the same
folds for all.
"""

from __future__ import annotations

import math
from typing import Literal

from sweep.errors import UsageError
from sweep.policies._base import IndexedPolicy, TrialProgress
from sweep.policies._spec import PolicySpec
from sweep.records import DEFAULT_TRIAL, Event, FoldFinished, TrialAdded, TrialStopped


def depths(num_folds: int, factor: int) -> tuple[int, ...]:
    """Finished folds at each rung: powers of the factor below k, then k, in whole numbers."""
    found, depth = [], 1
    while depth < num_folds:
        found.append(depth)
        depth *= factor
    return (*found, num_folds)


class Halving(IndexedPolicy):
    """First folds of all, then the better half of every rung."""

    is_greedy = False

    def __init__(
        self,
        *,
        num_trials: int,
        num_folds: int,
        factor: int = 2,
        pinned: int | None = DEFAULT_TRIAL,
    ) -> None:
        """See `IndexedPolicy`.

        Args:
            num_trials: Trials in all.
            num_folds: Folds of a complete trial.
            factor: One in `factor` of the trials that reach a rung goes on; at least 2.
            pinned: Number of a trial that is always completed, right after the first folds.

        Raises:
            UsageError: A number is too low.
        """
        super().__init__(num_trials=num_trials, num_folds=num_folds)
        if factor < 2:
            raise UsageError(f"factor: found {factor}, expected at least 2")
        self.factor, self.pinned = factor, pinned
        self._depths = depths(num_folds, factor)
        self._rung = 0
        self._members: set[int] = set()  # may have folds up to the rung's depth
        self._arrived: set[int] = set()  # members that have them, or are over
        self._is_decided = False

    def rank(self, trial: TrialProgress) -> tuple[float, ...]:
        """First folds, the pinned trial, members of the rung, the others."""
        if not trial.scores:
            return (0.0,)
        if trial.number == self.pinned:
            return (1.0,)
        if trial.number in self._members and trial.number not in self._arrived:
            order = 0.0 if self.is_greedy else float(len(trial.scores))
            return (2.0, order, -trial.mean)
        return (3.0, -trial.mean, -len(trial.scores))

    def precedes_new(self, trial: TrialProgress) -> bool:
        """Only a trial with a lost first fold."""
        return not trial.scores

    def gain_left(self) -> float:
        """0 when the last rung is decided, else infinite."""
        return 0.0 if self._is_decided else math.inf

    def _observe(self, event: Event) -> None:
        """Take note; decides a rung when enough members have arrived."""
        if isinstance(event, TrialAdded):
            self._members.add(event.trial)
        if isinstance(event, FoldFinished | TrialStopped):
            # Before the index asks for a rank.
            done = len(self._trials[event.trial].scores) + isinstance(event, FoldFinished)
            is_over = isinstance(event, TrialStopped)
            if event.trial in self._members and (is_over or done >= self._depths[self._rung]):
                self._arrived.add(event.trial)
        super()._observe(event)
        while not self._is_decided and self._is_rung_full():
            self._climb()

    def _is_rung_full(self) -> bool:
        if self._rung == 0:
            return len(self._arrived) == self.num_trials
        wanted = self._num_kept() if self.is_greedy else len(self._members)
        return len(self._arrived) >= min(wanted, len(self._members))

    def _num_kept(self) -> int:
        return -(-len(self._members) // self.factor)

    def _climb(self) -> None:
        """The best part of the arrived members goes on to the next rung."""
        if self._rung == len(self._depths) - 1:
            self._is_decided = True
            old, self._members = self._members, set()
        else:
            alive = [self._trials[n] for n in self._arrived if self._trials[n].scores]
            alive.sort(key=lambda trial: (-trial.mean, trial.number))
            self._rung += 1
            old, kept = self._members, alive[: self._num_kept()]
            self._members = {trial.number for trial in kept}
            depth = self._depths[self._rung]
            self._arrived = {o.number for o in kept if o.is_over or len(o.scores) >= depth}
        for number in old:
            trial = self._trials[number]
            if trial.running is None and not trial.is_over:
                self._waiting.put(number, self.rank(trial))


class GreedyHalving(Halving):
    """Best mean first inside a rung, which is decided once enough have arrived."""

    is_greedy = True


class HalvingSpec(PolicySpec):
    """Settings of `Halving`."""

    name: Literal["halving"]
    policy = Halving


class GreedyHalvingSpec(PolicySpec):
    """Settings of `GreedyHalving`."""

    name: Literal["greedy_halving"]
    policy = GreedyHalving
