"""Intensification as in SMAC (Hutter, Hoos and Leyton-Brown, LION 2011), with folds as instances.

A challenger trains 1, 2, 4, ... folds and is compared with the incumbent on the folds both have,
after each doubling; it is rejected when it is worse, and becomes the incumbent when it is whole and
better. The incumbent's missing folds come before its challengers' and challengers before new
trials, so deepening starts with the first trial and never waits for all to enter. Rejected
trials wait at the very end.

It assumes that a challenger behind the incumbent on the folds both have stays behind.
"""

from __future__ import annotations

import math
from typing import Literal

from sweep.policies._base import IndexedPolicy, TrialProgress, rounded_mean
from sweep.policies._spec import PolicySpec
from sweep.records import DEFAULT_TRIAL, Event, FoldFinished


class Intensify(IndexedPolicy):
    """The incumbent, challengers, new trials, then rejected ones."""

    def __init__(
        self, *, num_trials: int, num_folds: int, pinned: int | None = DEFAULT_TRIAL
    ) -> None:
        """See `IndexedPolicy`; a pinned trial is never rejected."""
        super().__init__(num_trials=num_trials, num_folds=num_folds)
        self.pinned = pinned
        self._incumbent: int | None = None
        self._rejected: set[int] = set()

    def rank(self, trial: TrialProgress) -> tuple[float, ...]:
        """First folds, the incumbent, challengers with more folds first, rejected ones."""
        if not trial.scores:
            return (0.0,)
        if trial.number in (self._incumbent, self.pinned):
            return (1.0,)
        if trial.number not in self._rejected:
            return (2.0, -len(trial.scores), -trial.mean)
        return (3.0, -trial.mean, -len(trial.scores))

    def precedes_new(self, trial: TrialProgress) -> bool:
        """Every trial that was not rejected."""
        return trial.number not in self._rejected or trial.number == self.pinned

    def gain_left(self) -> float:
        """0 when all have entered and only rejected ones are open, else infinite."""
        if len(self._trials) < self.num_trials:
            return math.inf
        is_open = (not o.is_over and self.precedes_new(o) for o in self._trials.values())
        return math.inf if any(is_open) else 0.0

    def _observe(self, event: Event) -> None:
        """Take note; a score can reject its trial or make it the incumbent."""
        if isinstance(event, FoldFinished):
            trial = self._trials[event.trial]
            self._compare(trial, {**trial.scores, **event.revised, event.fold: event.score})
        super()._observe(event)

    def _compare(self, trial: TrialProgress, scores: dict[int, float]) -> None:
        if self._incumbent is None:
            self._incumbent = trial.number
            return
        if trial.number == self._incumbent:
            return
        incumbent = self._trials[self._incumbent]
        count = len(scores)
        is_checkpoint = count & (count - 1) == 0 or count == self.num_folds
        common = [fold for fold in scores if fold in incumbent.scores]
        if not is_checkpoint or not common:
            return
        own = rounded_mean([scores[fold] for fold in common])
        bound = rounded_mean([incumbent.scores[fold] for fold in common])
        if own < bound or own == -math.inf:
            self._rejected.add(trial.number)
        elif own > bound and count == self.num_folds:
            self._incumbent = trial.number


class IntensifySpec(PolicySpec):
    """Settings of `Intensify`."""

    name: Literal["intensify"]
    policy = Intensify
