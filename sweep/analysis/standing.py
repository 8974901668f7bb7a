"""The leader of a sweep, by how much it leads the default trial, and how sure that is.

**Corrected for the number looked at.** The leader was chosen by its score, so its difference to the
default is the largest of many, and the folds must show more than for a single one. Every trial
counts that had any value, a fold's score or an epoch's: not the complete ones alone, because a
policy and a pruner choose which trials become complete by exactly these values. A trial that was
parked after one fold, or stopped in it, would have been shown had it been luckier. Formally, "a
trial is complete and its interval leaves out 0" implies "its interval would leave out 0, had it
been completed", so the chances of the latter, summed over all that were looked at, bound the former
whatever the policy does. Trials that were proposed and never started are not counted.

**Which reference.** The default is known before the sweep, so each other trial is one comparison.
Any other reference may have been chosen because of its scores too; all pairs count then.

**While a sweep is not over there is no winner**: the trials that may still run have had fewer
folds, and a look in between is no test. The leader then is the trial with most folds among those
ahead of the default on the folds that both have, since a lead on few folds is mostly luck.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.statistics import PairedDifference, paired_difference
from sweep.ledger.projection import Projection, Trial
from sweep.records import DEFAULT_TRIAL, State, SweepState
from sweep.util.numbers import mean_or


class Outcome(StrEnum):
    """Whether the sweep found something better than its default."""

    OPEN = "open"  # the sweep is not over
    NONE = "no winner"  # it is over, and no trial is complete
    DEFAULT = "the default won"
    BETTER = "better"  # the corrected interval lies on the better side of 0
    NOT_SHOWN = "not shown"  # the corrected interval includes 0
    UNKNOWN = "unknown"  # the default is not complete, or there is one fold


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A sweep's verdict so far.

    Attributes:
        outcome: What can be said.
        winner: The complete trial with the best mean; None unless the sweep is over.
        leader: The winner, or the leader so far; None before the first score.
        mean: Mean of the leader's finished folds, in the metric's own sign.
        num_folds: Finished folds of the leader.
        shared_folds: Finished by the leader and by the default, in order; the leader's own where it
            is the default.
        difference: Leader minus default on these, in the metric's own sign, corrected; None where
            there is nothing to compare.
        num_looked_at: Trials that had any value, the default included.
        num_open: Trials that may still win, by state.
        num_ahead: Trials among these that are ahead of the leader on the folds that both have.
        sweep_state: State, as in `sweep.ledger.projection.Projection`.
        maximize: Whether the metric is better when higher.
    """

    outcome: Outcome
    winner: int | None
    leader: int | None
    mean: float | None
    num_folds: int
    shared_folds: tuple[int, ...]
    difference: PairedDifference | None
    num_looked_at: int
    num_open: Mapping[str, int]
    num_ahead: int
    sweep_state: SweepState
    maximize: bool


def standing(projection: Projection) -> Standing:
    """The leader, by how much and how sure: what every view shows."""
    over = is_over(projection)
    best = projection.best()
    leader = best if over else _front_runner(projection, best)
    default = projection.default
    ahead = [] if leader is None else [
        trial for trial in projection.open_trials() if _lead(trial, leader) > 0
    ]  # fmt: skip
    is_default = leader is default
    known = default is not None and (not over or default.state is State.COMPLETE)
    shared = _shared(leader, default) if leader and default and known else ()
    difference = None
    if leader and default and shared and not is_default:
        difference = compare_folds(
            {f: leader.folds[f].value for f in shared},
            {f: default.folds[f].value for f in shared},
            test_train_ratio=overlap_ratio(projection.header),
            num_compared=num_compared(projection),
        )
    if difference is not None:
        difference = difference.within(*bounds(projection.header.metric))
    return Standing(
        outcome=_outcome(projection, leader, difference) if over else Outcome.OPEN,
        winner=leader.number if over and leader else None,
        leader=None if leader is None else leader.number,
        mean=None if leader is None else leader.mean_value,
        num_folds=0 if leader is None else len(leader.folds),
        shared_folds=shared,
        difference=difference,
        num_looked_at=num_looked_at(projection),
        num_open=dict(Counter(str(trial.state) for trial in projection.open_trials())),
        num_ahead=len(ahead),
        sweep_state=projection.sweep_state,
        maximize=projection.maximize,
    )


def is_over(projection: Projection) -> bool:
    """Whether no trial can win any more."""
    return projection.sweep_state is SweepState.FINISHED and not any(projection.open_trials())


def num_looked_at(projection: Projection) -> int:
    """Trials that had any value, a fold's score or an epoch's."""
    return sum(_is_looked_at(trial) for trial in projection.trials)


def num_compared(projection: Projection, reference: int = DEFAULT_TRIAL) -> int:
    """Differences that one with this reference may be the largest of, at least 1.

    Args:
        projection: Projection of the sweep.
        reference: Number of the trial that others are compared with.
    """
    looked_at = num_looked_at(projection)
    if reference == DEFAULT_TRIAL:
        default = projection.default
        return max(1, looked_at - (default is not None and _is_looked_at(default)))
    return max(1, looked_at * (looked_at - 1) // 2)


def compare_folds(
    first: Mapping[int, float],
    second: Mapping[int, float],
    *,
    test_train_ratio: float,
    num_compared: int,
) -> PairedDifference | None:
    """First minus second on the folds where both are finite; None where there are none.

    Args:
        first: Values by fold.
        second: Likewise.
        test_train_ratio: See `sweep.analysis.cohort.overlap_ratio`.
        num_compared: See the function of that name.
    """
    shared = [
        fold
        for fold in sorted(first)
        if math.isfinite(first[fold]) and math.isfinite(second.get(fold, math.nan))
    ]
    if not shared:
        return None
    return paired_difference(
        [first[fold] for fold in shared],
        [second[fold] for fold in shared],
        test_train_ratio=test_train_ratio,
        num_compared=num_compared,
    )


def ahead_of(trial: Trial, other: Trial) -> float:
    """Mean difference of two trials on the folds that both have, higher is better; NaN of none."""
    return mean_or(trial.folds[f].score - other.folds[f].score for f in _shared(trial, other))


def _is_looked_at(trial: Trial) -> bool:
    return bool(trial.folds) or any(trial.epochs.values())


def _front_runner(projection: Projection, best: Trial | None) -> Trial | None:
    """The leader while trials may still run."""
    able = [trial for trial in projection.open_trials() if math.isfinite(trial.mean)]
    able += [trial for trial in projection.trials if trial.state is State.COMPLETE]
    if not able:
        return None
    default = projection.trials[DEFAULT_TRIAL]
    leads = {trial.number: ahead_of(trial, default) for trial in able}
    front = [trial for trial in able if leads[trial.number] > 0]
    if front:
        return max(
            front,
            key=lambda trial: (len(_shared(trial, default)), leads[trial.number], -trial.number),
        )
    if default in able:
        return default
    return best or max(able, key=lambda trial: (len(trial.folds), trial.mean, -trial.number))


def _lead(trial: Trial, leader: Trial) -> float:
    return 0.0 if trial is leader else ahead_of(trial, leader)


def _shared(trial: Trial, other: Trial) -> tuple[int, ...]:
    """Folds on which both have a finite score."""
    return tuple(
        fold
        for fold in sorted(trial.folds)
        if fold in other.folds
        and math.isfinite(trial.folds[fold].score)
        and math.isfinite(other.folds[fold].score)
    )


def _outcome(
    projection: Projection, leader: Trial | None, difference: PairedDifference | None
) -> Outcome:
    if leader is None:
        return Outcome.NONE
    if leader.is_default:
        return Outcome.DEFAULT
    if difference is None or math.isnan(difference.low):
        return Outcome.UNKNOWN
    better = difference.low > 0 if projection.maximize else difference.high < 0
    return Outcome.BETTER if better else Outcome.NOT_SHOWN
