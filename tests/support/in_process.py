"""A sweep without Ray: a real controller on a real ledger, trained by a function.

The clock is simulated, so runs are the same every time: each epoch of each slot takes a time drawn
from a seed. Every step checks what must hold in any sweep.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy.pool import StaticPool

from sweep.ledger import Ledger, create_study
from sweep.ledger.header import SweepHeader
from sweep.ledger.sql import LedgerStorage
from sweep.policies import make_policy
from sweep.records import (
    Assignment,
    Epoch,
    FoldScore,
    FoldStarted,
    NewTrial,
    RunFold,
    State,
    TrialAdded,
    as_score,
)
from sweep.search.controller import Controller
from sweep.search.stop_rules import make_stop_rule
from sweep.space import SearchSpace, parse_space

#: What a fold does: epoch values, then the one on the held fold.
FoldFunction = Callable[[Mapping[str, Any], int], tuple[list[float], float]]

SPACE = """
name: toy
objective: {{metric: quality, direction: {direction}}}
folds: {folds}
policy: {{name: {policy}, num_trials: {num_trials}, num_completions: {num_completions}}}
pruner: {pruner}
sampler: {{name: {sampler}, n_startup_trials: 4}}
parameters:
  x: {{type: float, low: 0.0, high: 1.0, default: 0.2}}
  kind: {{type: categorical, choices: [a, b], default: a}}
  y: {{type: float, low: 0.0, high: 1.0, default: 0.5, when: {{kind: b}}}}
"""


def toy_space(
    *,
    policy: str = "greedy",
    num_trials: int = 6,
    num_completions: int | None = 2,
    folds: int = 3,
    pruner: str = "{name: none}",
    sampler: str = "random",
    direction: str = "maximize",
) -> SearchSpace:
    text = SPACE.format(
        policy=policy,
        num_trials=num_trials,
        num_completions="null" if num_completions is None else num_completions,
        folds=folds,
        pruner=pruner,
        sampler=sampler,
        direction=direction,
    )
    return parse_space(text, "toy.yaml")


def toy_fold(parameters: Mapping[str, Any], fold: int) -> tuple[list[float], float]:
    """Best at x = 0.7; folds differ by a constant; three epochs that rise to the score."""
    score = 1.0 - abs(parameters["x"] - 0.7) - 0.05 * fold
    if parameters["kind"] == "b":
        score -= 0.1 * abs(parameters["y"] - 0.5)
    return [score * part for part in (0.5, 0.8, 0.9)], score


def memory_storage() -> LedgerStorage:
    """A real SQLite database that lives in memory, for tests that write a lot."""
    return LedgerStorage(
        "sqlite://",
        engine_kwargs={"poolclass": StaticPool, "connect_args": {"check_same_thread": False}},
    )


_names = (f"toy-{number}" for number in itertools.count())


def new_sweep(storage: LedgerStorage, space: SearchSpace, *, seed: int = 0) -> str:
    """Lay out a sweep under a name of its own; returns the name."""
    name = next(_names)
    header = SweepHeader(
        metric=space.objective.metric,
        maximize=space.objective.maximize,
        num_folds=space.num_folds,
        seed=seed,
        space_text=space.text,
    )
    create_study(storage, name, header)
    return name


def make_controller(ledger: Ledger, space: SearchSpace, *, seed: int = 0) -> Controller:
    """A controller with fresh policy and stop rule; the ledger's lease must be held."""
    spec = space.policy
    policy = make_policy(spec.name, spec.settings(), space.num_folds)
    return Controller(
        ledger,
        space,
        policy,
        make_stop_rule(
            spec.num_trials,
            spec.num_completions,
            space.num_folds,
            policy=policy,
            min_gain=spec.min_gain,
        ),
        seed=seed,
    )


@dataclass
class Driver:
    """Runs folds on slots until the sweep is over or `max_reports` reports were taken."""

    controller: Controller
    ledger: Ledger
    fold_function: FoldFunction
    num_slots: int = 2
    seed: int = 0
    busy: dict[int, Assignment] = field(default_factory=dict)
    started: list[tuple[int, int]] = field(default_factory=list)

    def run(self, max_reports: int | None = None) -> bool:
        """Returns whether the sweep is over; a driver that is not is simply dropped, as by -9."""
        self._rng = np.random.default_rng(self.seed)
        self._queue: list[tuple[float, int, int, Assignment]] = []
        self._ticket = itertools.count()
        self._fill(0.0)
        for count in itertools.count():
            if self.controller.stop_reason() is not None:
                return True
            if count == max_reports:
                return False
            assert self._queue, "nothing runs, nothing is wanted, and the sweep is not over"
            now, _, epoch, assignment = heapq.heappop(self._queue)
            if not self._report(now, epoch, assignment):
                del self.busy[assignment.trial]
            self._fill(now)
        raise AssertionError

    def _fill(self, now: float) -> None:
        while len(self.busy) < self.num_slots:
            decisions = self.controller.wanted(self.num_slots - len(self.busy))
            assert len(decisions) <= self.num_slots - len(self.busy)
            assert decisions == self.controller.wanted(self.num_slots - len(self.busy))
            if not decisions:
                return
            assignment = self._start(decisions[0])
            self.busy[assignment.trial] = assignment
            self._schedule(now, 1 + self._num_kept(assignment), assignment)

    def _num_kept(self, assignment: Assignment) -> int:
        """Epochs that a fold does not repeat: those before it was paused."""
        one = self.ledger.projection.trials[assignment.trial]
        tries = [entry for entry in one.log if entry.fold == assignment.fold]
        is_paused = len(tries) > 1 and tries[-2].outcome == "paused"
        return max(one.epochs[assignment.fold]) if is_paused else 0

    def _start(self, decision: NewTrial | RunFold) -> Assignment:
        if isinstance(decision, NewTrial):
            assignment = self.controller.add_trial()
        else:
            assert decision.trial not in self.busy, "two folds of one trial at once"
            one = self.ledger.projection.trials[decision.trial]
            assert decision.fold not in one.folds, "a finished fold again"
            assignment = self.controller.start(decision.trial)
            assert assignment.fold == decision.fold
        self.started.append((assignment.trial, assignment.fold))
        return assignment

    def _schedule(self, now: float, epoch: int, assignment: Assignment) -> None:
        entry = (now + self._rng.exponential(), next(self._ticket), epoch, assignment)
        heapq.heappush(self._queue, entry)

    def _report(self, now: float, epoch: int, assignment: Assignment) -> bool:
        """Returns whether the fold goes on."""
        values, value = self.fold_function(assignment.settings, assignment.fold)
        key = {
            "trial": assignment.trial,
            "fold": assignment.fold,
            "attempt": assignment.attempt,
        }
        report = Epoch(**key, epoch=epoch, value=values[epoch - 1], seconds=1.0)
        if epoch < len(values):
            if self.controller.on_epoch(report) is not State.RUNNING:
                return False
            self._schedule(now, epoch + 1, assignment)
            return True
        state = self.controller.on_fold(
            FoldScore(
                **key,
                value=value,
                score=as_score(value, maximize=self.ledger.header.maximize),
                seconds=float(len(values)),
                num_epochs=len(values),
                best_epoch=len(values),
                metrics={"quality": value},
                curves={"monitor_quality": tuple(values)},
            ),
            report,
        )
        assert state is not State.RUNNING
        return False


def assert_replays(ledger: Ledger, policy: str, num_trials: int, **settings: Any) -> None:
    """Every start in a ledger's history is the first decision of a fresh policy at that point."""
    settings = {"num_trials": num_trials, **settings}
    fresh = make_policy(policy, settings, ledger.projection.num_folds)
    history = ledger.projection.events()
    for index, event in enumerate(history):
        if isinstance(event, TrialAdded):
            (decision,) = fresh.decide(1)
            assert isinstance(decision, NewTrial)
            is_begun = decision.start
        elif isinstance(event, FoldStarted) and not (
            isinstance(history[index - 1], TrialAdded) and is_begun
        ):
            assert fresh.decide(1) == [RunFold(trial=event.trial, fold=event.fold)]
        fresh.observe(event)
