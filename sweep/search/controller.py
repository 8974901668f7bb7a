"""The driver's brain: every decision of a live sweep, in the order in which it is committed.

Policy, pruner, sampler and stop rule each decide alone; the controller asks them, writes the ledger
and passes the ledger's events on. It knows nothing of Ray, so an adapter only translates, and a
test can drive it with a function.

The policy and the stop rule see exactly the events that the ledger holds, live and on resume: the
controller feeds them from the ledger's history and from nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sweep.ledger import NAN_REASON, Ledger
from sweep.ledger.projection import DRIVER_STOPPED, Trial
from sweep.policies import Policy, first_rung, pause_after
from sweep.records import Assignment, Decision, Epoch, FoldScore, NewTrial, State, SweepState
from sweep.search.pruner_adapter import PrunerAdapter
from sweep.search.samplers import Proposer
from sweep.search.stop_rules import StopRule
from sweep.space import SearchSpace


class Controller:
    """Drives one sweep through its ledger; the lease must be held."""

    def __init__(
        self,
        ledger: Ledger,
        space: SearchSpace,
        policy: Policy,
        stop_rule: StopRule,
        *,
        seed: int,
        final_notes: Callable[[Trial], Mapping[str, Any]] | None = None,
    ) -> None:
        """Begin or resume: settles the ledger, gives up what was running, replays the history.

        Args:
            ledger: Ledger with its lease acquired.
            space: What may vary, and the pruner and sampler.
            policy: Fresh.
            stop_rule: Fresh.
            seed: Seed of the sweep, at least 0.
            final_notes: What the ledger keeps of a trial that has all its folds, by key; asked
                before it ends, since nothing can be added to it afterwards.
        """
        self._ledger, self._space = ledger, space
        self._policy, self._stop_rule, self._seed = policy, stop_rule, seed
        self._proposer = Proposer(space, ledger.projection, seed, first_rung(policy))
        self._pruner = PrunerAdapter(space.pruner.build())
        self._num_seen = 0
        self._ended: str | None = None
        self._final_notes = final_notes
        for trial in list(ledger.projection.open_trials()):
            if trial.next_fold(ledger.projection.num_folds) is None and not trial.is_diverged:
                self._keep_final_notes(trial)
        ledger.settle()
        for trial in list(ledger.projection.open_trials()):
            if trial.running_fold is not None:
                ledger.lose_fold(trial.number, DRIVER_STOPPED)
        self._pass_on()
        if ledger.projection.sweep_state is not SweepState.FINISHED:
            ledger.set_sweep_state(SweepState.RUNNING)

    def wanted(self, free_slots: int) -> list[Decision]:
        """What to start on free slots now; nothing once the sweep is over.

        Trials that a policy wants to look at before they have a slot enter the ledger here.
        """
        if free_slots < 1 or self.stop_reason() is not None:
            return []
        decisions = self._policy.decide(free_slots)
        while waiting := [
            decision
            for decision in decisions
            if isinstance(decision, NewTrial) and not decision.start
        ]:
            for _ in waiting:  # these take no slot, so none has to be asked for
                self._propose()
            decisions = self._policy.decide(free_slots)
        return decisions

    def add_trial(self) -> Assignment:
        """Propose a configuration and start its first fold."""
        return self.start(self._propose())

    def _propose(self) -> int:
        """Add a trial; its number.

        The first is the space's defaults, then come its listed trials, then the sampler's.
        """
        projection = self._ledger.projection
        number = len(projection.trials)
        listed = (self._space.defaults(), *self._space.candidates)
        if number < len(listed):
            parameters = self._space.active(listed[number])
        else:
            if self._proposer.projection is not projection:  # it was read anew
                self._proposer = Proposer(
                    self._space, projection, self._seed, first_rung(self._policy)
                )
            parameters = self._proposer.propose()
        self._ledger.add_trial(
            parameters, self._space.distributions(), self._space.complete(parameters)
        )
        self._pass_on()
        return number

    def start(self, number: int) -> Assignment:
        """Start the next unfinished fold of a trial."""
        trial = self._ledger.projection.trials[number]
        fold = trial.next_fold(self._ledger.projection.num_folds)
        assert fold is not None, "a complete trial has no fold to start"
        attempt = self._ledger.start_fold(number, fold)
        self._pass_on()
        return Assignment(trial=number, fold=fold, attempt=attempt, settings=dict(trial.settings))

    def on_epoch(self, epoch: Epoch) -> State:
        """Take the value of an epoch that is not the fold's last.

        Args:
            epoch: What the worker reports.

        Returns:
            RUNNING where the worker goes on; PARKED where the fold gives its slot back and may go
            on later; else the trial is over, now or already. Reports of an older attempt change
            nothing.
        """
        number = epoch.trial
        trial = self._ledger.projection.trials[number]
        self._ledger.record_resumption(epoch)
        is_new = self._ledger.record_epoch(epoch)
        if not is_new and not self._is_newest(epoch):
            return trial.state if trial.state.is_final else State.RUNNING
        if not math.isfinite(epoch.value):
            return self._end(number, State.FAILED, NAN_REASON)
        if not trial.is_default and self._is_pruned(epoch):
            reason = f"pruned in fold {epoch.fold}, epoch {epoch.epoch}"
            judged = self._pruner.judged_epoch(self._ledger.projection, number, epoch.fold)
            return self._end(number, State.PRUNED, reason, judged)
        pause = pause_after(self._policy, number)
        if pause is None or epoch.epoch < pause:
            return State.RUNNING
        self._ledger.pause_fold(number, f"waits for the others after epoch {epoch.epoch}")
        self._pass_on()
        return State.PARKED

    def _is_pruned(self, epoch: Epoch) -> bool:
        number = epoch.trial
        prune = self._pruner.should_prune_epoch(self._ledger.projection, number, epoch.fold)
        marks = self._pruner.take_rung_marks(self._ledger.projection, number)
        if marks is not None:
            self._ledger.annotate(number, *marks)
        return prune

    def on_fold(self, score: FoldScore, last: Epoch) -> State:
        """Take a fold's score with its last epoch, which prunes nothing: nothing is left to save.

        Args:
            score: What the worker reports.
            last: The epoch it came with.

        Returns:
            Where the trial stands: PARKED, COMPLETE, PRUNED or FAILED. A score of an older
            attempt changes nothing.
        """
        number, projection = score.trial, self._ledger.projection
        trial = projection.trials[number]
        if not self._ledger.finish_fold(score, last):
            return trial.state
        self._pass_on()
        if trial.is_diverged:
            return self._end(number, State.FAILED, NAN_REASON)
        if trial.next_fold(projection.num_folds) is None:
            self._keep_final_notes(trial)
            return self._end(number, State.COMPLETE, None)
        if not trial.is_default and self._pruner.should_prune_fold(projection, number):
            judged = self._pruner.judged_fold(projection, number)
            return self._end(number, State.PRUNED, f"pruned after fold {score.fold}", judged)
        return trial.state

    def on_failure(self, number: int, reason: str, *, final: bool) -> None:
        """Take the loss of a running fold.

        Args:
            number: Its number.
            reason: What happened.
            final: Whether the trial failed for good; if not, the fold is tried again.
        """
        trial = self._ledger.projection.trials[number]
        if trial.state.is_final:
            return
        if final:
            self._end(number, State.FAILED, reason)
        elif trial.running_fold is not None:
            self._ledger.lose_fold(number, reason)
            self._pass_on()

    def stop_reason(self) -> str | None:
        """Why the sweep is over, None while it is not."""
        return self._ended or self._stop_rule.reason()

    def end_sweep(self, reason: str) -> None:
        """End the sweep for a reason that no stop rule knows, such as a used budget."""
        self._ended = self._ended or reason

    def close(self, reason: str) -> None:
        """Stop driving.

        A sweep that is over is marked finished, and what was parked or still running is abandoned.
        Otherwise it is marked interrupted, and whatever was running can be resumed.

        Args:
            reason: Why; of a sweep that is over the stop rule's own reason is kept instead.
        """
        over = self.stop_reason()
        for trial in list(self._ledger.projection.open_trials()):
            if trial.running_fold is not None:
                self._ledger.lose_fold(trial.number, over or reason)
            if over is not None:
                self._ledger.end(trial.number, State.ABANDONED, over)
        self._pass_on()
        state = SweepState.INTERRUPTED if over is None else SweepState.FINISHED
        self._ledger.set_sweep_state(state, over or reason)

    def _is_newest(self, epoch: Epoch) -> bool:
        """Whether a known epoch is the last one known of the running attempt.

        A driver may have died between writing it and asking the pruner, which is asked again.
        """
        trial = self._ledger.projection.trials[epoch.trial]
        known = trial.epochs.get(epoch.fold, {})
        return trial.accepts(epoch.fold, epoch.attempt) and epoch.epoch == max(known, default=0)

    def _keep_final_notes(self, trial: Trial) -> None:
        notes = {} if self._final_notes is None else self._final_notes(trial)
        for key, value in notes.items():
            self._ledger.annotate(trial.number, key, value)

    def _end(
        self,
        number: int,
        state: State,
        reason: str | None,
        judged: tuple[float, float] | None = None,
    ) -> State:
        self._ledger.end(number, state, reason, judged)
        self._pass_on()
        return state

    def _pass_on(self) -> None:
        """Show the policy and the stop rule what was committed since the last time."""
        history = self._ledger.projection.history
        for event in history[self._num_seen :]:
            self._policy.observe(event)
            self._stop_rule.observe(event)
        self._num_seen = len(history)
