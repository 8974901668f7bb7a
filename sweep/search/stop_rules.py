"""When a sweep ends. A stop rule sees what a policy sees, orders nothing and stops no trial."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

from sweep.errors import UsageError
from sweep.policies import least_gain
from sweep.records import DEFAULT_TRIAL, Event, FoldFinished, TrialAdded, TrialStopped


class StopRule(Protocol):
    """Says once and for good that a sweep is over."""

    def observe(self, event: Event) -> None:
        """Take note of what happened."""

    def reason(self) -> str | None:
        """Why the sweep is over, None while it is not."""


class _Tally:
    """Counts folds: which trials are complete, which were stopped."""

    def __init__(self, num_folds: int) -> None:
        self._num_folds = num_folds
        self._scores: dict[int, int] = {}
        self._diverged: set[int] = set()
        self.added: set[int] = set()
        self.complete: set[int] = set()  # never shares a number with `stopped`
        self.stopped: set[int] = set()

    def observe(self, event: Event) -> None:
        number = event.trial
        if number in self.stopped:  # late news
            return
        match event:
            case TrialAdded():
                self.added.add(number)
            case TrialStopped():
                self.stopped.add(number)
                self.complete.discard(number)
            case FoldFinished(score=score):
                self._scores[number] = self._scores.get(number, 0) + 1
                if not math.isfinite(score):
                    self._diverged.add(number)
                if self._scores[number] == self._num_folds:
                    ends = self.stopped if number in self._diverged else self.complete
                    ends.add(number)
            case _:
                pass


class CompletedCount:
    """Over when enough trials are complete, the required ones among them.

    A required trial that was stopped (it failed) is not waited for.
    """

    def __init__(
        self,
        num_completions: int,
        *,
        num_folds: int,
        required: Iterable[int] = (DEFAULT_TRIAL,),
    ) -> None:
        """Begin with no trials.

        Args:
            num_completions: Complete trials that end the sweep, at least 1.
            num_folds: Folds of a complete trial, at least 1.
            required: Numbers of the trials that must be among them.

        Raises:
            UsageError: num_completions is below 1.
        """
        if num_completions < 1:
            raise UsageError(f"num_completions: found {num_completions}, expected at least 1")
        self._wanted, self._required = num_completions, frozenset(required)
        self._tally = _Tally(num_folds)

    def observe(self, event: Event) -> None:
        """Take note of what happened."""
        self._tally.observe(event)

    def reason(self) -> str | None:
        """Why the sweep is over, None while it is not."""
        done, stopped = self._tally.complete, self._tally.stopped
        if len(done) < self._wanted or any(
            number not in done and number not in stopped for number in self._required
        ):
            return None
        return f"{len(done)} trials completed, {self._wanted} were asked for"


class AllDone:
    """Over when every trial that was to be tried is complete or stopped."""

    def __init__(self, num_trials: int, *, num_folds: int) -> None:
        """Begin with no trials.

        Args:
            num_trials: Trials to be tried, at least 1.
            num_folds: Folds of a complete trial, at least 1.
        """
        self._num_trials = num_trials
        self._tally = _Tally(num_folds)

    def observe(self, event: Event) -> None:
        """Take note of what happened."""
        self._tally.observe(event)

    def reason(self) -> str | None:
        """Why the sweep is over, None while it is not."""
        tally = self._tally
        num_done = len(tally.complete) + len(tally.stopped)
        if len(tally.added) < self._num_trials or num_done < len(tally.added):
            return None
        return f"all {num_done} trials are done"


class SaysWhatIsLeft(Protocol):
    """A policy that knows what going on may still bring."""

    def gain_left(self) -> float:
        """Expected gain of the best next fold, at least 0; infinite while it is not known."""


class NoGain:
    """Over when no unfinished trial's next fold promises enough.

    Asks the policy, which must see every event before this rule does, and waits for the required
    trials to be complete or stopped.
    """

    def __init__(
        self,
        policy: SaysWhatIsLeft,
        min_gain: float | str,
        *,
        num_folds: int,
        required: Iterable[int] = (DEFAULT_TRIAL,),
    ) -> None:
        """Args: `min_gain` above 0, see `sweep.policies.LeastGain`; less is not worth a fold.

        Raises:
            UsageError: min_gain is out of its range.
        """
        self._policy, self._least = policy, least_gain(min_gain)
        # Halving and intensification know only whether they have decided: all or nothing is left.
        self._in_spreads = getattr(policy, "in_spreads", lambda least: least.value)
        if not self._least.value:
            raise UsageError(f"min_gain: found {min_gain}, expected a value above 0")
        self._required = frozenset(required)
        self._tally = _Tally(num_folds)
        self._reason: str | None = None

    def observe(self, event: Event) -> None:
        """Take note of what happened."""
        self._tally.observe(event)
        if not isinstance(event, FoldFinished | TrialStopped):
            return
        tally = self._tally
        is_ready = tally.complete and self._required <= tally.complete | tally.stopped
        if is_ready and self._policy.gain_left() < self._in_spreads(self._least):
            self._reason = f"no fold promises a gain of {self._least} any more"

    def reason(self) -> str | None:
        """Why the sweep is over, None while it is not."""
        return self._reason


class AnyOf:
    """Over when any of several rules says so; the first to say so gives the reason."""

    def __init__(self, *rules: StopRule) -> None:
        self._rules = rules

    def observe(self, event: Event) -> None:
        """Take note of what happened."""
        for rule in self._rules:
            rule.observe(event)

    def reason(self) -> str | None:
        """Why the sweep is over, None while it is not."""
        return next((found for rule in self._rules if (found := rule.reason()) is not None), None)


def make_stop_rule(
    num_trials: int,
    num_completions: int | None,
    num_folds: int,
    *,
    policy: Any = None,
    min_gain: float | str | None = None,
    required: Iterable[int] = (DEFAULT_TRIAL,),
) -> StopRule:
    """The rule of a search space: enough completions, nothing left to win, else everything.

    Args:
        num_trials: Trials in all.
        num_completions: Complete trials that end the sweep; None for no such rule.
        num_folds: Folds of a complete trial.
        policy: The sweep's policy, asked for `gain_left` if `min_gain` is given.
        min_gain: See `NoGain`; None for no such rule.
        required: Trials that must be complete before any rule but the last ends the sweep.

    Raises:
        UsageError: The policy cannot say what is left.
    """
    required, rules = tuple(required), list[StopRule]()
    if num_completions is not None:
        rules.append(CompletedCount(num_completions, num_folds=num_folds, required=required))
    if min_gain is not None:
        if not hasattr(policy, "gain_left"):
            raise UsageError("min_gain: this policy knows no gain; leave it out")
        rules.append(NoGain(policy, min_gain, num_folds=num_folds, required=required))
    everything = AllDone(num_trials, num_folds=num_folds)
    return AnyOf(*rules, everything) if rules else everything
