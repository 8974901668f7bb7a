"""Our policy: the fold with the highest expected improvement goes next.

Every trial gets its first fold; then a model of trials and folds (`ImprovementModel`) says
for each one how much better than the best complete trial its mean over *all* folds may end: the
expected improvement, shared among the folds that are missing, over the seconds that its folds take,
called its gain. The highest gets the next slot. When no gain is high enough, `gain_left` says so,
and the stop rule `NoGain` ends the sweep: it is over by what is still possible and not by a count.

With a `lookahead` trials are proposed before there is a slot for them, and after `num_first`
first folds the model says which of them get one: most of a table's configurations never train at
all, which no rule that gives every trial a first fold can do. A trial below `min_gain`
makes room for the next proposal.

It assumes what `FoldModel` does: scores that are jointly normal about a fold's difficulty and a
trial's level, and that all folds of all trials are to be had at their average cost.

The model knows at most `capacity` trials with scores, those of the best running means, and as
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
from sweep.policies._base import IndexedPolicy, TrialProgress
from sweep.policies._improvement import ImprovementModel
from sweep.policies._least_gain import LeastGain, least_gain
from sweep.policies._spec import PolicySpec
from sweep.records import (
    DEFAULT_TRIAL,
    Decision,
    Event,
    FoldFinished,
    FoldStarted,
    NewTrial,
    RunFold,
    TrialAdded,
    TrialStopped,
)

#: Scores before the model is asked at all, and the growth after which it learns again.
_FEWEST_SCORES, _GROWTH = 8, 10
#: Trials that enter first get two folds: how much folds differ must not be judged by winners
#: alone.
_LEAST_TWICE, _MOST_TWICE = 4, 20
#: Where many run, scores are taken in together: as many as the square of the scores so far over
#: this one's. More than a few cost less in a model built anew.
_BATCH, _FEW = 300, 8
#: Looking ahead, while none is complete, the trials deepened at once have about so many folds
#: to go until they are, but two are deepened at least. The first that is complete lowers the gain
#: of the others, so that more of them would be folds too many.
_FOLDS_OF_DEEPENED, _FEWEST_DEEPENED = 15, 2
#: Running trials without a score that are modelled.
_MOST_BEGUN = 50
#: Of so many trials one must be complete, and three at least, before the model is believed that
#: nothing is left: how much folds differ shows only on trials with several, and the first of
#: them are often alike.
_COMPLETE_OF, _FEWEST_COMPLETE = 40, 3
#: Improvement of the best mean, in units of the trials' spread, that all folds of all
#: trials must promise at a fold's rate for that fold to be run; chosen on tables of
#: 200 trials and five and ten folds. A fold is a share of the whole cost, which shrinks with
#: the number of trials and with that of folds.
MIN_GAIN = 0.25

#: A fold counts as at most so many average folds, and at least as one of so many.
_MAX_COST = 4.0

#: First entry of the rank of trials that are ordered by their gain.
_BY_GAIN = 2.0


class ExpectedImprovement(IndexedPolicy):
    """First folds, the pinned trial, then the highest expected gain per fold."""

    def __init__(
        self,
        *,
        num_trials: int,
        num_folds: int,
        pinned: int | None = DEFAULT_TRIAL,
        lookahead: int | None = 0,
        num_first: int | None = None,
        capacity: int = 300,
        min_gain: float | str = MIN_GAIN,
    ) -> None:
        """See `IndexedPolicy`.

        Args:
            num_trials: Trials in all.
            num_folds: Folds of a complete trial.
            pinned: Number of the trial that is completed right after the first folds.
            lookahead: Trials that may wait for their first fold, at most `capacity` of them;
                None for as many. A sampler that learns from scores wants few.
            num_first: With a lookahead, trials that get their first fold unasked, at least 1;
                None for 15% of all, at least 8 and at most 100.
            capacity: Trials with scores in the model, at least 2, and as many without.
            min_gain: Gain from which a fold is run, at least 0, see `least_gain`. Trials below
                it are scheduled last, without a first fold. While a running trial is above it,
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
        self.pinned, self.capacity = pinned, capacity
        self._least = least_gain(min_gain)
        #: In the unit of gains; of another unit it follows the scores, and is none before a model.
        self.min_gain = self._least.value if self._least.unit == "spread" else 0.0
        self.lookahead = capacity if lookahead is None else min(lookahead, capacity)
        self.num_first = num_first or max(8, min(100, 3 * num_trials // 20))
        self._unstarted: set[int] = set()  # wait for a first fold
        self._unmodelled: set[int] = set()  # of those, in no model yet
        self._not_promising: set[int] = set()  # of those, below `min_gain`
        # Equal settings give equal scores: a duplicate of an earlier trial waits for the end.
        self._known: set[str] = set()
        self._duplicates: set[int] = set()
        self._forced: set[int] = set()  # get their first fold unasked
        self._forced_twice: set[int] = set()  # of those, get a second one too
        self._num_forced = 0  # of those, without these scores and not stopped
        self._running: set[int] = set()
        self._parameters: dict[int, dict[str, object]] = {}
        self._scored: list[TrialProgress] = []
        self._model = ImprovementModel(num_trials=num_trials, num_folds=num_folds)
        self._gains: dict[int, float] = {}
        self._pending: list[FoldFinished] = []  # scores that the model has not taken in
        self._num_scores = self._next_fit = 0
        self._seconds = 0.0  # of all finished folds
        self._num_complete = 0
        self._max_deepened = max(_FEWEST_DEEPENED, _FOLDS_OF_DEEPENED // num_folds)
        self._num_stopped = 0  # deepened ones stopped while none was complete
        self._best = -math.inf  # sum of the best complete trial

    def rank(self, trial: TrialProgress) -> tuple[float, ...]:
        """Forced folds, the pinned trial, the gain; ties go to more folds."""
        if trial.number in self._duplicates:
            return (_BY_GAIN + 1, -trial.mean)
        if self._is_forced(trial) or (not trial.scores and trial.is_retry):
            return (0.0,)
        if trial.number == self.pinned:
            return (1.0,)
        gain = self._gains.get(trial.number, -1.0)
        if 0 <= gain < self.min_gain:  # asked only to be sure: the soonest complete comes first
            return (_BY_GAIN, 0.0, -len(trial.scores), -trial.mean)
        return (_BY_GAIN, -gain, -len(trial.scores), -trial.mean)

    def precedes_new(self, trial: TrialProgress) -> bool:
        """A first fold that was lost; looking ahead, every known trial."""
        return not trial.scores or self.lookahead > 0

    def _observe(self, event: Event) -> None:
        """Take note; a score reaches the model at once."""
        if isinstance(event, TrialAdded):
            self._enter(event)
        elif isinstance(event, FoldFinished | TrialStopped):
            was_forced = self._is_forced(self._trials[event.trial])
            if isinstance(event, TrialStopped) and not self._num_complete:
                self._num_stopped += self._is_deepened(event.trial)
        super()._observe(event)
        if isinstance(event, FoldFinished | TrialStopped):
            self._num_forced -= was_forced and not self._is_forced(self._trials[event.trial])
        if isinstance(event, FoldStarted | TrialStopped):
            for waiting in (self._unstarted, self._unmodelled, self._not_promising):
                waiting.discard(event.trial)
        if isinstance(event, FoldStarted):
            self._running.add(event.trial)
        elif not isinstance(event, TrialAdded):
            self._running.discard(event.trial)
        if isinstance(event, FoldFinished):
            self._take(event)
        elif isinstance(event, TrialStopped):
            self._gains.pop(event.trial, None)

    def _is_forced(self, trial: TrialProgress) -> bool:
        """Whether a trial gets its next fold whatever its gain."""
        wanted = (trial.number in self._forced) + (trial.number in self._forced_twice)
        return not trial.is_over and len(trial.scores) < wanted

    def _enter(self, event: TrialAdded) -> None:
        number = event.trial
        self._parameters[number] = dict(event.parameters)
        key = repr(sorted(event.parameters.items()))
        if self.lookahead and event.parameters and key in self._known:
            self._duplicates.add(number)
            return
        self._known.add(key)
        if not self.lookahead or len(self._forced) < self.num_first:
            if len(self._forced) < min(_MOST_TWICE, max(_LEAST_TWICE, self.num_trials // 20)):
                self._forced_twice.add(number)
            self._forced.add(number)
            self._num_forced += 1
        else:
            self._unmodelled.add(number)
        self._unstarted.add(number)

    def decide(self, free_slots: int) -> list[Decision]:
        """As every indexed policy, without folds below `min_gain` while one above it runs.

        While none is complete, a few trials are deepened and further slots go to first folds;
        unless as many deepened ones were stopped, since then none may ever be complete.
        """
        missing = min(
            self.lookahead - len(self._unstarted) + len(self._not_promising),
            self.num_trials - len(self._trials),
        )
        if self.lookahead and missing > 0 and free_slots > 0:
            return [NewTrial(start=False)] * min(missing, free_slots)
        decisions = self._above_min_gain(free_slots)
        if self.lookahead and not self._num_complete and self._num_stopped < self._max_deepened:
            return self._with_few_deepened(decisions, free_slots)
        return decisions

    def _above_min_gain(self, free_slots: int) -> list[Decision]:
        if not self._gains or all(
            self._gains.get(number, 0.0) < self.min_gain for number in self._running
        ):
            return super().decide(free_slots)
        count = 1
        while True:  # most slots stay idle, so most waiting trials need not be looked at
            decisions = super().decide(min(count, free_slots))
            good = [decision for decision in decisions if not self._is_below_min_gain(decision)]
            if len(good) < count or count >= free_slots:
                return good
            count *= 4

    def _with_few_deepened(self, decisions: list[Decision], free_slots: int) -> list[Decision]:
        room = self._max_deepened - sum(map(self._is_deepened, self._running))
        kept: list[Decision] = []
        for decision in decisions:
            is_deepened = isinstance(decision, RunFold) and self._is_deepened(decision.trial)
            if room > 0 or not is_deepened:
                kept.append(decision)
                room -= is_deepened
        if len(kept) >= free_slots:
            return kept
        chosen = {decision.trial for decision in kept if isinstance(decision, RunFold)}
        good = (n for n in self._unstarted - chosen if self._gains.get(n, 0.0) >= self.min_gain)
        firsts = [RunFold(trial=n, fold=0) for n in self._highest_gains(good)]
        return [*kept, *firsts[: free_slots - len(kept)]]

    def _is_deepened(self, number: int) -> bool:
        """Whether a trial has scores, and its next fold is not forced but by gain."""
        trial = self._trials[number]
        return bool(trial.scores) and number != self.pinned and not self._is_forced(trial)

    def _is_below_min_gain(self, decision: Decision) -> bool:
        if isinstance(decision, NewTrial) or decision.trial == self.pinned:
            return False
        kind = self.rank(self._trials[decision.trial])[0]
        return kind >= _BY_GAIN and self._gains.get(decision.trial, 0.0) < self.min_gain

    def gain_left(self) -> float:
        """The highest gain of an unfinished trial; infinite while it is not known.

        The expected improvement of the best mean per missing fold, times the number of all folds of
        all trials, in units of the trials' standard deviation, over the seconds of the
        trial's folds in units of the average fold's. Below `min_gain` any value below it: which
        is highest there is not asked. Not known: trials may still enter, a fold is
        forced, or too few are complete.
        """
        fewest = max(_FEWEST_COMPLETE, self.num_trials // _COMPLETE_OF)
        if len(self._trials) < self.num_trials or self._num_complete < fewest:
            return math.inf
        if self._num_forced or self._unmodelled or self._pending:
            return math.inf
        if self.lookahead and not self._model:
            return math.inf
        waiting = self._waiting.first(1)
        if waiting and self.rank(self._trials[waiting[0]])[0] < _BY_GAIN:
            return math.inf
        return max((self._gains.get(n, 0.0) for n in (*self._running, *waiting)), default=0.0)

    def in_spreads(self, least: LeastGain) -> float:
        """A gain in the unit of `gain_left`, by what the scores so far say; 0 while they do not."""
        if least.unit == "spread":
            return least.value
        if not self._model or not self._num_scores:
            return 0.0
        return least.in_spreads(
            scale=self._model.scale,
            noise=self._model.noise,
            num_trials=self.num_trials,
            num_folds=self.num_folds,
            seconds=self._seconds / self._num_scores,
        )

    def _take(self, event: FoldFinished) -> None:
        trial = self._trials[event.trial]
        self._num_scores += 1
        self._seconds += event.seconds
        if len(trial.scores) == 1:
            self._scored.append(trial)
        if trial.is_over and len(trial.scores) == self.num_folds:
            self._num_complete += 1
            self._best = max(self._best, trial.mean * self.num_folds)
            self._gains.pop(trial.number, None)
        if not math.isfinite(trial.mean):
            self._gains.pop(trial.number, None)
            return
        if self.lookahead:
            is_first_wave = self._num_scores < len(self._forced)
        else:
            is_first_wave = len(self._trials) < self.num_trials
        if is_first_wave or self._num_scores < _FEWEST_SCORES:
            return
        if self._num_scores >= self._next_fit or event.revised:
            self._next_fit = self._num_scores + max(4, self._num_scores // _GROWTH)
            self._build(learn=True)
        elif self._unmodelled and (
            4 * len(self._unmodelled) > self.lookahead or len(self._trials) == self.num_trials
        ):
            self._build(learn=False)
        elif event.trial in self._model:
            self._pending.append(event)
            self._gains.pop(event.trial, None)
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
        """Choose which trials are modelled, and take in all their scores."""
        self._pending = []
        known = [trial for trial in self._scored if math.isfinite(trial.mean)]
        known.sort(key=lambda trial: (-trial.mean, trial.number))
        known = known[: self.capacity]
        if len(known) < 2:
            return
        if self.lookahead:
            begun = (n for n in self._running if not self._trials[n].scores)
            waiting = self._unstarted - self._not_promising
            if len(waiting) < self.capacity:
                waiting = self._unstarted
            unscored = {*self._highest_gains(begun)[:_MOST_BEGUN], *self._highest_gains(waiting)}
            known += [self._trials[number] for number in sorted(unscored)]
            self._unmodelled -= unscored
        left = self._model.build(known, self._parameters, learn=learn)
        for number in left - self._unstarted - self._running:  # others are ahead by now
            if self._gains.pop(number, None) is not None:
                self._waiting.put(number, self.rank(self._trials[number]))
        self._update()

    def _highest_gains(self, numbers: Iterable[int]) -> list[int]:
        """At most `capacity` trials by gain, those of unknown gain first."""
        gain = self._gains.get
        return heapq.nsmallest(self.capacity, numbers, key=lambda n: (-gain(n, math.inf), n))

    def _update(self) -> None:
        """Every trial's gain, and place in the index."""
        ranks = {}
        self.min_gain = self.in_spreads(self._least)
        if self._least.unit == "error":  # what ends a sweep says too soon which trials are done
            self.min_gain = min(self.min_gain, MIN_GAIN)
        for number, gain in self._model.expected_improvement(self._best).items():
            trial = self._trials[number]
            if trial.is_over:
                continue
            self._gains[number] = gain / self._relative_cost(trial)
            if trial.running is None:
                ranks[number] = self.rank(trial)
            if number in self._unstarted and number not in self._forced:
                (self._not_promising.add if gain < self.min_gain else self._not_promising.discard)(
                    number
                )
        self._waiting.put_all(ranks)

    def _relative_cost(self, trial: TrialProgress) -> float:
        """What a trial's fold takes, in average folds; 1 while that is not known."""
        if not trial.scores or self._seconds <= 0:
            return 1.0
        cost = trial.seconds / len(trial.scores) * self._num_scores / self._seconds
        return min(max(cost, 1 / _MAX_COST), _MAX_COST)


class ExpectedImprovementSpec(PolicySpec):
    """Settings of `ExpectedImprovement`.

    Attributes:
        lookahead: Trials that are proposed before they have a slot, so that the policy picks
            which get a first fold. With samplers that do not learn (`random`) many cost
            nothing; those that learn propose blindly for as many.
    """

    name: Literal["expected_improvement"]
    lookahead: int = Field(default=0, ge=0)

    aliases = ("chance",)
    policy = ExpectedImprovement
    own_min_gain = MIN_GAIN

    def settings(self) -> dict[str, Any]:
        """See `PolicySpec`; the gain that ends the sweep is also the least for a fold."""
        given = {} if self.min_gain is None else {"min_gain": self.min_gain}
        return {**super().settings(), **given}

    def content(self) -> dict[str, Any]:
        """See `PolicySpec`; its name was another one."""
        return {**super().content(), "name": "chance"}
