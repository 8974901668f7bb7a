"""When a sweep ends."""

from __future__ import annotations

import math

import pytest

from sweep.errors import UsageError
from sweep.records import FoldFinished, State, TrialAdded, TrialStopped
from sweep.search.stop_rules import AllDone, CompletedCount, StopRule, make_stop_rule


def complete(rule: StopRule, number: int, num_folds: int = 2, score: float = 0.5) -> None:
    for fold in range(num_folds):
        rule.observe(FoldFinished(trial=number, fold=fold, score=score, seconds=1.0))


def stop(rule: StopRule, number: int, state: State = State.FAILED) -> None:
    rule.observe(TrialStopped(trial=number, state=state))


def test_enough_completions_wait_for_the_default() -> None:
    rule = CompletedCount(2, num_folds=2)
    complete(rule, 1)
    complete(rule, 2)
    assert rule.reason() is None
    complete(rule, 0)
    assert rule.reason() == "3 trials completed, 2 were asked for"


def test_a_failed_default_is_not_waited_for() -> None:
    rule = CompletedCount(1, num_folds=2)
    complete(rule, 1)
    stop(rule, 0)
    assert rule.reason() == "1 trials completed, 1 were asked for"


def test_a_diverged_fold_makes_no_completion() -> None:
    rule = CompletedCount(1, num_folds=2)
    complete(rule, 0, score=math.nan)
    stop(rule, 0)
    assert rule.reason() is None


@pytest.mark.parametrize("score", [math.inf, -math.inf, math.nan])
def test_a_score_that_is_not_finite_completes_nothing_before_anybody_says_so(score: float) -> None:
    count, everything = CompletedCount(1, num_folds=2, required=()), AllDone(1, num_folds=2)
    for rule in (count, everything):
        rule.observe(TrialAdded(trial=0))
        complete(rule, 0, score=score)
    assert count.reason() is None
    assert everything.reason() == "all 1 trials are done"


def test_late_folds_of_a_stopped_trial_complete_nobody() -> None:
    rule = CompletedCount(1, num_folds=2, required=())
    stop(rule, 1, State.PRUNED)
    complete(rule, 1)
    assert rule.reason() is None


def test_all_done_counts_complete_and_stopped_trials() -> None:
    rule = AllDone(2, num_folds=2)
    rule.observe(TrialAdded(trial=0))
    complete(rule, 0)
    assert rule.reason() is None
    rule.observe(TrialAdded(trial=1))
    assert rule.reason() is None
    stop(rule, 1, State.PRUNED)
    assert rule.reason() == "all 2 trials are done"


def test_a_sweep_whose_completions_cannot_be_reached_ends_all_the_same() -> None:
    rule = make_stop_rule(2, 2, 2)
    for trial in range(2):
        rule.observe(TrialAdded(trial=trial))
    complete(rule, 0)
    stop(rule, 1, State.PRUNED)
    assert rule.reason() == "all 2 trials are done"
    assert isinstance(make_stop_rule(2, None, 2), AllDone)


def test_zero_completions_are_refused() -> None:
    with pytest.raises(UsageError, match="num_completions: found 0, expected at least 1"):
        CompletedCount(0, num_folds=2)
