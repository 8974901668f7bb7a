"""A sweep in simulated time: the live driver's order of things, with scores from a table.

Workers are asynchronous: a free one gets the next fold at once. Policy, pruner and stop rule are
the objects that run live; they see the same events in the same order.
"""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np

from sweep.errors import UsageError
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import NAN_REASON, Projection, Trial
from sweep.policies import Policy, first_rung, pause_after
from sweep.records import (
    DEFAULT_TRIAL,
    Epoch,
    Event,
    FoldFinished,
    FoldLost,
    FoldPaused,
    FoldScore,
    FoldStarted,
    NewTrial,
    State,
    TrialAdded,
    TrialStopped,
)
from sweep.search.pruner_adapter import PrunerAdapter
from sweep.search.stop_rules import StopRule
from sweep.simulate._incumbent import IncumbentTracker
from sweep.simulate._layout import Cluster, ReplayOrder
from sweep.simulate._proposing import Proposer
from sweep.simulate._run import Run, Task
from sweep.simulate._table import Table


class Simulation:
    """One sweep over one table."""

    def __init__(
        self,
        table: Table,
        layout: ReplayOrder,
        policy: Policy,
        stop_rule: StopRule,
        *,
        pruner: PrunerAdapter | None = None,
        proposer: Proposer | None = None,
        cluster: Cluster | None = None,
        seed: int = 0,
        keep_events: bool = False,
    ) -> None:
        """Set up; policy and stop rule must be fresh.

        Args:
            table: Scores.
            layout: See `replay_order`.
            policy: Orders.
            stop_rule: Ends the sweep.
            pruner: Stops trials; it is asked through a projection, as live.
            proposer: Chooses the row of each new trial; the layout's order unless given.
            cluster: One worker that never fails unless given.
            seed: Seed of losses and stragglers.
            keep_events: Whether `Run.events` is filled.
        """
        self._table, self._layout = table, layout
        self._policy, self._stop_rule = policy, stop_rule
        self._cluster = cluster or Cluster()
        self._rng = np.random.default_rng([seed, 1])
        self._keep_events = keep_events
        partitions, columns = np.transpose(layout.folds)
        self._num_folds = len(columns)
        self._scores = table.scores[partitions, :, columns].T.tolist()
        self._seconds = table.seconds[partitions, :, columns].T.tolist()
        self._pruner, self._proposer = pruner, proposer
        asks = pruner is not None and (pruner.epoch is not None or pruner.fold is not None)
        header = SweepHeader(metric="score", maximize=True, num_folds=self._num_folds, seed=0)
        self._projection = Projection(header=header) if asks or proposer else None
        self._judges_epochs = asks and pruner is not None and pruner.epoch is not None
        at_rung = proposer is not None and first_rung(policy) is not None
        self._asks_epochs = self._judges_epochs or at_rung
        self._queue: list[tuple[float, int, Task]] = []
        self._ticket = itertools.count()
        self._free = self._cluster.num_workers
        self._incumbent = IncumbentTracker(self._num_folds)
        self._losses: dict[int, int] = {}
        self._paused_at: dict[tuple[int, int], int] = {}  # epochs of a fold that are done
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
            run.pay(task, min(1.0, (now - task.began) / task.seconds if task.seconds else 1.0))
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
                if isinstance(decision, NewTrial):
                    trial = self._add()
                    if decision.start:
                        self._start(now, trial, 0)
                else:
                    self._start(now, decision.trial, decision.fold)

    def _add(self) -> int:
        trial = len(self._incumbent)
        if trial >= self._table.num_trials:
            raise UsageError(
                f"{self._table.name}: the policy asked for trial {trial + 1}, "
                f"the table has {self._table.num_trials}; lower num_trials"
            )
        self._incumbent.add()
        row = self._enter(trial)
        self.run_so_far.rows.append(row)
        parameters = self._table.params[row]
        self._observe(TrialAdded(trial=trial, parameters=parameters))
        return trial

    def _enter(self, number: int) -> int:
        """Choose the row of a trial, and enter it in the projection where there is one."""
        if self._projection is None:
            return self._layout.order[number]
        proposer = self._proposer
        row = proposer.next_row(self._projection) if proposer else self._layout.order[number]
        settings = dict(self._table.params[row])
        self._projection.add(
            Trial(
                number=number,
                parameters=proposer.parameters(row) if proposer else settings,
                settings=settings,
                distributions=dict(proposer.distributions) if proposer else {},
                created_at="",
            )
        )
        return row

    def _start(self, now: float, number: int, fold: int) -> None:
        self._free -= 1
        if self._projection is not None:
            attempt = self._projection.trials[number].attempts.get(fold, 0) + 1
            self._projection.start(number, fold, attempt, "")
        self.run_so_far.started.append((number, fold))
        self._observe(FoldStarted(trial=number, fold=fold))
        row, (partition, column) = self.run_so_far.rows[number], self._layout.folds[fold]
        cluster, seconds = self._cluster, self._seconds[row][fold]
        if cluster.straggler_rate and self._rng.random() < cluster.straggler_rate:
            seconds *= cluster.straggler_factor
        is_lost = cluster.loss_rate > 0 and bool(self._rng.random() < cluster.loss_rate)
        num_epochs = self._table.num_epochs(partition, row, column)
        done = self._paused_at.get((number, fold), 0)
        self._schedule(Task(number, fold, now, seconds, num_epochs, is_lost, done, done))

    def _schedule(self, task: Task) -> None:
        """Queue the next report of a fold: an epoch where that is asked for, else its end."""
        if task.is_lost:
            share = 0.5 * (1 - task.first_epoch / task.num_epochs)
        else:
            pause = None if self._table.curves is None else pause_after(self._policy, task.trial)
            end = task.num_epochs if pause is None else min(pause, task.num_epochs)
            task.epoch = min(task.epoch + 1 if self._asks_epochs else end, task.num_epochs)
            task.epoch = max(task.epoch, task.first_epoch + 1)
            share = task.share
        at = task.began + share * task.seconds
        heapq.heappush(self._queue, (at, next(self._ticket), task))

    # Reports

    def _report(self, task: Task) -> None:
        if task.is_lost:
            self._lose(task)
        elif self._asks_epochs and self._is_stopped_inside(task):
            self._leave(task, task.share)
            self._stop(task.trial, State.PRUNED)
        elif task.epoch < task.num_epochs:
            pause = pause_after(self._policy, task.trial)
            if pause is None or task.epoch < pause:
                self._schedule(task)
            else:
                self._pause(task)
        else:
            self._finish(task)

    def _is_stopped_inside(self, task: Task) -> bool:
        """Pass an epoch on; whether the pruner stops the trial there."""
        assert self._projection is not None
        if self._table.curves is None:
            return False
        row = self.run_so_far.rows[task.trial]
        partition, column = self._layout.folds[task.fold]
        value = float(self._table.curves[partition, row, column, task.epoch - 1])
        attempt = self._projection.trials[task.trial].attempts[task.fold]
        self._projection.epoch(
            Epoch(
                trial=task.trial,
                fold=task.fold,
                attempt=attempt,
                epoch=task.epoch,
                value=value,
                seconds=task.seconds / task.num_epochs,
            )
        )
        if not self._judges_epochs or task.trial == DEFAULT_TRIAL or task.epoch == task.num_epochs:
            return False
        assert self._pruner is not None
        prune = self._pruner.should_prune_epoch(self._projection, task.trial, task.fold)
        marks = self._pruner.take_rung_marks(self._projection, task.trial)
        if marks is not None:
            self._projection.note(task.trial, *marks)
        return prune

    def _pause(self, task: Task) -> None:
        """The fold gives its slot back; what is trained is kept."""
        assert self._table.curves is not None
        row = self.run_so_far.rows[task.trial]
        partition, column = self._layout.folds[task.fold]
        scores = tuple(self._table.curves[partition, row, column, : task.epoch].tolist())
        self._leave(task, task.share)
        self._paused_at[task.trial, task.fold] = task.epoch
        if self._projection is not None:
            self._projection.pause(task.trial, task.fold, "", "simulated", scores)
        self._observe(FoldPaused(trial=task.trial, fold=task.fold, scores=scores))

    def _lose(self, task: Task) -> None:
        self._leave(task, 0.5 * (1 - task.first_epoch / task.num_epochs))
        if self._projection is not None:
            self._projection.lose(task.trial, task.fold, "", "lost")
        self._observe(FoldLost(trial=task.trial, fold=task.fold))
        self._losses[task.trial] = self._losses.get(task.trial, 0) + 1
        if self._losses[task.trial] >= self._cluster.max_losses:
            self._stop(task.trial, State.FAILED)

    def _finish(self, task: Task) -> None:
        trial, fold = task.trial, task.fold
        score = self._scores[self.run_so_far.rows[trial]][fold]
        self._leave(task, task.share)
        if self._projection is not None:
            attempt = self._projection.trials[trial].attempts[fold]
            self._projection.finish(
                FoldScore(
                    trial=trial,
                    fold=fold,
                    attempt=attempt,
                    value=score,  # the table's scores, higher is better
                    score=score,
                    seconds=task.seconds,
                    num_epochs=task.num_epochs,
                    best_epoch=task.num_epochs,
                ),
                "",
            )
        self._observe(FoldFinished(trial=trial, fold=fold, score=score, seconds=task.seconds))
        self._incumbent.score(trial, score)
        leader = self._incumbent.leader
        self.run_so_far.lead(self.run_so_far.rows[leader] if leader >= 0 else -1)
        if not math.isfinite(score):
            self.run_so_far.num_worst += 1
            self._stop(trial, State.FAILED, NAN_REASON)
            return
        if self._incumbent.is_complete(trial):
            self._end_in_projection(trial, State.COMPLETE, "all folds are done")
        elif (
            self._projection is not None
            and self._pruner is not None
            and trial != DEFAULT_TRIAL
            and self._pruner.should_prune_fold(self._projection, trial)
        ):
            self._stop(trial, State.PRUNED)

    def _stop(self, number: int, state: State, reason: str = "simulated") -> None:
        self._end_in_projection(number, state, reason)
        self._observe(TrialStopped(trial=number, state=state))

    def _end_in_projection(self, number: int, state: State, reason: str) -> None:
        if self._projection is not None:
            self._projection.end(number, state, reason, "")

    # Accounts

    def _leave(self, task: Task, share: float) -> None:
        self._free += 1
        self.run_so_far.pay(task, share)

    def _observe(self, event: Event) -> None:
        if self._keep_events:
            self.run_so_far.events.append(event)
        self._policy.observe(event)
        self._stop_rule.observe(event)
