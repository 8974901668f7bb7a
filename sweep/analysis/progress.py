"""How far a sweep is, from its projection alone: what the live table shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sweep.analysis.cost import Cost, cost_of
from sweep.analysis.operating_point import fold_values, rule_of, rule_text
from sweep.analysis.selection_bias import cautions, spoken
from sweep.analysis.standing import Standing, ahead_of, standing
from sweep.ledger.projection import Projection, Trial
from sweep.policies import PolicySpec
from sweep.records import State
from sweep.space import parse_space
from sweep.util.numbers import finite_or_none, mean_or
from sweep.util.words import count, duration

#: Dice that is no more than the baseline's own rounding.
_NOTHING = 1e-9


@dataclass(frozen=True, kw_only=True)
class MeanDice:
    """Mean over a trial's finished folds, beside that of predicting nothing.

    Attributes:
        value: Value with both empty = 1.
        threshold: The rule behind it in words, see `sweep.analysis.operating_point`.
        baseline: Likewise of predicting nothing on the same cases; None if a fold has none.
    """

    value: float
    threshold: str
    baseline: float | None

    @property
    def beats_nothing(self) -> bool:
        """Whether it is above the baseline, as far as that is known."""
        return self.baseline is None or self.value - self.baseline > _NOTHING


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A sweep at one moment.

    Attributes:
        metric: The objective.
        num_trials: Proposed so far.
        num_wanted: Trials the policy will propose in all.
        states: Number of trials by state.
        num_folds_run: Finished folds.
        num_folds_expected: Finished and still expected folds, an estimate.
        is_bound: Whether that is the most there can be, because the policy ends by what is left.
        standing: The leading trial, by how much it leads, and whether it has won.
        dice: The leader's Dice (both empty = 1); None before the first fold.
        seconds_left: Estimate from finished folds; None before the first, and with a bound alone.
        caution: What the scores are not, see `sweep.analysis.selection_bias`; None if nothing.
        cautions: The same in few words each.
        basis: What `seconds_left` follows from, in words; None without it.
        cost: What was spent, and is still to be; None before the first fold was begun.
    """

    metric: str
    num_trials: int
    num_wanted: int
    states: dict[str, int]
    num_folds_run: int
    num_folds_expected: int
    is_bound: bool
    standing: Standing
    dice: MeanDice | None
    seconds_left: float | None
    caution: str | None
    cautions: tuple[str, ...] = ()
    basis: str | None = None
    cost: Cost | None = None


def make_overview(projection: Projection) -> Overview:
    """Count and estimate; reads nothing but the projection."""
    trials = projection.trials
    found = standing(projection)
    leader = None if found.leader is None else trials[found.leader]
    folds = sum(len(trial.folds) for trial in trials)
    policy = _policy(projection.header.space_text or "")
    expected = expected_folds(trials, projection.num_folds, policy)
    warned = cautions(projection)
    left = max(0, expected - folds)
    pace = math.fsum(trial.seconds for trial in trials) / folds if folds else None
    is_bound = policy.min_gain is not None or pace is None
    at_once = max(1, sum(trial.running_fold is not None for trial in trials))
    return Overview(
        metric=projection.header.metric,
        num_trials=len(trials),
        num_wanted=policy.num_trials,
        states={
            str(state): number
            for state in State
            if (number := sum(trial.state is state for trial in trials))
        },
        num_folds_run=folds,
        num_folds_expected=expected,
        is_bound=policy.min_gain is not None,
        standing=found,
        dice=None if leader is None else mean_dice(leader),
        seconds_left=None if pace is None or is_bound else left * pace / at_once,
        basis=None
        if pace is None or is_bound
        else f"{count(left, 'fold')} of {duration(pace)}, {at_once} at once",
        cost=cost_of(projection, None if pace is None or is_bound else left * pace),
        caution=spoken(warned),
        cautions=tuple(caution.label for caution in warned),
    )


def mean_dice(trial: Trial) -> MeanDice | None:
    """A trial's Dice: with the threshold from the other folds once it has all, as it is deployed.

    Returns:
        None before the first fold, and where a fold has no Dice.
    """
    value = finite_or_none(mean_or(fold_values(trial, "dice").values()))
    if value is None:
        return None
    baseline = finite_or_none(mean_or(fold_values(trial, "dice_all_empty").values()))
    threshold = rule_text(rule_of(trial, "dice"), trial.settings)
    return MeanDice(value=value, threshold=threshold, baseline=baseline)


def listing(projection: Projection) -> list[tuple[Trial, float]]:
    """Trials that may still win, in the order of the live table, and what each is ahead by.

    First those that run, then complete ones by their mean, then parked ones by what they are ahead
    of the default (of the leader while the default has no fold) on the folds that both have: means
    of different folds are never set beside each other. That difference is higher-is-better, NaN
    where no fold is shared.
    """
    found, trials = standing(projection), projection.trials
    reference = projection.default
    if found.leader is not None and not (reference and reference.folds):
        reference = trials[found.leader]
    rank = {State.RUNNING: 0, State.COMPLETE: 1, State.PARKED: 2}
    able = [
        (trial, math.nan if reference is None else ahead_of(trial, reference))
        for trial in trials
        if trial.state in rank
    ]

    def key(pair: tuple[Trial, float]) -> tuple[int, float, int]:
        trial, ahead = pair
        score = trial.mean if trial.state is State.COMPLETE else ahead
        return rank[trial.state], -score if math.isfinite(score) else math.inf, trial.number

    return sorted(able, key=key)


@lru_cache(maxsize=8)
def _policy(space_text: str) -> PolicySpec:
    return parse_space(space_text, "ledger", has_begun=True).policy


def expected_folds(trials: Sequence[Trial], num_folds: int, policy: PolicySpec) -> int:
    """Finished folds, a first fold for each trial still to come, and what the best unfinished
    trials lack until enough are complete. Pruning makes it fewer, a change of rank more.

    Args:
        trials: Trials so far; none before a sweep begins.
        num_folds: Folds of a complete trial.
        policy: Settings of its policy.
    """
    done = sum(len(trial.folds) for trial in trials)
    still_open = [trial for trial in trials if not trial.state.is_final]
    open_ones = sorted(still_open, key=lambda trial: -len(trial.folds))
    lacking = [num_folds - len(trial.folds) for trial in open_ones]
    lacking += [num_folds] * max(0, policy.num_trials - len(trials))
    complete = sum(trial.state is State.COMPLETE for trial in trials)
    wanted = policy.num_completions or policy.most_complete()
    missing = max(0, wanted - complete)
    if policy.name == "standard":
        return done + sum(lacking[:missing])
    first_folds = sum(folds == num_folds for folds in lacking[missing:])
    return done + sum(lacking[:missing]) + first_folds
