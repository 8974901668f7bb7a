"""A driver may die between any two writes: what is left can always be read and finished."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import Driver, make_controller, new_sweep, toy_fold, toy_space
from optuna.trial import FrozenTrial
from sqlalchemy.pool import StaticPool

from sweep.ledger import Ledger
from sweep.ledger.entries import stored_step
from sweep.ledger.sql import Change, EpochValue, Fence, LedgerStorage
from sweep.records import FoldFinished, State
from sweep.space import SearchSpace


class Crash(BaseException):
    """The driver dies. Not an Exception, so that nothing on the way can handle it."""


class CrashingStorage(LedgerStorage):
    """A real storage whose driver dies instead of making a certain write."""

    def __init__(self) -> None:
        super().__init__(
            "sqlite://",
            engine_kwargs={"poolclass": StaticPool, "connect_args": {"check_same_thread": False}},
        )
        self.writes_left = math.inf

    def _count(self) -> None:
        if self.writes_left <= 0:
            raise Crash
        self.writes_left -= 1

    def create_fenced_trial(
        self, study_id: int, number: int, template: FrozenTrial, fence: Fence
    ) -> int:
        self._count()
        return super().create_fenced_trial(study_id, number, template, fence)

    def commit(self, *changes: Change, fence: Fence | None = None) -> None:
        self._count()
        super().commit(*changes, fence=fence)


STORAGE = CrashingStorage()


def sometimes_diverging(parameters: Mapping[str, Any], fold: int) -> tuple[list[float], float]:
    values, score = toy_fold(parameters, fold)
    if parameters["x"] < 0.15:
        values = [*values[:-1], math.nan]
    return values, math.nan if fold == 1 and 0.15 <= parameters["x"] < 0.19 else score


def live(name: str, space: SearchSpace, now: float, num_slots: int, num_writes: float) -> Ledger:
    """One driver's life, on a day of its own: until the sweep is over or it dies."""
    STORAGE.writes_left = math.inf
    ledger = Ledger(STORAGE, name, clock=lambda: now)
    before = {(c.number, fold) for c in ledger.projection.trials for fold in c.folds}
    ledger.acquire("test", 60.0)
    STORAGE.writes_left = num_writes
    driver = None
    try:
        driver = Driver(make_controller(ledger, space), ledger, sometimes_diverging, num_slots)
        driver.run()
        driver.controller.close("unused")
    except Crash:
        pass
    if driver is not None:
        assert not before & set(driver.started), "a finished fold was trained again"
    return ledger


def check_what_is_left(name: str, dead: Ledger) -> None:
    """What the dead driver knew was committed, but for epochs on which nothing was decided; at
    most the entry it was about to apply is more.
    """
    STORAGE.writes_left = 0  # a reader writes nothing
    read = Ledger(STORAGE, name).projection
    known = dead.projection.events()
    events = read.events()
    assert events[: len(known)] == known
    assert len(events) - len(known) <= 1
    finished = [(e.trial, e.fold) for e in events if isinstance(e, FoldFinished)]
    assert len(finished) == len(set(finished))
    waiting = {(one.trial_id, one.step) for one in dead._waiting if isinstance(one, EpochValue)}
    assert len(waiting) == len(dead._waiting)
    for one, left in zip(dead.projection.trials, read.trials, strict=False):
        assert left.folds.keys() == one.folds.keys()
        lost = {
            (dead._trial_ids[one.number], stored_step(fold, epoch))
            for fold, epochs in one.epochs.items()
            for epoch in epochs.keys() - left.epochs.get(fold, {}).keys()
        }
        assert lost <= waiting
        assert not (lost and one.state.is_final), "it ended by what was not committed"


def check_the_end(name: str, space: SearchSpace) -> None:
    projection = Ledger(STORAGE, name).projection
    assert projection.sweep_state == "finished"
    assert all(one.state.is_final for one in projection.trials)
    trials = STORAGE.get_all_trials(STORAGE.get_study_id_from_name(name))
    for one, trial in zip(projection.trials, trials, strict=True):
        assert trial.state.is_finished(), "a trial was never told"
        if one.state is State.COMPLETE:
            assert len(one.folds) == space.num_folds
            assert trial.value == pytest.approx(one.mean_value)
    assert projection.trials[0].state in (State.COMPLETE, State.FAILED)


def test_a_crash_before_every_single_write() -> None:
    space = toy_space(num_trials=3, num_completions=2, folds=2, pruner="{name: median}")
    for num_writes in range(1000):
        name = new_sweep(STORAGE, space)
        STORAGE.writes_left = math.inf
        dead = live(name, space, 1e9, 2, num_writes)
        if dead.projection.sweep_state == "finished":
            assert num_writes > 15
            return
        check_what_is_left(name, dead)
        live(name, space, 2e9, 2, math.inf)
        check_the_end(name, space)
    raise AssertionError("the sweep never ended by itself")


PRUNERS = [
    "{name: none}",
    "{name: median, n_startup_trials: 1}",
    "{name: successive_halving, reduction_factor: 2}",
    "{name: wilcoxon}",
]


@settings(max_examples=30, deadline=None)
@given(
    crashes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    policy=st.sampled_from(["greedy", "standard"]),
    pruner=st.sampled_from(PRUNERS),
    sampler=st.sampled_from(["tpe", "random"]),
    num_slots=st.integers(1, 3),
    num_trials=st.integers(2, 6),
    direction=st.sampled_from(["maximize", "minimize"]),
)
def test_any_number_of_crashes_in_a_row(
    crashes: list[int],
    policy: str,
    pruner: str,
    sampler: str,
    num_slots: int,
    num_trials: int,
    direction: str,
) -> None:
    space = toy_space(
        policy=policy,
        pruner=pruner,
        sampler=sampler,
        num_trials=num_trials,
        num_completions=min(2, num_trials),
        folds=2,
        direction=direction,
    )
    STORAGE.writes_left = math.inf
    name = new_sweep(STORAGE, space)
    for day, num_writes in enumerate(crashes, start=1):
        dead = live(name, space, day * 1e8, num_slots, num_writes)
        check_what_is_left(name, dead)
    live(name, space, 1e10, num_slots, math.inf)
    check_the_end(name, space)
    again = Ledger(STORAGE, name)
    assert again.projection.events() == Ledger(STORAGE, name).projection.events()
