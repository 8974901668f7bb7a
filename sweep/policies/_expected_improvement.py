"""Our policy: the fold that promises most goes next.

Every candidate gets its first fold; then a model of candidates and folds (`Gains`) says for each
one how much better than the best complete candidate its mean over *all* folds may end: the expected
improvement, shared among the folds that are missing, over the seconds that its folds take. The
highest gets the next slot. When nobody's next fold promises enough, `gain_left` says so, and the
stop rule `NoGain` ends the sweep: it is over by what is still possible and not by a count.

With a `lookahead` candidates are proposed before there is a slot for them, and after `num_first`
first folds the model says who of them is worth one: most of a table's configurations never train at
all, which no rule that gives everybody a first fold can do. Who is not worth a fold makes room for
the next proposal.

The model knows at most `capacity` candidates with scores, those of the best running means, and as
many without; the others wait. It takes in every score at once (where many run, a few at a time),
and learns its variances anew when the number of scores has grown by a tenth, or when earlier scores
were revised.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from sweep.errors import UsageError
from sweep.policies._base import CandidateState, IndexedPolicy
from sweep.policies._gains import Gains
from sweep.policies._spec import PolicySpec
from sweep.records import (
    DEFAULT_CANDIDATE,
    CandidateAdded,
    CandidateStopped,
    Decision,
    Event,
    FoldFinished,
    FoldStarted,
    NewCandidate,
    RunFold,
)

#: Scores before the model is asked at all, and the growth after which it learns again.
_FEWEST_SCORES, _GROWTH = 8, 10
#: Who enters first gets two folds: how much folds differ must not be judged by winners alone.
_LEAST_TWICE, _MOST_TWICE = 4, 20
#: Where many run, scores are taken in together: as many as the square of the scores so far over
#: this one's. More than a few cost less in a model built anew.
_BATCH, _FEW = 300, 8
#: Looking ahead, while nobody is complete, those deepened at once have about so many folds to go
#: until they are, but two are deepened at least. The first that is complete lowers what the others
#: promise, so that more of them would be folds too many.
_FOLDS_OF_LEADERS, _FEWEST_LEADERS = 15, 2
#: Running candidates without a score that are modelled.
_MOST_BEGUN = 50
#: Of so many candidates one must be complete, and three at least, before the model is believed that
#: nothing is left: how much folds differ shows only on those who have several, and the first of
#: them are often alike.
_COMPLETE_OF, _FEWEST_COMPLETE = 40, 3
#: Improvement of the best mean, in units of the candidates' spread, that all folds of all
#: candidates must promise at a fold's rate for that fold to be worth its cost; chosen on tables of
#: 200 candidates and five and ten folds. A fold is a share of the whole cost, which shrinks with
#: the number of candidates and with that of folds.
MIN_GAIN = 0.25

#: A fold counts as at most so many average folds, and at least as one of so many.
_DEAREST = 4.0

#: First entry of the rank of those who are ordered by their gain.
_BY_GAIN = 2.0


class ExpectedImprovement(IndexedPolicy):
    """First folds, the pinned candidate, then the highest expected gain per fold."""

    def __init__(
        self,
        *,
        num_trials: int,
        num_folds: int,
        pinned: int | None = DEFAULT_CANDIDATE,
        lookahead: int | None = 0,
        num_first: int | None = None,
        capacity: int = 300,
        min_gain: float = MIN_GAIN,
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
            capacity: Candidates with scores in the model, at least 2, and as many without.
            min_gain: Gain that makes a fold worth it, at least 0, see `gain_left`. Candidates below
                it are scheduled last, without a first fold. While a running candidate is above it,
                none below it is started: on many workers an idle slot is cheaper than folds that
                the running one will make pointless.

        Raises:
            UsageError: A value is out of its range.
        """
        super().__init__(num_trials=num_trials, num_folds=num_folds)
        for name, value, least in (("lookahead", lookahead, 0), ("num_first", num_first, 1)):
            if value is not None and value < least:
                raise UsageError(f"{name}: found {value}, expected at least {least}")
        if capacity < 2:
            raise UsageError(f"capacity: found {capacity}, expected at least 2")
        if not 0 <= min_gain < math.inf:
            raise UsageError(f"min_gain: found {min_gain}, expected at least 0")
        self.pinned, self.capacity = pinned, capacity
        self.min_gain = min_gain
        self.lookahead = capacity if lookahead is None else min(lookahead, capacity)
        self.num_first = num_first or max(8, min(100, 3 * num_trials // 20))
        self._unstarted: set[int] = set()  # wait for a first fold
        self._unknown: set[int] = set()  # of those, whom no model has seen yet
        self._passed: set[int] = set()  # of those, who is not worth a first fold
        # Equal settings give equal scores: who is like a candidate before it waits for the end.
        self._known: set[str] = set()
        self._twins: set[int] = set()
        self._first: set[int] = set()  # get their first fold unasked
        self._twice: set[int] = set()  # of those, who gets a second one too
        self._num_due = 0  # of those, who has neither these scores nor failed
        self._running: set[int] = set()
        self._parameters: dict[int, dict[str, object]] = {}
        self._scored: list[CandidateState] = []
        self._model = Gains(num_trials=num_trials, num_folds=num_folds)
        self._gains: dict[int, float] = {}
        self._pending: list[FoldFinished] = []  # scores that the model has not taken in
        self._num_scores = self._next_fit = 0
        self._seconds = 0.0  # of all finished folds
        self._num_complete = 0
        self._most_leaders = max(_FEWEST_LEADERS, _FOLDS_OF_LEADERS // num_folds)
        self._num_beaten = 0  # leaders that were stopped before anybody was complete
        self._best = -math.inf  # sum of the best complete candidate

    def rank(self, candidate: CandidateState) -> tuple[float, ...]:
        """Folds that are due, the pinned candidate, the gain; ties go to more folds."""
        if candidate.number in self._twins:
            return (_BY_GAIN + 1, -candidate.mean)
        if self._is_due(candidate) or (not candidate.scores and candidate.is_retry):
            return (0.0,)
        if candidate.number == self.pinned:
            return (1.0,)
        gain = self._gains.get(candidate.number, -1.0)
        if 0 <= gain < self.min_gain:  # asked only to be sure: whoever is soonest complete
            return (_BY_GAIN, 0.0, -len(candidate.scores), -candidate.mean)
        return (_BY_GAIN, -gain, -len(candidate.scores), -candidate.mean)

    def precedes_new(self, candidate: CandidateState) -> bool:
        """A first fold that was lost; looking ahead, everybody who is known."""
        return not candidate.scores or self.lookahead > 0

    def _observe(self, event: Event) -> None:
        """Take note; a score reaches the model at once."""
        if isinstance(event, CandidateAdded):
            self._enter(event)
        elif isinstance(event, FoldFinished | CandidateStopped):
            was_due = self._is_due(self._candidates[event.candidate])
            if isinstance(event, CandidateStopped) and not self._num_complete:
                self._num_beaten += self._is_leader(event.candidate)
        super()._observe(event)
        if isinstance(event, FoldFinished | CandidateStopped):
            self._num_due -= was_due and not self._is_due(self._candidates[event.candidate])
        if isinstance(event, FoldStarted | CandidateStopped):
            for waiting in (self._unstarted, self._unknown, self._passed):
                waiting.discard(event.candidate)
        if isinstance(event, FoldStarted):
            self._running.add(event.candidate)
        elif not isinstance(event, CandidateAdded):
            self._running.discard(event.candidate)
        if isinstance(event, FoldFinished):
            self._take(event)
        elif isinstance(event, CandidateStopped):
            self._gains.pop(event.candidate, None)

    def _is_due(self, one: CandidateState) -> bool:
        """Whether a candidate gets its next fold whatever it promises."""
        wanted = (one.number in self._first) + (one.number in self._twice)
        return not one.is_over and len(one.scores) < wanted

    def _enter(self, event: CandidateAdded) -> None:
        number = event.candidate
        self._parameters[number] = dict(event.parameters)
        key = repr(sorted(event.parameters.items()))
        if self.lookahead and event.parameters and key in self._known:
            self._twins.add(number)
            return
        self._known.add(key)
        if not self.lookahead or len(self._first) < self.num_first:
            if len(self._first) < min(_MOST_TWICE, max(_LEAST_TWICE, self.num_trials // 20)):
                self._twice.add(number)
            self._first.add(number)
            self._num_due += 1
        else:
            self._unknown.add(number)
        self._unstarted.add(number)

    def decide(self, free_slots: int) -> list[Decision]:
        """As every indexed policy, without folds that are not worth it yet.

        While nobody is complete, slots beyond those of a few leaders go to first folds; unless as
        many leaders were stopped, since then nobody may ever be.
        """
        missing = min(
            self.lookahead - len(self._unstarted) + len(self._passed),
            self.num_trials - len(self._candidates),
        )
        if self.lookahead and missing > 0 and free_slots > 0:
            return [NewCandidate(start=False)] * min(missing, free_slots)
        decisions = self._worth_it(free_slots)
        if self.lookahead and not self._num_complete and self._num_beaten < self._most_leaders:
            return self._with_few_leaders(decisions, free_slots)
        return decisions

    def _worth_it(self, free_slots: int) -> list[Decision]:
        if not self._gains or all(
            self._gains.get(number, 0.0) < self.min_gain for number in self._running
        ):
            return super().decide(free_slots)
        count = 1
        while True:  # most slots stay idle, so most of those who wait need not be looked at
            decisions = super().decide(min(count, free_slots))
            good = [one for one in decisions if not self._is_poor(one)]
            if len(good) < count or count >= free_slots:
                return good
            count *= 4

    def _with_few_leaders(self, decisions: list[Decision], free_slots: int) -> list[Decision]:
        room = self._most_leaders - sum(map(self._is_leader, self._running))
        kept: list[Decision] = []
        for one in decisions:
            is_leader = isinstance(one, RunFold) and self._is_leader(one.candidate)
            if room > 0 or not is_leader:
                kept.append(one)
                room -= is_leader
        if len(kept) >= free_slots:
            return kept
        chosen = {one.candidate for one in kept if isinstance(one, RunFold)}
        good = (n for n in self._unstarted - chosen if self._gains.get(n, 0.0) >= self.min_gain)
        firsts = [RunFold(candidate=n, fold=0) for n in self._most_hopeful(good)]
        return [*kept, *firsts[: free_slots - len(kept)]]

    def _is_leader(self, number: int) -> bool:
        """Whether a candidate has scores, and its next fold is no one's due."""
        one = self._candidates[number]
        return bool(one.scores) and number != self.pinned and not self._is_due(one)

    def _is_poor(self, decision: Decision) -> bool:
        if isinstance(decision, NewCandidate) or decision.candidate == self.pinned:
            return False
        kind = self.rank(self._candidates[decision.candidate])[0]
        return kind >= _BY_GAIN and self._gains.get(decision.candidate, 0.0) < self.min_gain

    def gain_left(self) -> float:
        """The highest gain of an unfinished candidate; infinite while it is not known.

        The expected improvement of the best mean per missing fold, times the number of all folds of
        all candidates, in units of the candidates' standard deviation, over the seconds of the
        candidate's folds in units of the average fold's. Below `min_gain` any value below it: which
        is highest there is not asked. Not known: candidates may still enter, someone's fold is due
        whatever it promises, or too few are complete.
        """
        fewest = max(_FEWEST_COMPLETE, self.num_trials // _COMPLETE_OF)
        if len(self._candidates) < self.num_trials or self._num_complete < fewest:
            return math.inf
        if self._num_due or self._unknown or self._pending:
            return math.inf
        if self.lookahead and not self._model:
            return math.inf
        waiting = self._waiting.first(1)
        if waiting and self.rank(self._candidates[waiting[0]])[0] < _BY_GAIN:
            return math.inf
        return max((self._gains.get(n, 0.0) for n in (*self._running, *waiting)), default=0.0)

    def _take(self, event: FoldFinished) -> None:
        one = self._candidates[event.candidate]
        self._num_scores += 1
        self._seconds += event.seconds
        if len(one.scores) == 1:
            self._scored.append(one)
        if one.is_over and len(one.scores) == self.num_folds:
            self._num_complete += 1
            self._best = max(self._best, one.mean * self.num_folds)
            self._gains.pop(one.number, None)
        if not math.isfinite(one.mean):
            self._gains.pop(one.number, None)
            return
        if self.lookahead:
            is_first_wave = self._num_scores < len(self._first)
        else:
            is_first_wave = len(self._candidates) < self.num_trials
        if is_first_wave or self._num_scores < _FEWEST_SCORES:
            return
        if self._num_scores >= self._next_fit or event.revised:
            self._next_fit = self._num_scores + max(4, self._num_scores // _GROWTH)
            self._build(learn=True)
        elif self._unknown and (
            4 * len(self._unknown) > self.lookahead or len(self._candidates) == self.num_trials
        ):
            self._build(learn=False)
        elif event.candidate in self._model:
            self._pending.append(event)
            self._gains.pop(event.candidate, None)
            if len(self._pending) >= min(len(self._running), (self._num_scores // _BATCH) ** 2):
                self._absorb()

    def _absorb(self) -> None:
        """Take in the scores that wait."""
        if len(self._pending) > _FEW:
            self._build(learn=False)
            return
        self._model.add(self._pending)
        self._pending = []
        self._update()

    def _build(self, *, learn: bool) -> None:
        """Choose who is modelled, and take in all their scores."""
        self._pending = []
        known = [one for one in self._scored if math.isfinite(one.mean)]
        known.sort(key=lambda one: (-one.mean, one.number))
        known = known[: self.capacity]
        if len(known) < 2:
            return
        if self.lookahead:
            begun = (n for n in self._running if not self._candidates[n].scores)
            waiting = self._unstarted - self._passed
            if len(waiting) < self.capacity:
                waiting = self._unstarted
            unscored = {*self._most_hopeful(begun)[:_MOST_BEGUN], *self._most_hopeful(waiting)}
            known += [self._candidates[number] for number in sorted(unscored)]
            self._unknown -= unscored
        left = self._model.build(known, self._parameters, learn=learn)
        for number in left - self._unstarted - self._running:  # others are ahead by now
            if self._gains.pop(number, None) is not None:
                self._waiting.put(number, self.rank(self._candidates[number]))
        self._update()

    def _most_hopeful(self, numbers: Iterable[int]) -> list[int]:
        """At most `capacity` candidates, those whose gain is not known before the others."""
        gain = self._gains.get
        return heapq.nsmallest(self.capacity, numbers, key=lambda n: (-gain(n, math.inf), n))

    def _update(self) -> None:
        """Everybody's gain, and place in the index."""
        ranks = {}
        for number, gain in self._model.over(self._best).items():
            one = self._candidates[number]
            if one.is_over:
                continue
            self._gains[number] = gain / self._price(one)
            if one.running is None:
                ranks[number] = self.rank(one)
            if number in self._unstarted and number not in self._first:
                (self._passed.add if gain < self.min_gain else self._passed.discard)(number)
        self._waiting.put_all(ranks)

    def _price(self, one: CandidateState) -> float:
        """What a candidate's fold takes, in average folds; 1 while that is not known."""
        if not one.scores or self._seconds <= 0:
            return 1.0
        price = one.seconds / len(one.scores) * self._num_scores / self._seconds
        return min(max(price, 1 / _DEAREST), _DEAREST)


class ExpectedImprovementSpec(PolicySpec):
    """Settings of `ExpectedImprovement`.

    Attributes:
        lookahead: Candidates that are proposed before they have a slot, so that the policy picks
            which are worth a first fold. With samplers that do not learn (`random`) many cost
            nothing; those that learn propose blindly for as many.
    """

    name: Literal["expected_improvement"]
    lookahead: int = Field(default=0, ge=0)

    aliases = ("chance",)
    policy = ExpectedImprovement
    own_min_gain = MIN_GAIN

    def settings(self) -> dict[str, Any]:
        """See `PolicySpec`; the gain that ends the sweep is also the one that is worth a fold."""
        given = {} if self.min_gain is None else {"min_gain": self.min_gain}
        return {**super().settings(), **given}

    def content(self) -> dict[str, Any]:
        """See `PolicySpec`; its name was another one."""
        return {**super().content(), "name": "chance"}
