"""A first wave over the first fold's epochs, then whole folds for the few that are left.

Every trial trains a few epochs of the first fold and gives the slot back; the best share of the
wave goes on to the next look, and what is left after the last look is searched by fold, by another
policy. Successive halving over the epochs of one fold, but with all judged at once, so that no
trial is stopped beside the few that came before it (Jamieson and Talwalkar, AISTATS 2016; that one
or two epochs tell nearly as much as ten: Egele et al., arXiv 2307.15422).

No worker waits that need not: a member that the outstanding ones cannot push out goes on at once,
and a look is decided when all but a share of `stragglers` came to it. A straggler that comes later
goes on if it is better than the worst that did. Failed members count as the worst. Where a
first fold ends before a look, its score counts there: nothing of that fold is left to save.

It assumes that epochs of the first fold cost the same and rank alike from the first look on. The
whole wave is proposed before the first score; a sampler learns from levels at the first look.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sweep.errors import UsageError
from sweep.policies._base import IndexedPolicy, Rung, TrialProgress
from sweep.policies._expected_improvement import MIN_GAIN, ExpectedImprovement
from sweep.policies._least_gain import LeastGain
from sweep.policies._spec import PolicySpec
from sweep.records import (
    DEFAULT_TRIAL,
    Decision,
    Event,
    FoldFinished,
    FoldPaused,
    NewTrial,
    RunFold,
    TrialAdded,
    TrialStopped,
)
from sweep.util.strict import Problem

#: Looks at the wave; by their number the share of all trials that goes on at each, and how many do
#: at least.
EPOCHS = (2, 5)
KEEP = {1: ((0.35, 8),), 2: ((0.5, 14), (0.2, 8))}
#: Share of the trials past all looks that train whole folds at once, whatever the workers, and how
#: many may at least.
_AT_ONCE, _FEWEST_AT_ONCE = 0.3, 3
#: First entry of the rank.
_IN_WAVE, _PINNED, _HELD = 0.0, 1.0, 2.0


class _Look:
    """One look at the members of a wave."""

    def __init__(self, num_kept: int) -> None:
        self.num_kept = num_kept
        self.members: set[int] = set()  # trials that come here
        self.levels: dict[int, float] = {}  # of those that came; -inf of those that failed
        self.passed: set[int] = set()
        self.is_decided = False

    def promote(self, *, is_closed: bool, stragglers: float) -> list[int]:
        """Trials that go on now; none while more members are still to be named."""
        num_out = len(self.members) - len(self.levels)
        if not is_closed:
            return []
        self.is_decided = self.is_decided or num_out <= stragglers * len(self.members)
        alive = [number for number, level in self.levels.items() if level > -math.inf]
        alive.sort(key=lambda number: (-self.levels[number], number))
        num_sure = self.num_kept if self.is_decided else max(0, self.num_kept - num_out)
        new = [number for number in alive[:num_sure] if number not in self.passed]
        self.passed.update(new)
        return new


class Wave(IndexedPolicy):
    """A few epochs of the first fold for all, then whole folds for the best."""

    def __init__(
        self,
        *,
        num_trials: int,
        num_folds: int,
        epochs: Sequence[int] = EPOCHS,
        keep: Sequence[float] | None = None,
        stragglers: float = 0.1,
        window: int = 3,
        pinned: int | None = DEFAULT_TRIAL,
        min_gain: float | str = MIN_GAIN,
    ) -> None:
        """See `IndexedPolicy`.

        Args:
            num_trials: Trials in all.
            num_folds: Folds of a complete trial.
            epochs: One-based epochs of the first fold after which the wave is looked at, rising.
            keep: Share of all trials that goes on at each look, falling; at least one trial. None
                for 0.35 at one look, 8 trials at least; for one half and one fifth at two, 14 and
                8 at least.
            stragglers: Share of a look's members that it does not wait for, in [0, 1).
            window: Last epochs of the fold, judged by their mean; at least 1.
            pinned: Number of a trial that is never held back, because winners are compared with it.
            min_gain: Gain that a whole fold must promise, see `ExpectedImprovement`.

        Raises:
            UsageError: A value is out of its range.
        """
        super().__init__(num_trials=num_trials, num_folds=num_folds)
        keep = usual_keep(num_trials, len(epochs)) if keep is None else keep
        check_looks(epochs, keep)
        if not 0 <= stragglers < 1:
            raise UsageError(f"stragglers: found {stragglers}, expected a value in [0, 1)")
        if window < 1:
            raise UsageError(f"window: found {window}, expected at least 1")
        self.epochs, self.stragglers, self.window = tuple(epochs), stragglers, window
        self.pinned, self.min_gain = pinned, min_gain
        self._looks = [_Look(num_kept(share, num_trials)) for share in keep]
        self._place: dict[int, int] = {}  # the look that a trial goes to or is held at
        self._held: set[int] = set()
        self._left: list[int] = []  # past all looks
        self._log: list[Event] = []
        self._inner: ExpectedImprovement | None = None

    @property
    def first_rung(self) -> Rung:
        """The first look; the window is that of every look."""
        return Rung(epoch=self.epochs[0], window=self.window)

    def pause_after(self, number: int) -> int | None:
        """Epoch of the first fold after which a running trial gives its slot back.

        None where the fold runs to its end: past all looks, or when all better ones are done.
        """
        place = self._place[number]
        if place == len(self._looks) or number in self._held or self._trials[number].scores:
            return None
        return self.epochs[place]

    def rank(self, trial: TrialProgress) -> tuple[float, ...]:
        """By the look that is next, the latest first; then the pinned trial; the others last."""
        number = trial.number
        place = self._place[number]
        is_left = place == len(self._looks)
        if number not in self._held and (not is_left or (not trial.scores and not self._inner)):
            return (_IN_WAVE, -place)
        if number == self.pinned and not self._inner:
            return (_PINNED,)
        level = -math.inf if is_left else self._looks[place].levels.get(number, -math.inf)
        return (_HELD, -place, -level)

    def precedes_new(self, trial: TrialProgress) -> bool:
        """Members of the wave that go on, or lost their fold."""
        return self.rank(trial)[0] == _IN_WAVE

    def decide(self, free_slots: int) -> list[Decision]:
        """Members of the wave and new ones, then whole folds; those held back when all is done."""
        found = super().decide(free_slots)
        own = [one for one in found if isinstance(one, NewTrial) or not self._is_held_back(one)]
        if not self._looks[-1].is_decided:
            return own
        if self._inner is not None:
            own += self._inner.decide(self._slots_for_whole_folds(free_slots - len(own)))
        if own or any(not self._trials[number].is_over for number in self._left):
            return own
        return found

    def _slots_for_whole_folds(self, free_slots: int) -> int:
        """Slots of the trials that are left: with many at once none waits for what others show."""
        num_running = sum(self._trials[number].running is not None for number in self._left)
        at_once = max(_FEWEST_AT_ONCE, math.ceil(len(self._left) * _AT_ONCE))
        return max(0, min(free_slots, at_once - num_running))

    def gain_left(self) -> float:
        """That of the policy of whole folds; infinite while the wave is not over."""
        if not self._looks[-1].is_decided:
            return math.inf
        return 0.0 if self._inner is None else self._inner.gain_left()

    def in_spreads(self, least: LeastGain) -> float:
        """See `ExpectedImprovement`; without a trial past all looks nothing is worth a fold."""
        return math.inf if self._inner is None else self._inner.in_spreads(least)

    def _is_held_back(self, decision: RunFold) -> bool:
        return self.rank(self._trials[decision.trial])[0] == _HELD

    def _observe(self, event: Event) -> None:
        number = event.trial
        self._log.append(event)
        if isinstance(event, TrialAdded):
            is_free = number == self.pinned
            self._place[number] = len(self._looks) if is_free else 0
            if is_free:
                self._left.append(number)
            else:
                self._looks[0].members.add(number)
        place = self._place[number]
        if place < len(self._looks):
            self._come(number, event, self._looks[place])
        elif self._inner is not None:
            self._inner.observe(event)
        super()._observe(event)
        self._promote()

    def _come(self, number: int, event: Event, look: _Look) -> None:
        """Note the level that a member comes with."""
        match event:
            case FoldPaused(scores=scores):
                look.levels.setdefault(number, self.first_rung.level(scores))
                self._held.add(number)
            case FoldFinished(score=score):
                look.levels.setdefault(number, score if math.isfinite(score) else -math.inf)
                self._held.add(number)
            case TrialStopped():
                look.levels.setdefault(number, -math.inf)

    def _promote(self) -> None:
        is_closed, num_left = len(self._trials) == self.num_trials, len(self._left)
        was_decided = self._looks[-1].is_decided
        for place, look in enumerate(self._looks):
            for number in look.promote(is_closed=is_closed, stragglers=self.stragglers):
                self._go_on(number, place + 1)
            is_closed = look.is_decided
        if is_closed and self._left and (not was_decided or num_left < len(self._left)):
            self._begin_whole_folds()

    def _go_on(self, number: int, place: int) -> None:
        trial = self._trials[number]
        self._place[number] = place
        self._held.discard(number)
        if place == len(self._looks):
            self._left.append(number)
        else:
            self._looks[place].members.add(number)
            if trial.scores:  # its fold ended before this look
                self._looks[place].levels[number] = trial.mean
                self._held.add(number)
        self._put(trial)

    def _begin_whole_folds(self) -> None:
        """A policy of the trials that are left, from all that happened to them."""
        self._inner = ExpectedImprovement(
            num_trials=len(self._left),
            num_folds=self.num_folds,
            pinned=self.pinned,
            min_gain=self.min_gain,
        )
        left = set(self._left)
        for event in self._log:
            if event.trial in left:
                self._inner.observe(event)
        for number in self._left:
            self._put(self._trials[number])

    def _put(self, trial: TrialProgress) -> None:
        if trial.running is None and not trial.is_over:
            self._waiting.put(trial.number, self.rank(trial))


class WaveSpec(PolicySpec):
    """Settings of `Wave`.

    Attributes:
        epochs: Epochs of the first fold after which the wave is looked at.
        keep: Share of all trials that goes on at each look; None for the
            usual ones of one look or two.
        stragglers: Share of a look's members that it does not wait for.
        window: Last epochs of the fold, judged by their mean.
    """

    name: Literal["wave"]
    epochs: list[Annotated[int, Field(ge=1)]] = Field(default=[*EPOCHS])
    keep: list[Annotated[float, Field(gt=0, le=1)]] | None = None
    stragglers: float = Field(default=0.1, ge=0, lt=1)
    window: int = Field(default=3, ge=1)

    policy = Wave
    own_min_gain = MIN_GAIN

    @model_validator(mode="after")
    def _check_looks(self) -> WaveSpec:
        try:
            check_looks(self.epochs, self.keep or usual_keep(self.num_trials, len(self.epochs)))
        except UsageError as error:
            raise Problem("epochs", self.epochs, str(error).partition(", expected ")[2]) from error
        return self

    def most_complete(self) -> int:
        """See `PolicySpec`: those past the last look, and the default."""
        keep = self.keep or usual_keep(self.num_trials, len(self.epochs))
        return min(self.num_trials, num_kept(keep[-1], self.num_trials) + 1)

    def looks(self) -> tuple[int, ...]:
        """See `PolicySpec`."""
        return tuple(self.epochs)

    def settings(self) -> dict[str, Any]:
        """See `PolicySpec`; the gain that ends the sweep is also the least for a fold."""
        given = {} if self.min_gain is None else {"min_gain": self.min_gain}
        return {**super().settings(), **given}


def usual_keep(num_trials: int, num_looks: int) -> tuple[float, ...]:
    """Shares that go on; of few trials more of them, since a look tells them apart no better.

    Returns:
        One for each look; none for more than two, which have no usual shares.
    """
    usual = KEEP.get(num_looks, ())
    return tuple(min(1.0, max(share, fewest / num_trials)) for share, fewest in usual)


def num_kept(share: float, num_trials: int) -> int:
    """Trials that go on at a look, at least 1."""
    return max(1, math.ceil(share * num_trials - 1e-9))


def check_looks(epochs: Sequence[int], keep: Sequence[float]) -> None:
    """Refuse looks that do not follow each other.

    Raises:
        UsageError: There is none, they do not rise, or the shares do not fall within (0, 1].
    """
    is_rising = all(0 < a < b for a, b in itertools.pairwise((*epochs, math.inf)))
    is_falling = all(1 >= a >= b > 0 for a, b in itertools.pairwise((1, *keep)))
    if not epochs or len(epochs) != len(keep) or not is_rising or not is_falling:
        raise UsageError(
            f"found epochs {list(epochs)} and keep {list(keep)}, expected rising epochs of at "
            "least 1, and in `keep` for each a share in (0, 1], no larger than the one before"
        )
