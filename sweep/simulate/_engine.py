"""A sweep in simulated time: the live driver's order of things, with scores from a table.

Workers are asynchronous: whoever is free gets the next fold at once. Policy, pruner and stop rule
are the objects that run live; they see the same events in the same order.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from sweep.errors import UsageError
from sweep.policies import Policy
from sweep.projection import Candidate, Projection
from sweep.pruners import PrunerJudge
from sweep.records import (
    CandidateAdded,
    CandidateStopped,
    Epoch,
    Event,
    FoldFinished,
    FoldLost,
    FoldScore,
    FoldStarted,
    NewCandidate,
    State,
)
from sweep.simulate._table import Table
from sweep.stop_rules import StopRule

#: As in a live sweep, the first candidate is the default and is never pruned.
DEFAULT_CANDIDATE = 0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What the folds run on.

    Attributes:
        num_workers: Folds at once, at least 1.
        loss_rate: Chance that a fold is lost half way, in [0, 1).
        max_losses: A candidate that loses a fold this often has failed, at least 1.
        straggler_rate: Chance that a fold takes `straggler_factor` times its seconds.
        straggler_factor: At least 1.
    """

    num_workers: int = 1
    loss_rate: float = 0.0
    max_losses: int = 3
    straggler_rate: float = 0.0
    straggler_factor: float = 4.0

    def __post_init__(self) -> None:
        for name, value in (("num_workers", self.num_workers), ("max_losses", self.max_losses)):
            if value < 1:
                raise UsageError(f"{name}: found {value}, expected at least 1")
        if not 0 <= self.loss_rate < 1:
            raise UsageError(f"loss_rate: found {self.loss_rate}, expected a value in [0, 1)")
        if not 0 <= self.straggler_rate <= 1:
            raise UsageError(
                f"straggler_rate: found {self.straggler_rate}, expected a value in [0, 1]"
            )
        if self.straggler_factor < 1:
            raise UsageError(
                f"straggler_factor: found {self.straggler_factor}, expected at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class Deal:
    """How a seed lays out a table: which rows come when, and which folds.

    Attributes:
        partitions: Of the table, those that the search sees.
        order: Row of each candidate, in the order of proposal.
        folds: Partition and column of each fold; the same for every candidate.
    """

    partitions: tuple[int, ...]
    order: tuple[int, ...]
    folds: tuple[tuple[int, int], ...]


def deal(table: Table, seed: int, *, repeats: int = 1) -> Deal:
    """The layout of a seed: random candidates and folds, partitions in turn.

    Args:
        table: To search.
        seed: At least 0.
        repeats: Partitions that the search sees, the folds of one after those of the other.

    Raises:
        UsageError: The table has fewer partitions.
    """
    if not 1 <= repeats <= table.num_partitions:
        raise UsageError(
            f"{table.name}: {repeats} partitions were asked for, found {table.num_partitions}"
        )
    generator = np.random.default_rng(seed)
    order = tuple(generator.permutation(table.num_candidates).tolist())
    partitions = tuple((seed + number) % table.num_partitions for number in range(repeats))
    return Deal(
        partitions=partitions,
        order=order,
        folds=tuple(
            (partition, fold)
            for partition in partitions
            for fold in generator.permutation(table.num_folds).tolist()
        ),
    )


@dataclass(kw_only=True)
class Run:
    """What a simulated sweep did.

    Attributes:
        chosen: Table row of the winner; the best partial one when nothing is complete, -1 when
            nothing was scored.
        num_folds: Folds paid for; one that was stopped or lost counts by its share.
        num_epochs: Epochs paid for.
        busy_seconds: Worker time paid for.
        makespan_seconds: Time until the sweep was over.
        reason: Why it was over.
        started: (candidate, fold) in the order of start.
        anytime: (folds paid for, row chosen if the sweep ended there), at every change.
        events: Everything the policy saw, if it was asked for.
        num_worst: Scores that were not finite and counted as worst.
    """

    chosen: int = -1
    num_folds: float = 0.0
    num_epochs: float = 0.0
    busy_seconds: float = 0.0
    makespan_seconds: float = 0.0
    reason: str = ""
    started: list[tuple[int, int]] = field(default_factory=list)
    anytime: list[tuple[float, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    num_worst: int = 0


@dataclass(eq=False, slots=True)
class _Task:
    """A fold on a worker."""

    candidate: int
    fold: int
    began: float
    seconds: float
    num_epochs: int
    is_lost: bool
    epoch: int = 0  # the last one reported


class Simulation:
    """One sweep over one table."""

    def __init__(
        self,
        table: Table,
        layout: Deal,
        policy: Policy,
        stop_rule: StopRule,
        *,
        pruner: PrunerJudge | None = None,
        cluster: Cluster | None = None,
        seed: int = 0,
        keep_events: bool = False,
    ) -> None:
        """Set up; policy and stop rule must be fresh.

        Args:
            table: Scores.
            layout: See `deal`.
            policy: Orders.
            stop_rule: Ends the sweep.
            pruner: Stops candidates; it is asked through a projection, as live.
            cluster: One worker that never fails unless given.
            seed: Of losses and stragglers.
            keep_events: Whether `Run.events` is filled.
        """
        self._table, self._layout = table, layout
        self._policy, self._stop_rule = policy, stop_rule
        self._cluster = cluster or Cluster()
        self._rng = np.random.default_rng([seed, 1])
        self._keep_events = keep_events
        order, (partitions, columns) = list(layout.order), np.transpose(layout.folds)
        self._num_folds = len(columns)
        self._scores = table.scores[partitions, :, columns][:, order].T.tolist()
        self._seconds = table.seconds[partitions, :, columns][:, order].T.tolist()
        self._pruner = pruner
        asks = pruner is not None and (pruner.epoch is not None or pruner.fold is not None)
        header = {"num_folds": self._num_folds, "maximize": True}
        self._projection = Projection(header=header) if asks else None
        self._asks_epochs = asks and pruner is not None and pruner.epoch is not None
        self._queue: list[tuple[float, int, _Task]] = []
        self._ticket = itertools.count()
        self._free = self._cluster.num_workers
        self._done: list[int] = []  # finished folds of each candidate
        self._sums: list[float] = []
        self._losses: dict[int, int] = {}
        self._leader: tuple[int, tuple[bool, float]] = (-1, (False, -math.inf))
        self.run_so_far = Run()

    def run(self) -> Run:
        """Play it to the end."""
        now, run = 0.0, self.run_so_far
        self._fill(now)
        while self._queue and self._stop_rule.reason() is None:
            now, _, task = heapq.heappop(self._queue)
            self._report(task)
            if self._stop_rule.reason() is None:
                self._fill(now)
        for _, _, task in self._queue:  # still running when the sweep was over
            self._pay(task, min(1.0, (now - task.began) / task.seconds if task.seconds else 1.0))
        run.reason = run.reason or self._stop_rule.reason() or "nothing is left to do"
        run.makespan_seconds = now
        return run

    # Starting

    def _fill(self, now: float) -> None:
        while self._free > 0:
            decisions = self._policy.decide(self._free)
            if not decisions:
                return
            for decision in decisions:
                if isinstance(decision, NewCandidate):
                    candidate = self._add()
                    if decision.start:
                        self._start(now, candidate, 0)
                else:
                    self._start(now, decision.candidate, decision.fold)

    def _add(self) -> int:
        candidate = len(self._done)
        if candidate >= self._table.num_candidates:
            raise UsageError(
                f"{self._table.name}: the policy asked for candidate {candidate + 1}, "
                f"the table has {self._table.num_candidates}; lower num_trials"
            )
        self._done.append(0)
        self._sums.append(0.0)
        parameters = self._table.params[self._layout.order[candidate]]
        if self._projection is not None:
            self._projection.add(
                Candidate(
                    number=candidate,
                    parameters=dict(parameters),
                    settings=dict(parameters),
                    distributions={},
                    created_at="",
                )
            )
        self._observe(CandidateAdded(candidate=candidate, parameters=parameters))
        return candidate

    def _start(self, now: float, candidate: int, fold: int) -> None:
        self._free -= 1
        if self._projection is not None:
            attempt = self._projection.candidates[candidate].attempts.get(fold, 0) + 1
            self._projection.start(candidate, fold, attempt, "")
        self.run_so_far.started.append((candidate, fold))
        self._observe(FoldStarted(candidate=candidate, fold=fold))
        cluster, seconds = self._cluster, self._seconds[candidate][fold]
        if cluster.straggler_rate and self._rng.random() < cluster.straggler_rate:
            seconds *= cluster.straggler_factor
        is_lost = cluster.loss_rate > 0 and bool(self._rng.random() < cluster.loss_rate)
        row, (partition, column) = self._layout.order[candidate], self._layout.folds[fold]
        num_epochs = self._table.num_epochs(partition, row, column)
        self._schedule(_Task(candidate, fold, now, seconds, num_epochs, is_lost))

    def _schedule(self, task: _Task) -> None:
        """Queue the next report of a fold: an epoch where somebody asks, else its end."""
        if task.is_lost:
            share = 0.5
        elif self._asks_epochs:
            task.epoch += 1
            share = task.epoch / task.num_epochs
        else:
            task.epoch, share = task.num_epochs, 1.0
        at = task.began + share * task.seconds
        heapq.heappush(self._queue, (at, next(self._ticket), task))

    # Reports

    def _report(self, task: _Task) -> None:
        if task.is_lost:
            self._lose(task)
        elif self._asks_epochs and self._is_stopped_inside(task):
            self._leave(task, task.epoch / task.num_epochs)
            self._stop(task.candidate, State.PRUNED)
        elif task.epoch < task.num_epochs:
            self._schedule(task)
        else:
            self._finish(task)

    def _is_stopped_inside(self, task: _Task) -> bool:
        """Pass an epoch on; whether the pruner stops the candidate there."""
        assert self._projection is not None
        assert self._pruner is not None
        if self._table.curves is None:
            return False
        row, (partition, column) = self._layout.order[task.candidate], self._layout.folds[task.fold]
        value = float(self._table.curves[partition, row, column, task.epoch - 1])
        attempt = self._projection.candidates[task.candidate].attempts[task.fold]
        self._projection.epoch(
            Epoch(
                candidate=task.candidate,
                fold=task.fold,
                attempt=attempt,
                epoch=task.epoch,
                value=value,
                seconds=task.seconds / task.num_epochs,
            )
        )
        if task.candidate == DEFAULT_CANDIDATE or task.epoch == task.num_epochs:
            return False
        prune = self._pruner.should_prune_epoch(self._projection, task.candidate, task.fold)
        marks = self._pruner.take_marks(self._projection, task.candidate)
        if marks is not None:
            self._projection.note(task.candidate, *marks)
        return prune

    def _lose(self, task: _Task) -> None:
        self._leave(task, 0.5)
        if self._projection is not None:
            self._projection.lose(task.candidate, task.fold, "", "lost")
        self._observe(FoldLost(candidate=task.candidate, fold=task.fold))
        self._losses[task.candidate] = self._losses.get(task.candidate, 0) + 1
        if self._losses[task.candidate] >= self._cluster.max_losses:
            self._stop(task.candidate, State.FAILED)

    def _finish(self, task: _Task) -> None:
        candidate, fold = task.candidate, task.fold
        score = self._scores[candidate][fold]
        self._leave(task, 1.0)
        if self._projection is not None:
            attempt = self._projection.candidates[candidate].attempts[fold]
            self._projection.finish(
                FoldScore(
                    candidate=candidate,
                    fold=fold,
                    attempt=attempt,
                    score=score,
                    seconds=task.seconds,
                    num_epochs=task.num_epochs,
                    best_epoch=task.num_epochs,
                ),
                "",
            )
        self._observe(
            FoldFinished(candidate=candidate, fold=fold, score=score, seconds=task.seconds)
        )
        self._done[candidate] += 1
        self._sums[candidate] += score if math.isfinite(score) else -math.inf
        if not math.isfinite(score):
            self.run_so_far.num_worst += 1
            self._stop(candidate, State.FAILED)
            return
        self._follow_leader(candidate)
        if self._done[candidate] == self._num_folds:
            self._end_in_projection(candidate, State.COMPLETE)
        elif (
            self._projection is not None
            and self._pruner is not None
            and candidate != DEFAULT_CANDIDATE
            and self._pruner.should_prune_fold(self._projection, candidate)
        ):
            self._stop(candidate, State.PRUNED)

    def _stop(self, candidate: int, state: State) -> None:
        self._end_in_projection(candidate, state)
        self._observe(CandidateStopped(candidate=candidate, state=state))

    def _end_in_projection(self, candidate: int, state: State) -> None:
        if self._projection is not None:
            self._projection.end(candidate, state, "", "simulated")

    # Accounts

    def _leave(self, task: _Task, share: float) -> None:
        self._free += 1
        self._pay(task, share)

    def _pay(self, task: _Task, share: float) -> None:
        run = self.run_so_far
        run.num_folds += share
        run.num_epochs += share * task.num_epochs
        run.busy_seconds += share * task.seconds

    def _follow_leader(self, candidate: int) -> None:
        """The winner if the sweep ended now: complete before partial, then the better mean."""
        mean = self._sums[candidate] / self._done[candidate]
        standing = (self._done[candidate] == self._num_folds, mean)
        run, (leader, best) = self.run_so_far, self._leader
        if candidate == leader and standing < best:  # a partial leader fell back
            pairs = zip(self._sums, self._done, strict=True)
            means = [total / count if count else -math.inf for total, count in pairs]
            leader = max(range(len(means)), key=means.__getitem__)
            self._leader = (leader, (self._done[leader] == self._num_folds, means[leader]))
        elif standing <= best:
            return
        else:
            self._leader = (candidate, standing)
        chosen = self._layout.order[self._leader[0]]
        if chosen != run.chosen:
            run.chosen = chosen
            run.anytime.append((run.num_folds, chosen))

    def _observe(self, event: Event) -> None:
        if self._keep_events:
            self.run_so_far.events.append(event)
        self._policy.observe(event)
        self._stop_rule.observe(event)
