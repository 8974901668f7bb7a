"""The seam, and the bookkeeping that every policy needs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweep.errors import UsageError
from sweep.policies._index import RankedIndex
from sweep.records import (
    Decision,
    Event,
    FoldFinished,
    FoldLost,
    FoldPaused,
    FoldStarted,
    NewTrial,
    RunFold,
    TrialAdded,
    TrialStopped,
)


class Policy(Protocol):
    """Orders the work of a sweep; stops nothing and ends nothing."""

    def observe(self, event: Event) -> None:
        """Take note of what happened. Events come in the order of commitment."""

    def decide(self, free_slots: int) -> list[Decision]:
        """What to start now: at most `free_slots` decisions, each trial at most once.

        A query: asked twice without an event between, it answers the same. The driver carries
        out any first part of the answer and sends its events before it asks again.
        """


def pause_after(policy: Policy, number: int) -> int | None:
    """Epoch after which a running trial gives its slot back, None where the fold runs to its end.

    Only policies that have a method of that name ever say so.

    Args:
        policy: Asked.
        number: A running trial.
    """
    ask = getattr(policy, "pause_after", None)
    found: int | None = None if ask is None else ask(number)
    return found


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Where trials are compared before they have a score.

    Attributes:
        epoch: One-based epoch of the first fold.
        window: Number of epochs up to it that are averaged, at least 1.
    """

    epoch: int
    window: int

    def level(self, values: Sequence[float]) -> float:
        """What a trial is compared by; -inf if it diverged, or has no value.

        Args:
            values: Values of its epochs up to the rung, in order.
        """
        last = values[-self.window :]
        level = math.fsum(last) / len(last) if last else -math.inf
        return level if math.isfinite(level) else -math.inf


def first_rung(policy: Policy) -> Rung | None:
    """Where the policy compares trials first, None where that is by scores of whole folds.

    Only policies that have an attribute of that name ever say so.

    Args:
        policy: Asked.
    """
    found: Rung | None = getattr(policy, "first_rung", None)
    return found


def rounded_mean(scores: Collection[float]) -> float:
    """Mean to twelve digits, so that three folds of 0.7 are as good as one; -inf if one diverged.

    Args:
        scores: Scores, at least one.
    """
    if not all(map(math.isfinite, scores)):
        return -math.inf
    return float(f"{math.fsum(score / len(scores) for score in scores):.12g}")


class TrialProgress:
    """What a policy knows of one trial.

    `mean` is the running mean of the finished folds; a score that is not finite makes it the worst.
    `seconds` is what these folds took together.
    """

    __slots__ = ("is_over", "is_retry", "mean", "number", "running", "scores", "seconds")

    def __init__(self, number: int) -> None:
        self.number = number
        self.scores: dict[int, float] = {}
        self.mean = -math.inf
        self.seconds = 0.0
        self.running: int | None = None
        self.is_retry = False  # the fold that comes next was started before, and lost
        self.is_over = False

    def take(self, scores: Mapping[int, float]) -> None:
        """Add or revise scores by fold."""
        self.scores.update(scores)
        self.mean = rounded_mean(self.scores.values())

    def next_fold(self) -> int:
        """The lowest fold that is not finished."""
        fold = 0
        while fold in self.scores:
            fold += 1
        return fold


class IndexedPolicy:
    """Keeps the trials that wait for a slot in an index, ordered by `rank`.

    A subclass gives the rank (lower comes first) and whether new trials come before or after
    a rank.
    """

    def __init__(self, *, num_trials: int, num_folds: int) -> None:
        """Start with no trials.

        Args:
            num_trials: Trials to add in all, at least 1.
            num_folds: Folds of a complete trial, at least 1.

        Raises:
            UsageError: A number is below 1.
        """
        for name, value in (("num_trials", num_trials), ("num_folds", num_folds)):
            if value < 1:
                raise UsageError(f"{name}: found {value}, expected at least 1")
        self.num_trials, self.num_folds = num_trials, num_folds
        self._trials: dict[int, TrialProgress] = {}
        self._waiting = RankedIndex()
        self._stopped: set[int] = set()

    @abstractmethod
    def rank(self, trial: TrialProgress) -> tuple[float, ...]:
        """Order among waiting trials; the lower comes first."""

    @abstractmethod
    def precedes_new(self, trial: TrialProgress) -> bool:
        """Whether a waiting trial comes before trials still to be proposed."""

    def observe(self, event: Event) -> None:
        """Take note of what happened, but for late news of stopped trials; costs O(log n)."""
        if event.trial in self._stopped:
            return
        self._observe(event)
        if isinstance(event, TrialStopped):
            self._stopped.add(event.trial)

    def _observe(self, event: Event) -> None:
        if isinstance(event, TrialAdded):
            assert event.trial not in self._trials, "a trial was added twice"
            self._trials[event.trial] = TrialProgress(event.trial)
        trial = self._trials[event.trial]
        match event:
            case FoldStarted(fold=fold):
                assert trial.running is None, "two folds of one trial at once"
                trial.running, trial.is_retry = fold, False
            case FoldFinished(fold=fold, score=score, seconds=seconds, revised=revised):
                assert fold not in trial.scores, "a fold was finished twice"
                trial.running = None
                trial.seconds += seconds
                trial.take({fold: score, **revised})
                trial.is_over = trial.is_over or len(trial.scores) == self.num_folds
            case FoldLost() | FoldPaused():
                trial.running, trial.is_retry = None, True
            case TrialStopped():
                trial.running, trial.is_over = None, True
            case TrialAdded():
                pass
        if trial.running is None and not trial.is_over:
            self._waiting.put(trial.number, self.rank(trial))
        else:
            self._waiting.discard(trial.number)

    def decide(self, free_slots: int) -> list[Decision]:
        """The best waiting trials, with new ones where they belong; O(slots log n)."""
        waiting = [self._trials[number] for number in self._waiting.first(free_slots)]
        before = [trial for trial in waiting if self.precedes_new(trial)]
        after = [trial for trial in waiting if not self.precedes_new(trial)]
        num_new = max(0, min(self.num_trials - len(self._trials), free_slots - len(before)))
        decisions: list[Decision] = [_run(trial) for trial in before]
        decisions += [NewTrial() for _ in range(num_new)]
        decisions += [_run(trial) for trial in after]
        return decisions[: max(0, free_slots)]


def _run(trial: TrialProgress) -> RunFold:
    return RunFold(trial=trial.number, fold=trial.next_fold())
