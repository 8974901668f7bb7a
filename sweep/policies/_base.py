"""The seam, and the bookkeeping that every policy needs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Protocol

from sweep.errors import UsageError
from sweep.policies._index import RankedIndex
from sweep.records import (
    CandidateAdded,
    CandidateStopped,
    Decision,
    Event,
    FoldFinished,
    FoldLost,
    FoldStarted,
    NewCandidate,
    RunFold,
)


class Policy(Protocol):
    """Orders the work of a sweep; stops nothing and ends nothing."""

    def observe(self, event: Event) -> None:
        """Take note of what happened. Events come in the order of commitment."""

    def decide(self, free_slots: int) -> list[Decision]:
        """What to start now: at most `free_slots` decisions, each candidate at most once.

        A query: asked twice without an event between, it answers the same. The driver carries
        out any first part of the answer and sends its events before it asks again.
        """


def settled_mean(scores: Collection[float]) -> float:
    """Mean to twelve digits, so that three folds of 0.7 are as good as one; -inf if one diverged.

    Args:
        scores: At least one.
    """
    if not all(map(math.isfinite, scores)):
        return -math.inf
    return float(f"{math.fsum(score / len(scores) for score in scores):.12g}")


class CandidateState:
    """What a policy knows of one candidate.

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
        self.mean = settled_mean(self.scores.values())

    def next_fold(self) -> int:
        """The lowest fold that is not finished."""
        fold = 0
        while fold in self.scores:
            fold += 1
        return fold


class IndexedPolicy:
    """Keeps the candidates that wait for a slot in an index, ordered by `rank`.

    A subclass gives the rank (lower comes first) and whether new candidates come before or after
    a rank.
    """

    def __init__(self, *, num_trials: int, num_folds: int) -> None:
        """Start with no candidates.

        Args:
            num_trials: Candidates to add in all, at least 1.
            num_folds: Folds of a complete candidate, at least 1.

        Raises:
            UsageError: A number is below 1.
        """
        for name, value in (("num_trials", num_trials), ("num_folds", num_folds)):
            if value < 1:
                raise UsageError(f"{name}: found {value}, expected at least 1")
        self.num_trials, self.num_folds = num_trials, num_folds
        self._candidates: dict[int, CandidateState] = {}
        self._waiting = RankedIndex()
        self._stopped: set[int] = set()

    @abstractmethod
    def rank(self, candidate: CandidateState) -> tuple[float, ...]:
        """Order among waiting candidates; the lower comes first."""

    @abstractmethod
    def precedes_new(self, candidate: CandidateState) -> bool:
        """Whether a waiting candidate comes before candidates still to be proposed."""

    def observe(self, event: Event) -> None:
        """Take note of what happened, but for late news of who was stopped; costs O(log n)."""
        if event.candidate in self._stopped:
            return
        self._observe(event)
        if isinstance(event, CandidateStopped):
            self._stopped.add(event.candidate)

    def _observe(self, event: Event) -> None:
        if isinstance(event, CandidateAdded):
            assert event.candidate not in self._candidates, "a candidate was added twice"
            self._candidates[event.candidate] = CandidateState(event.candidate)
        one = self._candidates[event.candidate]
        match event:
            case FoldStarted(fold=fold):
                assert one.running is None, "two folds of one candidate at once"
                one.running, one.is_retry = fold, False
            case FoldFinished(fold=fold, score=score, seconds=seconds, revised=revised):
                assert fold not in one.scores, "a fold was finished twice"
                one.running = None
                one.seconds += seconds
                one.take({fold: score, **revised})
                one.is_over = one.is_over or len(one.scores) == self.num_folds
            case FoldLost():
                one.running, one.is_retry = None, True
            case CandidateStopped():
                one.running, one.is_over = None, True
            case CandidateAdded():
                pass
        if one.running is None and not one.is_over:
            self._waiting.put(one.number, self.rank(one))
        else:
            self._waiting.discard(one.number)

    def decide(self, free_slots: int) -> list[Decision]:
        """The best waiting candidates, with new ones where they belong; O(slots log n)."""
        waiting = [self._candidates[number] for number in self._waiting.first(free_slots)]
        before = [one for one in waiting if self.precedes_new(one)]
        after = waiting[len(before) :]
        num_new = max(0, min(self.num_trials - len(self._candidates), free_slots - len(before)))
        decisions: list[Decision] = [_run(one) for one in before]
        decisions += [NewCandidate() for _ in range(num_new)]
        decisions += [_run(one) for one in after]
        return decisions[: max(0, free_slots)]


def _run(candidate: CandidateState) -> RunFold:
    return RunFold(candidate=candidate.number, fold=candidate.next_fold())
