"""The Optuna study of a sweep as its ledger.

Written by one driver that holds the lease; read by any process. Each write is one commit that costs
the same however long the sweep is, then the same entry is applied to the projection in memory, so
the two differ by nothing but a write that failed. `optuna-dashboard` reads the study as it is.

Epochs are many, and a commit on a slow disk costs milliseconds of the one driver. So an epoch waits
for the next entry, or for `flush`, and is committed with it: nothing that was decided on an epoch
is ever stored without it, and a driver that dies loses at most what came since. Before the
projection is shown to a reader that keeps it, the ledger is flushed.

`settle` completes what a crash left between two commits: it is what a resuming driver calls first.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import LedgerError, UnknownSweep
from sweep.ledger import catalog, entries
from sweep.ledger.catalog import read_state
from sweep.ledger.compat import trial_id
from sweep.ledger.connection import (
    close_storage,
    open_storage,
    patiently,
    read_attribute,
    readable,
    shared_clock,
)
from sweep.ledger.header import SweepHeader
from sweep.ledger.lease import Lease, await_silence
from sweep.ledger.messages import NOTES_KEY, STOP_KEY, StopRequest, notes_of, stop_request
from sweep.ledger.projection import NAN_REASON, Projection, Trial
from sweep.ledger.spent import PRICES
from sweep.ledger.sql import (
    Attribute,
    Change,
    Ended,
    EpochValue,
    Fenced,
    LedgerStorage,
    StudyAttribute,
)
from sweep.records import Epoch, FoldScore, State, SweepState, as_score
from sweep.util.collector import collector_asleep

VERSIONS_KEY = "ptxsweep:later-versions"
RESAMPLING_KEY, RESOURCES_KEY = "ptxsweep:resampling", "ptxsweep:resources"
DETECTION_KEY = "ptxsweep:detection"
#: An abandoned trial is no error to Optuna, and its estimate is worth keeping.
_OPTUNA_STATE = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.ABANDONED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


class Ledger:
    """One sweep's ledger. Not thread-safe: one driver, one thread.

    Attributes:
        name: Name of the sweep and of its Optuna study.
        projection: Everything it holds, in memory.
    """

    def __init__(
        self, storage: LedgerStorage, name: str, *, clock: Callable[[], float] | None = None
    ) -> None:
        """Read a sweep's ledger; `Ledger.open` and `Ledger.create` are the usual ways in.

        Args:
            storage: An Optuna storage that holds the study.
            name: Name of the sweep.
            clock: Seconds since the epoch, for time stamps and the lease; the database's if None.

        Raises:
            UnknownSweep: There is no sweep of that name.
        """
        self.name = name
        self._storage, self._clock = storage, clock or shared_clock(storage)
        self._lease: Lease | None = None
        with readable():
            self._study_id = catalog.study_id(storage, name)
        self._trial_ids: list[int] = []  # Optuna's, by trial
        self._not_told_optuna: list[int] = []  # trials that ended here, but not yet for Optuna
        self._waiting: list[Change] = []  # epochs in the projection that are not committed yet
        self._seq = 0  # of the next entry
        with readable():
            self.projection = self._load()

    @classmethod
    def open(cls, storage_url: str, name: str) -> Ledger:
        """Open an existing sweep; reading needs no lease.

        Raises:
            UnknownSweep: There is no sweep of that name, or no such file of SQLite; none is made.
            LedgerError: The database cannot be reached, or holds what we cannot read.
        """
        catalog.require_ledger(storage_url)
        storage = open_storage(storage_url)
        try:
            return cls(storage, name)
        except BaseException:
            close_storage(storage)
            raise

    @classmethod
    def create(cls, storage_url: str, name: str, *, header: SweepHeader) -> Ledger:
        """Lay out a new sweep.

        Args:
            storage_url: SQLAlchemy URL.
            name: Name of the sweep.
            header: What is fixed from here on.

        Raises:
            NameTaken: A sweep, or another Optuna study, of that name exists.
        """
        storage = open_storage(storage_url)
        try:
            catalog.create_study(storage, name, header)
            return cls(storage, name)
        except BaseException:
            close_storage(storage)
            raise

    def close(self) -> None:
        """Give the lease back, if we hold it, and drop the database connections.

        Epochs that wait are dropped, as those of a driver that died; `flush` keeps them.
        """
        self.release()
        close_storage(self._storage)

    # The lease.

    def acquire(self, owner: str, ttl_seconds: float = 60.0, *, wait: bool = False) -> None:
        """Take the lease, then read the ledger again: another driver may have written since.

        Args:
            owner: Shown to a driver that is refused.
            ttl_seconds: Life without renewal, above 0.
            wait: Whether to wait for the lease of a driver that gives no sign of life to run out.

        Raises:
            LeaseHeld: Another driver holds it.
        """
        with readable():
            if wait:
                await_silence(self._storage, self._study_id, self._clock)
            self._lease = Lease(self._storage, self._study_id, owner, ttl_seconds, self._clock)
            self.projection = self._load()

    def renew(self) -> None:
        """Prolong the lease if half of its life is over; call more often than twice in a life.

        Writes do it by themselves; this is for times in which nothing is written.

        Raises:
            LeaseHeld: Another driver took over; write no more.
        """
        self._held().check()

    def release(self) -> None:
        """Give the lease back; does nothing without one."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    # Writes. Each raises LeaseHeld when another driver took over, LedgerError without a lease.

    def flush(self) -> None:
        """Commit the epochs that wait."""
        if self._waiting:
            self._held().check()
            self._commit()

    def add_trial(
        self,
        parameters: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Enter a configuration, in one commit.

        Args:
            parameters: Chosen values.
            distributions: Distributions of each of them.
            settings: The whole configuration, plain JSON values; the parameters when None.

        Returns:
            Its number.
        """
        self._held().check()
        self.flush()
        at, whole = self._now(), dict(parameters if settings is None else settings)
        template = FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params=dict(parameters),
            distributions={name: distributions[name] for name in parameters},
            user_attrs={entries.ADDED: {"seq": self._seq, "at": at, "settings": whole}},
            system_attrs={},
            intermediate_values={},
        )
        number = len(self.projection.trials)
        tries = itertools.count()
        new = patiently(lambda: self._new_trial(number, template, again=next(tries) > 0))
        self._trial_ids.append(new)
        self._seq += 1
        self.projection.add(
            Trial(
                number=number,
                parameters=template.params,
                settings=whole,
                distributions=template.distributions,
                created_at=at,
            )
        )
        return number

    def start_fold(self, number: int, fold: int) -> int:
        """Give a slot to a fold.

        Returns:
            The one-based number of this attempt, which its reports must carry.
        """
        trial = self.projection.trials[number]
        if trial.running_fold is not None or fold in trial.folds or trial.state.is_final:
            raise LedgerError(f"trial {number} ({trial.state}) cannot start fold {fold}")
        attempt = trial.attempts.get(fold, 0) + 1
        at = self._write(number, entries.attempt_key(fold, attempt), {})
        self.projection.start(number, fold, attempt, at)
        return attempt

    def record_epoch(self, epoch: Epoch) -> bool:
        """Keep an epoch's value, and commit it with the next entry or `flush`.

        Returns:
            False when it was dropped: of an older attempt, or known already.
        """
        if not self._is_new(epoch):
            return False
        self._held().check()
        self._wait(epoch)
        return True

    def record_resumption(self, epoch: Epoch) -> None:
        """Keep where a try after the first goes on; only its first report changes anything."""
        trial = self.projection.trials[epoch.trial]
        is_later = epoch.attempt > 1 and trial.accepts(epoch.fold, epoch.attempt)
        if not is_later or trial.log[-1].first_epoch is not None:
            return
        known = max(trial.epochs.get(epoch.fold, {}), default=0)
        key = entries.resumed_key(epoch.fold, epoch.attempt)
        self._write(epoch.trial, key, {"epoch": epoch.epoch, "known": known})
        self.projection.resume(epoch.trial, epoch.epoch, known)

    def finish_fold(self, score: FoldScore, last: Epoch | None = None) -> bool:
        """Commit a fold's score: from here on the fold is never trained again.

        Epochs that are not known are taken from its curve of the objective: reports that were on
        their way when a driver died.

        Args:
            score: Score of the fold.
            last: Its last epoch, committed with it.

        Returns:
            False when both were dropped: of an older attempt.
        """
        trial = self.projection.trials[score.trial]
        if not trial.accepts(score.fold, score.attempt):
            return False
        row = entries.score_row(score)
        self._held().check()
        if last is not None and self._is_new(last):
            self._wait(last)
        for epoch in self._unreported(score):
            self._wait(epoch)
        at = self._write(score.trial, entries.score_key(score.fold), row)
        self.projection.finish(score, at)
        return True

    def lose_fold(self, number: int, reason: str) -> None:
        """Note that the running fold ended without a score; it may be tried again."""
        trial = self.projection.trials[number]
        fold = trial.running_fold
        if fold is None:
            raise LedgerError(f"trial {number}: no fold is running, none can be lost")
        key = entries.lost_key(fold, trial.attempts[fold])
        at = self._write(number, key, {"reason": reason})
        self.projection.lose(number, fold, at, reason)

    def pause_fold(self, number: int, reason: str) -> None:
        """Note that the running fold gave its slot back after an epoch, and what it scored so far.

        Older versions read it as a fold that was lost.
        """
        trial = self.projection.trials[number]
        fold = trial.running_fold
        if fold is None:
            raise LedgerError(f"trial {number}: no fold is running, none can pause")
        known = trial.epochs.get(fold, {})
        scores = tuple(
            as_score(known[epoch], maximize=self.projection.maximize) for epoch in sorted(known)
        )
        key = entries.lost_key(fold, trial.attempts[fold])
        at = self._write(number, key, {"reason": reason, "scores": list(scores)})
        self.projection.pause(number, fold, at, reason, scores)

    def end(
        self,
        number: int,
        state: State,
        reason: str | None = None,
        judged: tuple[float, float] | None = None,
    ) -> None:
        """End a trial for good, with the mean over its finished folds as the trial's value.

        Args:
            number: Its number.
            state: COMPLETE, PRUNED, FAILED or ABANDONED.
            reason: Why.
            judged: What it was pruned for, see `Trial`; finite.
        """
        row: dict[str, Any] = {"state": state.value, "reason": reason}
        if judged is not None:
            row["judged"] = list(judged)
        at = self._write(number, entries.ENDED, row, self._ended(number, state))
        self.projection.end(number, state, reason, at, judged)

    def annotate(self, number: int, key: str, value: Any) -> None:
        """Attach a plain JSON value to a trial that may still run."""
        self._held().check()
        self._commit(Attribute(self._trial_ids[number], entries.NOTE + key, value))
        self.projection.note(number, key, value)

    def set_sweep_state(self, state: SweepState, reason: str | None = None) -> None:
        """Note where the whole sweep stands."""
        self._held().check()
        value = {"state": state.value, "reason": reason, "at": self._now()}
        self._commit(StudyAttribute(self._study_id, catalog.STATE_KEY, value))
        self.projection.sweep_state, self.projection.sweep_reason = state, reason

    def note_versions(self, versions: Mapping[str, str]) -> None:
        """Note that the sweep goes on under other versions than before."""
        self._held().check()
        whole = [*self.projection.later_versions, dict(versions)]
        self._commit(StudyAttribute(self._study_id, VERSIONS_KEY, whole))
        self.projection.later_versions = whole

    def note_resampling(self, found: Mapping[str, Any]) -> None:
        """Note what resamples of the patients say of a finished sweep; plain JSON values."""
        self._held().check()
        self._commit(StudyAttribute(self._study_id, RESAMPLING_KEY, dict(found)))
        self.projection.resampling = found

    def note_detection(self, found: Mapping[str, Any]) -> None:
        """Note how the winner of a finished sweep tells cases apart; plain JSON values."""
        self._held().check()
        self._commit(StudyAttribute(self._study_id, DETECTION_KEY, dict(found)))
        self.projection.detection = found

    def note_resources(self, per_trial: Mapping[str, float]) -> None:
        """Note what a trial takes under this driver, "cpus" and "gpus", and what that costs.

        Prices that it does not name stay those of the driver before.
        """
        self._held().check()
        before = self.projection.resources
        prices = {name: before[name] for name in PRICES if name in before}
        noted = {**prices, **per_trial}
        self._commit(StudyAttribute(self._study_id, RESOURCES_KEY, noted))
        self.projection.resources = noted

    def settle(self) -> None:
        """Complete what a crash left between two commits.

        A trial that ended but was never told is told; one with all its folds becomes
        COMPLETE, one with a value that is not finite FAILED. Calling it again changes nothing.
        """
        for number in self._not_told_optuna:
            self._held().check()
            self._commit(self._ended(number, self.projection.trials[number].state))
        self._not_told_optuna = []
        for trial in list(self.projection.open_trials()):
            if trial.is_diverged:
                self.end(trial.number, State.FAILED, NAN_REASON)
            elif trial.next_fold(self.projection.num_folds) is None:
                self.end(trial.number, State.COMPLETE)

    # Reading.

    @property
    def header(self) -> SweepHeader:
        """What was fixed when the sweep was created."""
        return self.projection.header

    @property
    def storage(self) -> LedgerStorage:
        """The database that it is in, open as long as the ledger is."""
        return self._storage

    @property
    def study(self) -> optuna.Study:
        """The Optuna study itself, for readers that want one."""
        return optuna.load_study(study_name=self.name, storage=self._storage)

    def refresh(self) -> None:
        """Read everything again, as a viewer of a sweep that another process writes."""
        self.flush()
        with readable():
            self.projection = self._load()

    def listen(self) -> StopRequest | None:
        """Take in notes that others wrote since, and see whether this driver is asked to stop.

        Raises:
            LedgerError: The database stays away, or no lease is held.
        """
        token = self._held().token
        notes, stop = (
            patiently(lambda key=key: read_attribute(self._storage, self._study_id, key))  # type: ignore[misc]
            for key in (NOTES_KEY, STOP_KEY)
        )
        asked = None
        with suppress(ValueError, LookupError, TypeError):  # of another hand: no driver ends for it
            self.projection.notes = notes_of(notes)
            asked = stop_request(stop)
        return asked if asked is not None and asked.token == token else None

    def _load(self) -> Projection:
        text = read_attribute(self._storage, self._study_id, catalog.HEADER_KEY)
        if text is None:
            raise UnknownSweep(f"the study {self.name!r} was not made by a sweep, or not finished")
        projection = Projection(header=catalog.read_header(text))
        state = read_state(self._storage, self._study_id)
        projection.sweep_state, projection.sweep_reason = state
        later = read_attribute(self._storage, self._study_id, VERSIONS_KEY)
        projection.later_versions = json.loads(later or "[]")
        kept = read_attribute(self._storage, self._study_id, RESAMPLING_KEY)
        projection.resampling = None if kept is None else json.loads(kept)
        kept = read_attribute(self._storage, self._study_id, DETECTION_KEY)
        projection.detection = None if kept is None else json.loads(kept)
        per_trial = read_attribute(self._storage, self._study_id, RESOURCES_KEY)
        projection.resources = json.loads(per_trial or "{}")
        projection.notes = notes_of(read_attribute(self._storage, self._study_id, NOTES_KEY))
        with collector_asleep():
            trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
            self._trial_ids = [trial_id(trial) for trial in trials]
            self._seq = entries.load(projection, trials)
        self._waiting = []
        self._not_told_optuna = [
            trial.number
            for trial in trials
            if entries.ENDED in trial.user_attrs and not trial.state.is_finished()
        ]
        return projection

    def _write(self, number: int, key: str, row: dict[str, Any], *more: Change) -> str:
        """Commit an entry, what waits before it and what belongs to it behind it; its time."""
        self._held().check()
        at = self._now()
        stored = {"seq": self._seq, "at": at, **row}
        self._commit(Attribute(self._trial_ids[number], key, stored), *more)
        self._seq += 1
        return at

    def _commit(self, *changes: Change) -> None:
        """Commit what waits, then these changes, of which the end of a trial is the last."""
        whole, lease = (*self._waiting, *changes), self._held()

        def once() -> None:
            try:
                self._storage.commit(*whole, fence=lease.fence)
            except UpdateFinishedTrialError:
                lease.confirm()  # or another driver ended it
                if not self._is_told(whole[-1]):
                    raise
            except Fenced:
                lease.confirm()
                raise

        patiently(once)
        self._waiting = []

    def _is_new(self, epoch: Epoch) -> bool:
        """Whether an epoch is of the attempt that is running, and not known yet."""
        trial = self.projection.trials[epoch.trial]
        known = trial.epochs.get(epoch.fold, {})
        return trial.accepts(epoch.fold, epoch.attempt) and epoch.epoch not in known

    def _unreported(self, score: FoldScore) -> list[Epoch]:
        """Epochs on the curve of a running fold that were never reported."""
        curve = score.curves.get(f"monitor_{self.header.metric}", ())
        epochs = [
            Epoch(
                trial=score.trial,
                fold=score.fold,
                attempt=score.attempt,
                epoch=number,
                value=value,
                seconds=math.nan,
            )
            for number, value in enumerate(curve, start=1)
        ]
        return [epoch for epoch in epochs if self._is_new(epoch)]

    def _wait(self, epoch: Epoch) -> None:
        """Keep an epoch for the next commit."""
        optuna_id, step = self._trial_ids[epoch.trial], entries.stored_step(epoch.fold, epoch.epoch)
        self._waiting.append(EpochValue(optuna_id, step, epoch.value))
        self.projection.epoch(epoch)

    def _ended(self, number: int, state: State) -> Ended:
        """What Optuna is told of a trial's end."""
        value = self.projection.trials[number].mean_value
        keeps_value = state is not State.FAILED and math.isfinite(value)
        told = value if keeps_value else None
        return Ended(self._trial_ids[number], _OPTUNA_STATE[state], told)

    def _is_told(self, last: Change) -> bool:
        """Whether a commit is there already, since only the answer to an earlier try was lost."""
        if not isinstance(last, Ended):
            return False
        return self._storage.get_trial(last.trial_id).state is last.state

    def _new_trial(self, number: int, template: FrozenTrial, *, again: bool) -> int:
        """Create a trial; a second try finds the first's if only its answer was lost."""
        lease = self._held()
        if again:
            lease.confirm()  # or the number may be of another driver's trial
            with suppress(KeyError):
                return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        try:
            return self._storage.create_fenced_trial(self._study_id, number, template, lease.fence)
        except Fenced:
            lease.confirm()
            raise

    def _held(self) -> Lease:
        if self._lease is None:
            raise LedgerError("this ledger was opened for reading; acquire() its lease to write")
        return self._lease

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
