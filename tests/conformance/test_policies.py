"""Every policy, through its whole life."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import fold_scores

from sweep.errors import UsageError
from sweep.policies import Policy, PolicySpec, make_policy, pause_after
from sweep.records import (
    FoldFinished,
    FoldLost,
    FoldPaused,
    FoldStarted,
    NewTrial,
    RunFold,
    State,
    TrialAdded,
    TrialStopped,
)

#: Ours also with trials that wait for their first fold.
AHEAD = "expected_improvement, looking ahead"
HOW = [*["finish"] * 5, *["pause"] * 5, "revise", "lose", "prune", "fail"]
NAMES = [*sorted(PolicySpec.known), AHEAD]


def make(name: str, num_trials: int = 4, num_folds: int = 3) -> Policy:
    if name == AHEAD:
        settings = {"num_trials": num_trials, "lookahead": 3, "num_first": 2}
        return make_policy("expected_improvement", settings, num_folds)
    return make_policy(name, {"num_trials": num_trials}, num_folds)


class Life:
    """Carries out decisions, and checks that none breaks a rule that holds for all policies."""

    def __init__(self, policy: Policy, num_trials: int, num_folds: int) -> None:
        self.policy, self.num_trials, self.num_folds = policy, num_trials, num_folds
        self.num_added = 0
        self.running: dict[int, int] = {}
        self.finished: dict[int, set[int]] = {}
        self.stopped: set[int] = set()

    def fill(self, num_slots: int) -> None:
        while (free := num_slots - len(self.running)) > 0:
            decisions = self.policy.decide(free)
            assert decisions == self.policy.decide(free), "decide changed something"
            self.check(decisions, free)
            if not decisions:
                return
            self.carry_out(decisions[0])

    def check(self, decisions: list[NewTrial | RunFold], free: int) -> None:
        assert len(decisions) <= free
        known = [one.trial for one in decisions if isinstance(one, RunFold)]
        assert len(known) == len(set(known))
        num_new = len(decisions) - len(known)
        assert self.num_added + num_new <= self.num_trials
        for one in decisions:
            if isinstance(one, RunFold):
                assert one.trial not in self.running, "two folds of one trial at once"
                assert one.trial not in self.stopped
                assert one.fold not in self.finished[one.trial], "a finished fold again"
                assert one.fold == len(self.finished[one.trial]), "folds out of order"

    def carry_out(self, decision: NewTrial | RunFold) -> None:
        if isinstance(decision, NewTrial):
            trial, fold = self.num_added, 0
            self.num_added += 1
            self.finished[trial] = set()
            # Every fifth is like one before it.
            parameters = {"x": trial % 5}
            self.policy.observe(TrialAdded(trial=trial, parameters=parameters))
            if not decision.start:
                return
        else:
            trial, fold = decision.trial, decision.fold
        self.running[trial] = fold
        self.policy.observe(FoldStarted(trial=trial, fold=fold))

    def end(self, number: int, how: str, score: float) -> None:
        pause = pause_after(self.policy, number)
        fold = self.running.pop(number)
        if how == "pause" and pause is not None:
            self.policy.observe(FoldPaused(trial=number, fold=fold, scores=(score,) * pause))
            return
        how = "finish" if how == "pause" else how
        if how in ("finish", "revise"):
            self.finished[number].add(fold)
            # As when another choice for inference becomes the common one.
            old = self.finished[number] - {fold} if how == "revise" else ()
            self.policy.observe(
                FoldFinished(
                    trial=number, fold=fold, score=score, seconds=1.0,
                    revised=dict.fromkeys(old, score),
                )
            )  # fmt: skip
        elif how == "lose":
            self.policy.observe(FoldLost(trial=number, fold=fold))
        else:
            self.stopped.add(number)
            state = State.PRUNED if how == "prune" else State.FAILED
            self.policy.observe(TrialStopped(trial=number, state=state))

    def return_late(self, number: int, score: float) -> None:
        """News of a fold whose trial was stopped meanwhile."""
        fold = len(self.finished[number])
        if fold < self.num_folds:
            self.policy.observe(FoldFinished(trial=number, fold=fold, score=score, seconds=1.0))
        self.policy.observe(FoldLost(trial=number, fold=fold))
        self.policy.observe(TrialStopped(trial=number, state=State.FAILED))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_order_of_events_keeps_the_rules_and_comes_to_an_end(
    name: str, data: st.DataObject
) -> None:
    num_trials = data.draw(st.integers(1, 12))
    num_folds = data.draw(st.integers(1, 5))
    num_slots = data.draw(st.integers(1, 4))
    life = Life(make(name, num_trials, num_folds), num_trials, num_folds)
    num_losses = 0
    for _ in range(num_trials * (num_folds + 3) + 20):  # a fold may be paused at every look
        life.fill(num_slots)
        if not life.running:
            break
        trial = data.draw(st.sampled_from(sorted(life.running)))
        how = data.draw(st.sampled_from(HOW))
        if how == "lose":
            num_losses += 1
            how = "lose" if num_losses <= 20 else "finish"
        life.end(trial, how, data.draw(fold_scores))
        if life.stopped and data.draw(st.booleans()):
            late = data.draw(st.sampled_from(sorted(life.stopped)))
            life.return_late(late, data.draw(fold_scores))
    assert not life.running, "the policy never came to an end"
    assert life.num_added == num_trials
    for number, folds in life.finished.items():
        assert number in life.stopped or len(folds) == num_folds


@pytest.mark.parametrize("name", NAMES)
def test_no_slots_no_decisions(name: str) -> None:
    assert make(name).decide(0) == []
    assert make(name).decide(-1) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_replayed_history_gives_the_same_decisions(name: str) -> None:
    first, second = make(name), make(name)
    events = [
        TrialAdded(trial=0),
        FoldStarted(trial=0, fold=0),
        TrialAdded(trial=1),
        FoldStarted(trial=1, fold=0),
        FoldFinished(trial=0, fold=0, score=0.3, seconds=1.0),
        FoldLost(trial=1, fold=0),
    ]
    for event in events:
        first.observe(event)
        first.decide(2)  # questions in between must not matter
    for event in events:
        second.observe(event)
    assert first.decide(3) == second.decide(3)


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_added_but_never_started_is_begun(name: str) -> None:
    policy = make(name, num_trials=1)
    policy.observe(TrialAdded(trial=0))
    assert policy.decide(2) == [RunFold(trial=0, fold=0)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["num_trials", "num_folds"])
def test_counts_below_one_are_refused(name: str, key: str) -> None:
    given_counts = {"num_trials": 2, "num_folds": 2, key: 0}
    with pytest.raises(UsageError, match=f"{key}: found 0, expected at least 1"):
        make(name, **given_counts)


def test_an_unknown_policy_is_refused_with_a_hint() -> None:
    with pytest.raises(UsageError, match=r"found 'gredy'.*did you mean 'greedy'"):
        make("gredy")
    with pytest.raises(UsageError, match="expected one of: expected_improvement, greedy"):
        make("xyz")
