"""Our policy: who has the best chance to beat the best whole candidate goes next.

Every candidate gets its first fold; then a model of candidates and folds (`FoldModel`) gives each
one the chance that its mean over *all* folds ends above the best complete candidate's, and the
highest chance gets the next slot. Two models are asked and their chances averaged: one that knows
the hyperparameters, so that neighbours lend each other strength, and one that does not, because the
first is overconfident where neighbours differ for reasons it cannot see. When nobody's chance is
worth a fold, `chance_left` says so, and the stop rule `NoChance` ends the sweep: it is over by what
is still possible and not by a count.

With a `lookahead` candidates are proposed before there is a slot for them, and after `num_first`
first folds the model says who of them is worth one: most of a table's configurations never train at
all, which no rule that gives everybody a first fold can do.

The models know the `capacity` candidates with the best running means and those without a fold; the
others wait behind, by their mean. They take in every score at once, and learn their variances anew
when the number of scores has grown by a tenth, or when earlier scores were revised.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError
from sweep.policies._base import IndexedPolicy, Progress
from sweep.policies._fold_model import FoldModel, Variances
from sweep.records import (
    CandidateAdded,
    CandidateStopped,
    Decision,
    Event,
    FoldFinished,
    FoldStarted,
    NewCandidate,
)

#: Scores before the model is asked at all, and the growth after which it learns again.
_FEWEST_SCORES, _GROWTH = 8, 10
_FIRST_STEPS, _NEXT_STEPS = 50, 16


class Chance(IndexedPolicy):
    """First folds, the pinned candidate, then the highest chance of winning."""

    def __init__(
        self,
        *,
        num_trials: int,
        num_folds: int,
        pinned: int | None = 0,
        lookahead: int | None = 0,
        num_first: int | None = None,
        capacity: int = 300,
        worth: float = 0.02,
    ) -> None:
        """See `IndexedPolicy`.

        Args:
            num_trials: Candidates in all.
            num_folds: Folds of a complete candidate.
            pinned: Number of the candidate that is completed right after the first folds.
            lookahead: Candidates that may wait for their first fold, at most `capacity` of them;
                None for as many. A sampler that learns from scores wants few.
            num_first: With a lookahead, candidates that get their first fold unasked, at least 1;
                None for 15% of all, at least 8 and at most 100.
            capacity: Candidates with scores in the model, at least 2.
            worth: While somebody with at least this chance runs, nobody with less is started: on
                many workers an idle slot is cheaper than folds that the running one will make
                pointless. In [0, 1].

        Raises:
            UsageError: A value is out of its range.
        """
        super().__init__(num_trials=num_trials, num_folds=num_folds)
        for name, value, least in (("lookahead", lookahead, 0), ("num_first", num_first, 1)):
            if value is not None and value < least:
                raise UsageError(f"{name}: found {value}, expected at least {least}")
        if capacity < 2:
            raise UsageError(f"capacity: found {capacity}, expected at least 2")
        if not 0 <= worth <= 1:
            raise UsageError(f"worth: found {worth}, expected a value in [0, 1]")
        self.pinned, self.capacity = pinned, capacity
        self.worth = worth
        self.lookahead = capacity if lookahead is None else min(lookahead, capacity)
        self.num_first = num_first or max(8, min(100, 3 * num_trials // 20))
        self._unstarted: set[int] = set()  # wait for a first fold
        # Equal settings give equal scores: who is like a candidate before it waits for the end.
        self._known: set[str] = set()
        self._twins: set[int] = set()
        self._first: set[int] = set()
        self._running: set[int] = set()
        self._parameters: dict[int, dict[str, object]] = {}
        self._models: list[FoldModel] = []
        # With and without hyperparameters.
        self._variances = [
            Variances(),
            Variances(shared=0.05, shared_fold=0.02, own=0.5, noise=0.3),
        ]
        self._rows: dict[int, int] = {}  # of modelled candidates
        self._chances: dict[int, float] = {}
        self._num_scores = self._next_fit = 0
        self._best = -math.inf  # sum of the best complete candidate

    def rank(self, progress: Progress) -> tuple[float, ...]:
        """First folds, the pinned candidate, the chance; ties go to more folds."""
        if progress.number in self._twins:
            return (3.0, -progress.mean)
        if not progress.scores and (self._is_first(progress) or progress.is_retry):
            return (0.0,)
        if progress.number == self.pinned:
            return (1.0,)
        chance = self._chances.get(progress.number, -1.0)
        return (2.0, -chance, -progress.mean, -len(progress.scores))

    def precedes_new(self, progress: Progress) -> bool:
        """A first fold that was lost; looking ahead, everybody who is known."""
        return not progress.scores or self.lookahead > 0

    def observe(self, event: Event) -> None:
        """Take note; a score reaches the model at once."""
        if isinstance(event, CandidateAdded):
            self._enter(event)
        super().observe(event)
        if isinstance(event, FoldStarted | CandidateStopped):
            self._unstarted.discard(event.candidate)
        if isinstance(event, FoldStarted):
            self._running.add(event.candidate)
        elif not isinstance(event, CandidateAdded):
            self._running.discard(event.candidate)
        if isinstance(event, FoldFinished):
            self._take(event)
        elif isinstance(event, CandidateStopped):
            self._chances.pop(event.candidate, None)

    def _enter(self, event: CandidateAdded) -> None:
        self._parameters[event.candidate] = dict(event.parameters)
        key = repr(sorted(event.parameters.items()))
        if self.lookahead and event.parameters and key in self._known:
            self._twins.add(event.candidate)
        else:
            self._known.add(key)
            if len(self._first) < self.num_first:
                self._first.add(event.candidate)
            self._unstarted.add(event.candidate)

    def decide(self, free_slots: int) -> list[Decision]:
        """As every indexed policy, without folds that are not worth it yet."""
        missing = min(
            self.lookahead - len(self._unstarted), self.num_trials - len(self._candidates)
        )
        if self.lookahead and missing > 0 and free_slots > 0:
            return [NewCandidate(start=False)] * min(missing, free_slots)
        decisions = super().decide(free_slots)
        if not self._chances or all(
            self._chances.get(number, 0.0) < self.worth for number in self._running
        ):
            return decisions
        return [one for one in decisions if not self._is_poor(one)]

    def _is_poor(self, decision: Decision) -> bool:
        if isinstance(decision, NewCandidate) or decision.candidate == self.pinned:
            return False
        chance = self._chances.get(decision.candidate, 0.0)
        return self._rank_of(decision.candidate) > 1 and chance < self.worth

    def _rank_of(self, number: int) -> float:
        return self.rank(self._candidates[number])[0]

    def chance_left(self) -> float:
        """The highest chance that an unfinished candidate still wins; 1 while it is not known.

        Not known: candidates may still enter, someone has no score yet, or nobody is complete.
        """
        if len(self._candidates) < self.num_trials or self._best == -math.inf:
            return 1.0
        if self.lookahead and not self._models:
            return 1.0
        if any(self._is_due(one) for one in self._candidates.values()):
            return 1.0
        open_ones = (c for n, c in self._chances.items() if not self._candidates[n].is_over)
        return max(open_ones, default=0.0)

    def _is_due(self, one: Progress) -> bool:
        """Whether a candidate gets its first fold unasked and has no score of it yet."""
        return not one.scores and not one.is_over and self._is_first(one)

    def _is_first(self, one: Progress) -> bool:
        """Whether a candidate gets its first fold unasked."""
        return not self.lookahead or one.number in self._first

    def _take(self, event: FoldFinished) -> None:
        one = self._candidates[event.candidate]
        self._num_scores += 1
        if one.is_over and len(one.scores) == self.num_folds:
            self._best = max(self._best, one.mean * self.num_folds)
            self._chances.pop(one.number, None)
        if not math.isfinite(one.mean):
            self._chances.pop(one.number, None)
            return
        if self.lookahead:
            is_first_wave = self._num_scores < len(self._first)
        else:
            is_first_wave = len(self._candidates) < self.num_trials
        if is_first_wave or self._num_scores < _FEWEST_SCORES:
            return
        if self._num_scores >= self._next_fit or event.revised:
            self._refit()
        elif self._models and event.candidate in self._rows:
            for model in self._models:
                model.add(self._rows[event.candidate], event.fold, event.score)
            self._update()

    def _refit(self) -> None:
        """Choose who is modelled, learn the variances, take in all their scores."""
        self._next_fit = self._num_scores + max(4, self._num_scores // _GROWTH)
        known = [one for one in self._candidates.values() if math.isfinite(one.mean)]
        known.sort(key=lambda one: (-one.mean, one.number))
        known = known[: self.capacity]
        if len(known) < 2:
            return
        if self.lookahead:
            begun = {n for n in self._running if not self._candidates[n].scores}
            known += [self._candidates[number] for number in sorted(self._unstarted | begun)]
        self._rows = {one.number: row for row, one in enumerate(known)}
        num_steps = _NEXT_STEPS if self._models else _FIRST_STEPS
        scores = {
            (self._rows[one.number], fold): score
            for one in known
            for fold, score in one.scores.items()
        }
        parameters = [self._parameters[one.number] for one in known]
        views: list[list[dict[str, object]]] = [parameters, [{} for _ in known]]
        self._models = [
            FoldModel(view, self.num_folds, variances)
            for view, variances in zip(views, self._variances, strict=True)
        ]
        for model in self._models:
            model.fit(scores, num_steps=num_steps)
        self._variances = [model.variances for model in self._models]
        self._chances = {}
        self._update()

    def _update(self) -> None:
        """Everybody's chance, and place in the index."""
        chances = np.mean([self._chances_by(model) for model in self._models], axis=0)
        for number, row in self._rows.items():
            one = self._candidates[number]
            if one.is_over:
                continue
            self._chances[number] = float(chances[row])
            if one.running is None:
                self._waiting.put(number, self.rank(one))

    def _chances_by(self, model: FoldModel) -> NDArray[np.float64]:
        """[rows] chance to end above the best whole candidate, or above the highest expectation."""
        mean, spread = model.totals()
        if self._best == -math.inf:  # someone must be whole before anyone can be beaten
            spread = np.full_like(mean, max(float(mean.std()), 1e-12))
        target = self._best if self._best > -math.inf else float(mean.max())
        margin = 1e-6 * max(1.0, abs(target))  # a tie is no win
        z = (mean - target - margin) / np.maximum(spread, 1e-12)
        return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z.tolist()])
