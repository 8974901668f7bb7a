"""The ledger in memory: what is known of every trial, and the history that led there.

A projection is built by applying entries in the order in which they were committed. The driver
applies an entry after it was stored, and a reader applies the same entries when it loads the
ledger, so both hold the same thing by construction.

Folds carry their value in the metric's own sign beside their score, which is higher when better;
epoch values are in the metric's own sign.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sweep.errors import LedgerError
from sweep.ledger.header import SweepHeader
from sweep.ledger.inference_choice import at_common
from sweep.records import (
    DEFAULT_TRIAL,
    Epoch,
    Event,
    FoldFinished,
    FoldLost,
    FoldPaused,
    FoldScore,
    FoldStarted,
    Note,
    State,
    SweepState,
    TrialAdded,
    TrialStopped,
)
from sweep.util.numbers import all_finite, mean_or
from sweep.util.provenance import PRODUCT, recorded_versions

#: Reason of a trial that failed because a value of its objective was not finite.
NAN_REASON = "objective is NaN"
#: Reason of tries that a dead driver left behind: they are noted by the next one, whenever it came.
DRIVER_STOPPED = "the driver stopped"


@dataclass(kw_only=True)
class Attempt:
    """One try at a fold.

    Attributes:
        fold: Zero-based fold.
        attempt: One-based number of the try at this fold.
        started_at: ISO 8601 time in UTC.
        ended_at: Likewise, None while it runs.
        outcome: "running", "finished", "lost" (may be tried again), "paused" (may go on) or
            "stopped" (for good).
        reason: Why it was lost or stopped.
        first_epoch: One-based epoch that a try after the first went on with; None of a first try,
            and of one that had no epoch left but the scored one.
        known_epochs: Epochs of the fold that the ledger held then.
    """

    fold: int
    attempt: int
    started_at: str
    ended_at: str | None = None
    outcome: str = "running"
    reason: str | None = None
    first_epoch: int | None = None
    known_epochs: int = 0

    @property
    def repeated_epochs(self) -> int:
        """Epochs that were in the ledger and were trained again, at least 0.

        The epoch in which the try before ended is not among them: it is not known how far it was.
        """
        return 0 if self.first_epoch is None else max(0, self.known_epochs + 1 - self.first_epoch)

    @property
    def seconds(self) -> float | None:
        """Wall time from start to end; None while it runs, and where the end was not witnessed."""
        if self.ended_at is None or self.reason == DRIVER_STOPPED:
            return None
        try:
            ended, started = map(datetime.fromisoformat, (self.ended_at, self.started_at))
        except ValueError:  # not written by us
            return None
        return max(0.0, (ended - started).total_seconds())


@dataclass(kw_only=True)
class Trial:
    """A configuration and all that is known of it. Readers do not change it.

    Attributes:
        number: Number from 0 in the order of proposal; the Optuna trial number.
        parameters: The values that were chosen; parameters that were not active are absent.
        settings: The whole configuration, fixed values and inactive defaults included.
        distributions: Optuna distribution of every chosen parameter.
        created_at: ISO 8601 time in UTC.
        state: Where the trial stands.
        reason: Why it ended, None while it may go on.
        judged: The value that it was pruned for, and the one from which on it would have gone on,
            in the metric's own sign: the pruner's threshold then. Of the monitor split, or of means
            over its folds. None where it was not pruned, or that was not noted.
        ended_at: ISO 8601 time in UTC, None while it may go on.
        folds: Finished folds, all at the trial's common choice for inference.
        epochs: Values of the objective on the monitor split, in the metric's own sign, by fold and
            one-based epoch, unfinished folds included.
        attempts: Number of the last attempt by fold.
        log: Every attempt in the order of start.
        running_fold: The fold a slot was given to, None between folds.
        notes: Annotations by key.
        revision: Grows with every change, so that views know what to build again.
    """

    number: int
    parameters: dict[str, Any]
    settings: dict[str, Any]
    distributions: dict[str, Any]
    created_at: str
    state: State = State.PARKED
    reason: str | None = None
    judged: tuple[float, float] | None = None
    ended_at: str | None = None
    folds: dict[int, FoldScore] = field(default_factory=dict)
    epochs: dict[int, dict[int, float]] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    log: list[Attempt] = field(default_factory=list)
    running_fold: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    revision: int = 0

    @property
    def is_default(self) -> bool:
        """Whether it stands at the space's defaults."""
        return self.number == DEFAULT_TRIAL

    @property
    def mean(self) -> float:
        """Mean score of the finished folds, higher is better; NaN before the first, and when a
        score is not finite.
        """
        return mean_or(score.score for score in self.folds.values())

    @property
    def mean_value(self) -> float:
        """The same in the metric's own sign."""
        return mean_or(fold.value for fold in self.folds.values())

    @property
    def inference(self) -> dict[str, Any]:
        """The common choice for inference of the finished folds; empty where there is none."""
        return next((dict(score.inference) for score in self.folds.values()), {})

    @property
    def seconds(self) -> float:
        """Training time of the finished folds."""
        return sum(score.seconds for score in self.folds.values())

    @property
    def unfinished_seconds(self) -> float:
        """Wall time of ended tries at folds that have no score, as far as it is known."""
        tries = (attempt.seconds for attempt in self.log if attempt.fold not in self.folds)
        return math.fsum(seconds for seconds in tries if seconds is not None)

    @property
    def total_seconds(self) -> float:
        """What the trial took, as every view says it: of finished and of unfinished folds."""
        return self.seconds + self.unfinished_seconds

    @property
    def num_epochs(self) -> int:
        """Epochs of the finished folds, and those known of unfinished ones."""
        unfinished = (len(known) for fold, known in self.epochs.items() if fold not in self.folds)
        return sum(score.num_epochs for score in self.folds.values()) + sum(unfinished)

    @property
    def num_folds_stopped(self) -> int:
        """Folds that were begun, have no score and do not run: mostly where it was pruned."""
        return len(
            {attempt.fold for attempt in self.log if attempt.outcome != "running"} - set(self.folds)
        )

    @property
    def batch_parts(self) -> int:
        """Parts that batches were split into to fit in memory, the most of all folds: 1, 2 or 4.

        Batch normalisation saw smaller batches then, so the trial is not quite what it says.
        """
        curves = (score.curves.get("num_parts", ()) for score in self.folds.values())
        return int(max((curve[-1] for curve in curves if curve), default=1))

    @property
    def is_diverged(self) -> bool:
        """Whether some epoch value or fold score is not a finite number."""
        values = [score.score for score in self.folds.values()]
        values += [value for epochs in self.epochs.values() for value in epochs.values()]
        return not all_finite(values)

    def next_fold(self, num_folds: int) -> int | None:
        """The lowest fold that is not finished, None when all are."""
        return next((fold for fold in range(num_folds) if fold not in self.folds), None)

    def accepts(self, fold: int, attempt: int) -> bool:
        """Whether a report comes from the attempt that is running now."""
        return self.running_fold == fold and self.attempts.get(fold) == attempt


@dataclass(kw_only=True)
class Projection:
    """All trials of a sweep and its history.

    Attributes:
        header: What was fixed when the sweep was created.
        trials: Trials by number.
        history: Events in the order in which they were committed.
        sweep_state: Where the whole sweep stands.
        sweep_reason: Why the sweep is in that state.
        later_versions: Versions of what changes pixels or scores, where the sweep went on under
            others than before.
        resampling: What resamples of the patients say of a finished sweep, see
            `sweep.analysis.resampling`; None where the ledger does not hold it.
        detection: How its winner tells ill cases from healthy ones, see
            `sweep.analysis.detection`; None likewise.
        notes: What people wrote down about the sweep, oldest first.
        resources: What a trial takes under the last driver, "cpus" and "gpus", and where they were
            given its prices and the most that it may cost, see `sweep.ledger.spent`; empty where
            the ledger does not hold it.
    """

    header: SweepHeader
    trials: list[Trial] = field(default_factory=list)
    history: list[Event] = field(default_factory=list)
    sweep_state: SweepState = SweepState.CREATED
    sweep_reason: str | None = None
    later_versions: list[dict[str, str]] = field(default_factory=list)
    resampling: Mapping[str, Any] | None = None
    detection: Mapping[str, Any] | None = None
    notes: list[Note] = field(default_factory=list)
    resources: Mapping[str, float] = field(default_factory=dict)

    @property
    def versions(self) -> list[dict[str, str]]:
        """Versions of what changes pixels or scores, from the first; empty if not known."""
        header = self.header
        # Older sweeps recorded all packages.
        first = dict(header.versions or recorded_versions(header.environment or []))
        if first and header.version is not None:
            first.setdefault(PRODUCT, header.version)
        return [first, *self.later_versions] if first else []

    @property
    def default(self) -> Trial | None:
        """The trial at the space's defaults, None in an empty sweep."""
        return self.trials[DEFAULT_TRIAL] if self.trials else None

    @property
    def num_folds(self) -> int:
        """Folds of a complete trial."""
        return self.header.num_folds

    @property
    def maximize(self) -> bool:
        """Whether the metric itself is better when higher."""
        return self.header.maximize

    def events(self) -> list[Event]:
        """The whole history, for a fresh policy."""
        return list(self.history)

    def mean(self, number: int) -> float:
        """Mean score of a trial's finished folds, higher is better; NaN before the first."""
        return self.trials[number].mean

    def open_trials(self) -> Iterator[Trial]:
        """Trials that may still run."""
        return (trial for trial in self.trials if not trial.state.is_final)

    def best(self) -> Trial | None:
        """The complete trial with the highest mean, the lower number on a tie.

        A partial mean is too high for a leader, so only complete trials can win, and of them
        those with a number on every fold.
        """
        complete = [
            trial
            for trial in self.trials
            if trial.state is State.COMPLETE and math.isfinite(trial.mean)
        ]
        return max(complete, key=lambda trial: (trial.mean, -trial.number), default=None)

    # The entries, applied in the order of commitment.

    def add(self, trial: Trial) -> None:
        """A trial entered."""
        if trial.number != len(self.trials):
            raise LedgerError(
                f"trial {trial.number} follows {len(self.trials)} trials; numbers must have no gaps"
            )
        self.trials.append(trial)
        self.history.append(TrialAdded(trial=trial.number, parameters=dict(trial.parameters)))

    def start(self, number: int, fold: int, attempt: int, timestamp: str) -> None:
        """A slot was given to a fold."""
        trial = self._open(number)
        if trial.running_fold is not None or fold in trial.folds:
            raise LedgerError(f"trial {number} cannot start fold {fold} now")
        trial.state, trial.running_fold = State.RUNNING, fold
        trial.attempts[fold] = attempt
        trial.log.append(Attempt(fold=fold, attempt=attempt, started_at=timestamp))
        trial.revision += 1
        self.history.append(FoldStarted(trial=number, fold=fold))

    def resume(self, number: int, first_epoch: int, known_epochs: int) -> None:
        """The running try at a fold went on where an earlier one had ended."""
        last = self.trials[number].log[-1]
        last.first_epoch, last.known_epochs = first_epoch, known_epochs

    def epoch(self, epoch: Epoch) -> None:
        """An epoch was reported."""
        trial = self.trials[epoch.trial]
        trial.epochs.setdefault(epoch.fold, {})[epoch.epoch] = epoch.value
        trial.revision += 1

    def lose(self, number: int, fold: int, timestamp: str, reason: str) -> None:
        """The running fold ended without a score."""
        trial = self._leave(number, fold, timestamp, "lost", reason)
        trial.state = State.PARKED
        self.history.append(FoldLost(trial=number, fold=fold))

    def pause(
        self, number: int, fold: int, timestamp: str, reason: str, scores: tuple[float, ...]
    ) -> None:
        """The running fold gave its slot back after an epoch."""
        trial = self._leave(number, fold, timestamp, "paused", reason)
        trial.state = State.PARKED
        self.history.append(FoldPaused(trial=number, fold=fold, scores=scores))

    def finish(self, score: FoldScore, timestamp: str) -> None:
        """The running fold was scored."""
        trial = self._leave(score.trial, score.fold, timestamp, "finished", None)
        trial.state = State.PARKED
        before = trial.inference
        trial.folds = at_common({**trial.folds, score.fold: score})
        has_changed = before != trial.inference
        self.history.append(
            FoldFinished(
                trial=score.trial,
                fold=score.fold,
                score=trial.folds[score.fold].score,
                seconds=score.seconds,
                revised={
                    fold: earlier.score
                    for fold, earlier in trial.folds.items()
                    if has_changed and fold != score.fold
                },
            )
        )

    def end(
        self,
        number: int,
        state: State,
        reason: str | None,
        timestamp: str,
        judged: tuple[float, float] | None = None,
    ) -> None:
        """A trial ended; complete ones leave no event, their last fold was it."""
        trial = self._open(number)
        if trial.running_fold is not None:
            self._leave(number, trial.running_fold, timestamp, "stopped", reason)
        trial.state, trial.reason, trial.ended_at = state, reason, timestamp
        trial.judged = judged
        trial.revision += 1
        if state is not State.COMPLETE:
            self.history.append(TrialStopped(trial=number, state=state))

    def note(self, number: int, key: str, value: Any) -> None:
        """A trial was annotated."""
        self.trials[number].notes[key] = value
        self.trials[number].revision += 1

    def _open(self, number: int) -> Trial:
        trial = self.trials[number]
        if trial.state.is_final:
            raise LedgerError(f"trial {number} is {trial.state}, it cannot change any more")
        return trial

    def _leave(
        self, number: int, fold: int, timestamp: str, outcome: str, reason: str | None
    ) -> Trial:
        trial = self._open(number)
        if trial.running_fold != fold:
            raise LedgerError(
                f"trial {number}: fold {fold} is not running, found {trial.running_fold}"
            )
        last = trial.log[-1]
        last.ended_at, last.outcome, last.reason = timestamp, outcome, reason
        trial.running_fold = None
        trial.revision += 1
        return trial
