"""How far a sweep is, from its projection alone: what the live table shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from sweep.caution import cautions, spoken
from sweep.projection import Candidate, Projection
from sweep.records import State
from sweep.space import PolicySpec, parse_space


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A sweep at one moment.

    Attributes:
        num_candidates: Proposed so far.
        num_wanted: Candidates the policy will propose in all.
        states: Number of candidates by state.
        num_folds_run: Finished folds.
        num_folds_expected: Finished and still expected folds, an estimate.
        is_bound: Whether that is the most there can be, because the policy ends by what is left.
        leader: The best complete candidate, else the best one so far; None before the first fold.
        score: The leader's mean, in the metric's own sign.
        is_complete: Whether the leader has all its folds.
        dice: Its mean Dice (both empty = 1); None before the first fold.
        baseline: Dice (both empty = 1) of predicting nothing on the same cases.
        seconds_left: Estimate from finished folds; None before the first, and with a bound alone.
        caution: What the scores are not, see `sweep.caution`; None if nothing.
        cautions: The same in few words each.
    """

    num_candidates: int
    num_wanted: int
    states: dict[str, int]
    num_folds_run: int
    num_folds_expected: int
    is_bound: bool
    leader: int | None
    score: float | None
    is_complete: bool
    dice: float | None
    baseline: float | None
    seconds_left: float | None
    caution: str | None
    cautions: tuple[str, ...] = ()


def overview(projection: Projection) -> Overview:
    """Count and estimate; reads nothing but the projection."""
    candidates = projection.candidates
    leader = projection.best() or _front_runner(candidates)
    folds = sum(len(one.folds) for one in candidates)
    policy = _policy(str(projection.header["space_text"]))
    expected, warned = _expected_folds(projection, policy), cautions(projection)
    return Overview(
        num_candidates=len(candidates),
        num_wanted=policy.num_trials,
        states={
            str(state): count
            for state in State
            if (count := sum(one.state is state for one in candidates))
        },
        num_folds_run=folds,
        num_folds_expected=expected,
        is_bound=policy.min_gain is not None,
        leader=None if leader is None else leader.number,
        score=None if leader is None else projection.displayed(leader.mean),
        is_complete=leader is not None and leader.state is State.COMPLETE,
        dice=_mean_metric(leader, "dice"),
        baseline=_mean_metric(leader, "dice_all_empty"),
        seconds_left=None
        if policy.min_gain is not None
        else _seconds_left(candidates, folds, expected),
        caution=spoken(warned),
        cautions=tuple(one.label for one in warned),
    )


def _front_runner(candidates: list[Candidate]) -> Candidate | None:
    scored = [one for one in candidates if math.isfinite(one.mean)]
    return max(scored, key=lambda one: (one.mean, -one.number), default=None)


@lru_cache(maxsize=8)
def _policy(space_text: str) -> PolicySpec:
    return parse_space(space_text, "ledger", has_begun=True).policy


def _expected_folds(projection: Projection, policy: PolicySpec) -> int:
    """Finished folds, a first fold for each candidate still to come, and what the best unfinished
    candidates lack until enough are complete. Pruning makes it fewer, a change of rank more.
    """
    candidates, num_folds = projection.candidates, projection.num_folds
    done = sum(len(one.folds) for one in candidates)
    open_ones = sorted(projection.open_candidates(), key=lambda one: -len(one.folds))
    lacking = [num_folds - len(one.folds) for one in open_ones]
    lacking += [num_folds] * max(0, policy.num_trials - len(candidates))
    if policy.num_completions is None:
        return done + sum(lacking)
    complete = sum(one.state is State.COMPLETE for one in candidates)
    missing = max(0, policy.num_completions - complete)
    if policy.name == "standard":
        return done + sum(lacking[:missing])
    first_folds = sum(folds == num_folds for folds in lacking[missing:])
    return done + sum(lacking[:missing]) + first_folds


def _seconds_left(candidates: list[Candidate], folds: int, expected: int) -> float | None:
    if folds == 0:
        return None
    at_once = max(1, sum(one.running_fold is not None for one in candidates))
    mean = math.fsum(one.seconds for one in candidates) / folds
    return max(0, expected - folds) * mean / at_once


def _mean_metric(candidate: Candidate | None, name: str) -> float | None:
    if candidate is None:
        return None
    values = [score.metrics[name] for score in candidate.folds.values() if name in score.metrics]
    return math.fsum(values) / len(values) if values else None
