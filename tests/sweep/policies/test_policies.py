"""Exact decisions of each policy on scripted traces."""

from __future__ import annotations

import math

import pytest

from sweep.policies import ExpectedImprovement, Greedy, Policy, Standard, make_policy
from sweep.policies._index import RankedIndex
from sweep.records import (
    Decision,
    FoldFinished,
    FoldLost,
    FoldStarted,
    NewTrial,
    RunFold,
    State,
    TrialAdded,
    TrialStopped,
)

NEW = NewTrial()


def run(number: int, fold: int) -> RunFold:
    return RunFold(trial=number, fold=fold)


def add(policy: Policy, number: int) -> None:
    policy.observe(TrialAdded(trial=number))
    policy.observe(FoldStarted(trial=number, fold=0))


def start(policy: Policy, number: int, fold: int) -> None:
    policy.observe(FoldStarted(trial=number, fold=fold))


def finish(policy: Policy, number: int, fold: int, score: float) -> None:
    policy.observe(FoldFinished(trial=number, fold=fold, score=score, seconds=1.0))


def first_folds(policy: Policy, *scores: float) -> None:
    for trial, score in enumerate(scores):
        add(policy, trial)
        finish(policy, trial, 0, score)


def test_greedy_gives_everyone_a_first_fold_then_follows_the_mean() -> None:
    policy = Greedy(num_trials=4, num_folds=3)
    assert policy.decide(3) == [NEW, NEW, NEW]
    first_folds(policy, 0.1, 0.5, 0.9)
    assert policy.decide(2) == [NEW, run(0, 1)]  # a new one, then the pinned default
    add(policy, 3)
    assert policy.decide(3) == [run(0, 1), run(2, 1), run(1, 1)]
    finish(policy, 3, 0, 0.7)
    assert policy.decide(4) == [run(0, 1), run(2, 1), run(3, 1), run(1, 1)]
    start(policy, 0, 1)
    finish(policy, 0, 1, 0.0)
    start(policy, 0, 2)
    finish(policy, 0, 2, 0.0)
    assert policy.decide(1) == [run(2, 1)]
    start(policy, 2, 1)
    finish(policy, 2, 1, 0.3)  # its mean falls to 0.6, below 0.7
    assert policy.decide(2) == [run(3, 1), run(2, 2)]
    policy.observe(TrialStopped(trial=3, state=State.PRUNED))
    assert policy.decide(3) == [run(2, 2), run(1, 1)]


def test_greedy_prefers_more_folds_then_the_lower_number_on_equal_means() -> None:
    policy = Greedy(num_trials=4, num_folds=4, pinned=3)
    first_folds(policy, 0.5, 0.5, 0.5, 0.0)
    start(policy, 2, 1)
    finish(policy, 2, 1, 0.5)
    assert policy.decide(9) == [run(3, 1), run(2, 2), run(0, 1), run(1, 1)]


def test_greedy_retries_a_lost_fold_before_equals_and_a_lost_first_fold_before_new_ones() -> None:
    policy = Greedy(num_trials=3, num_folds=3)
    add(policy, 0)
    policy.observe(FoldLost(trial=0, fold=0))
    assert policy.decide(2) == [run(0, 0), NEW]
    start(policy, 0, 0)
    finish(policy, 0, 0, 0.2)
    for trial in (1, 2):
        add(policy, trial)
        finish(policy, trial, 0, 0.5)
    start(policy, 2, 1)
    assert policy.decide(9) == [run(0, 1), run(1, 1)]
    policy.observe(FoldLost(trial=2, fold=1))
    assert policy.decide(9) == [run(0, 1), run(2, 1), run(1, 1)]


def test_a_lost_first_fold_beside_forced_second_ones_is_decided_once() -> None:
    policy = ExpectedImprovement(num_trials=3, num_folds=3, pinned=None)
    first_folds(policy, 0.5, 0.6)
    add(policy, 2)
    policy.observe(FoldLost(trial=2, fold=0))
    assert policy.decide(9) == [run(2, 0), run(0, 1), run(1, 1)]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_greedy_takes_a_score_that_is_not_finite_as_the_worst(score: float) -> None:
    policy = Greedy(num_trials=3, num_folds=3)
    first_folds(policy, 0.0, score, -1e9)
    assert policy.decide(3) == [run(0, 1), run(2, 1), run(1, 1)]


def test_standard_finishes_trials_in_order() -> None:
    policy = Standard(num_trials=3, num_folds=2)
    assert policy.decide(1) == [NEW]
    add(policy, 0)
    assert policy.decide(2) == [NEW, NEW]  # trial 0 is busy, slots are not left idle
    add(policy, 1)
    finish(policy, 1, 0, 0.9)
    assert policy.decide(2) == [run(1, 1), NEW]
    finish(policy, 0, 0, 0.1)
    assert policy.decide(3) == [run(0, 1), run(1, 1), NEW]


def scripted_improvement(seconds_of_twelve: float) -> ExpectedImprovement:
    """Fourteen trials after their first folds, four after a second; 12 and 13 lead alike."""
    policy = ExpectedImprovement(num_trials=14, num_folds=3, pinned=None)
    scores = [0.5, 0.52, 0.55, 0.6, 0.5, 0.61, 0.58, 0.53, 0.57, 0.54, 0.56, 0.6, 0.8, 0.8]
    for trial, score in enumerate(scores):
        for fold in (0, 1) if trial < 4 else (0,):
            (add if fold == 0 else start)(policy, trial, *([] if fold == 0 else [fold]))
            seconds = seconds_of_twelve if trial == 12 else 1.0
            policy.observe(FoldFinished(trial=trial, fold=fold, score=score, seconds=seconds))
    return policy


def test_expected_improvement_gives_who_enters_first_two_folds_unasked() -> None:
    policy = ExpectedImprovement(num_trials=14, num_folds=3, pinned=None)
    first_folds(policy, *(0.5 + trial / 100 for trial in range(14)))
    assert policy.decide(4) == [run(number, 1) for number in range(4)]


def test_expected_improvement_sends_the_quicker_of_two_that_promise_the_same() -> None:
    assert scripted_improvement(1.0).decide(1) == [run(12, 1)]  # a tie goes to the lower number
    assert scripted_improvement(3.0).decide(2) == [run(13, 1), run(12, 1)]
    assert scripted_improvement(0.5).decide(2) == [run(12, 1), run(13, 1)]


def test_expected_improvement_does_not_say_what_is_left_before_some_are_complete() -> None:
    policy = scripted_improvement(1.0)
    assert policy.gain_left() == math.inf
    for number, trial in enumerate((12, 13, 11)):
        assert policy.gain_left() == math.inf, number
        for fold in (1, 2):
            start(policy, trial, fold)
            finish(policy, trial, fold, 0.8)
    assert 0 <= policy.gain_left() < math.inf


def test_index_keeps_order_while_keys_move_and_leave() -> None:
    index = RankedIndex()
    for key, rank in enumerate((3.0, 1.0, 2.0)):
        index.put(key, (rank,))
    assert index.first(2) == [1, 2]
    index.put(1, (9.0,))
    index.discard(2)
    index.put(0, (4.0,))
    index.put(0, (3.0,))  # back at a rank it had before: two entries, one answer
    assert index.first(9) == [0, 1]
    assert index.first(9) == [0, 1]
    assert len(index) == 2


@pytest.mark.parametrize("score", [0.7, 0.1, 1 / 3])
def test_equal_folds_have_the_mean_of_one_so_that_ties_go_to_more_folds(score: float) -> None:
    policy = Greedy(num_trials=3, num_folds=4, pinned=None)
    first_folds(policy, score, score, score)
    for fold in (1, 2):
        start(policy, 2, fold)
        finish(policy, 2, fold, score)
    assert policy.decide(3) == [run(2, 3), run(0, 1), run(1, 1)]


def test_late_folds_of_a_stopped_trial_set_no_mark() -> None:
    def standing(*, late: bool) -> tuple[float, list[Decision]]:
        policy = scripted_improvement(1.0)
        for trial in (12, 13, 11):
            for fold in (1, 2):
                start(policy, trial, fold)
                finish(policy, trial, fold, 0.8)
        policy.observe(TrialStopped(trial=10, state=State.PRUNED))
        for fold in (1, 2) if late else ():
            finish(policy, 10, fold, 0.99)
        return policy.gain_left(), policy.decide(3)

    assert standing(late=True) == standing(late=False)


#: Trials by folds.
GRID = ((0.5, 0.5, 0.5), (0.7, 0.6, 0.6), (0.6, 0.8, 0.7), (0.4, 0.9, 0.9))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Two of four go on, by 0.7 and 0.6; after two folds 0.70 of #2 is ahead of 0.65 of #1.
        ("halving", "00 10 20 30 | 11 21 | 22 | 12 01 02 31 32"),
        # Of #1 and #2 one goes on: the first to arrive, and the better mean goes first.
        ("greedy_halving", "00 10 20 30 | 11 | 12 | 21 22 01 02 31 32"),
        # #0 is whole, then challenged: #1 wins after one, two and three folds; #2 and #3 fall
        # behind on their first fold and come last, the better mean first.
        ("intensify", "00 01 02 | 10 11 12 | 20 | 30 | 21 22 31 32"),
        ("standard", "00 01 02 | 10 11 12 | 20 21 22 | 30 31 32"),
    ],
)
def test_the_whole_order_on_a_small_grid(name: str, expected: str) -> None:
    settings = {"num_trials": 4} | ({} if name == "standard" else {"pinned": None})
    policy, order, added = make_policy(name, settings, 3), [], 0
    while decisions := policy.decide(1):
        if decisions == [NEW]:
            trial, fold, added = added, 0, added + 1
            add(policy, trial)
        else:
            (decision,) = decisions
            assert isinstance(decision, RunFold)
            trial, fold = decision.trial, decision.fold
            start(policy, trial, fold)
        finish(policy, trial, fold, GRID[trial][fold])
        order.append(f"{trial}{fold}")
    assert order == expected.replace("|", "").split()


def test_an_incumbent_that_diverged_is_beaten_by_whoever_did_not() -> None:
    policy = make_policy("intensify", {"num_trials": 2, "pinned": None}, 2)
    add(policy, 0)
    finish(policy, 0, 0, math.nan)
    policy.observe(TrialStopped(trial=0, state=State.FAILED))
    add(policy, 1)
    finish(policy, 1, 0, 0.2)
    assert policy.decide(1) == [run(1, 1)]
    assert policy.gain_left() == math.inf  # type: ignore[attr-defined]


def test_who_ties_with_the_incumbent_up_to_rounding_is_not_rejected() -> None:
    policy = make_policy("intensify", {"num_trials": 2, "pinned": None}, 4)
    for trial, scores in enumerate(((0.4, 0.2, 0.3, 0.3), (0.5, 0.1))):
        for fold, score in enumerate(scores):
            (add if fold == 0 else start)(policy, trial, *([] if fold == 0 else [fold]))
            finish(policy, trial, fold, score)
    assert policy.gain_left() == math.inf  # type: ignore[attr-defined]
    assert policy.decide(1) == [run(1, 2)]


def test_the_largest_scores_have_a_mean() -> None:
    policy = Greedy(num_trials=1, num_folds=3)
    add(policy, 0)
    finish(policy, 0, 0, 1.5e308)
    start(policy, 0, 1)
    finish(policy, 0, 1, 1.5e308)
    assert policy.decide(1) == [run(0, 2)]


def test_of_an_odd_rung_the_larger_half_goes_on() -> None:
    policy = make_policy("halving", {"num_trials": 5, "pinned": None}, 2)
    first_folds(policy, 0.5, 0.4, 0.3, 0.2, 0.1)
    for trial in range(3):  # of five, three
        assert policy.gain_left() == math.inf  # type: ignore[attr-defined]
        assert policy.decide(1) == [run(trial, 1)]
        start(policy, trial, 1)
        finish(policy, trial, 1, 0.5)
    assert policy.gain_left() == 0  # type: ignore[attr-defined]


def test_a_challenger_that_ties_with_the_incumbent_goes_on_and_does_not_replace_it() -> None:
    policy = make_policy("intensify", {"num_trials": 3, "pinned": None}, 2)
    for trial, scores in enumerate(((0.5, 0.5), (0.5, 0.5))):
        add(policy, trial)
        finish(policy, trial, 0, scores[0])
        assert policy.decide(1) == [run(trial, 1)]
        start(policy, trial, 1)
        finish(policy, trial, 1, scores[1])
    assert policy.decide(1) == [NEW]
    policy = make_policy("intensify", {"num_trials": 3, "pinned": None}, 2)
    for trial, scores in enumerate(((0.25, 0.75), (0.75, 0.25))):  # equal means
        add(policy, trial)
        finish(policy, trial, 0, scores[0])
        start(policy, trial, 1)
        finish(policy, trial, 1, scores[1])
    add(policy, 2)
    finish(policy, 2, 0, 0.5)  # above the first fold of #0, below that of #1
    assert policy.gain_left() == math.inf  # type: ignore[attr-defined]
