"""Keeps MLflow like the ledger: a parent run per sweep, a child run per trial.

Nothing is remembered here that MLflow does not hold itself: a run's tags say which folds it was
sent, so any process may go on at any time. When MLflow is away the sweep goes on; the next sync
that reaches it sends what is missing, because everything is in the ledger.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric

from sweep.analysis.operating_point import fill
from sweep.analysis.verdict import verdict
from sweep.ledger import Ledger, driver_of
from sweep.ledger.catalog import study_id
from sweep.ledger.connection import shared_clock
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.compat import VIEW, Undone, one_transaction, shared_view
from sweep.mlflow.in_step import STATE_TAG, state_of
from sweep.mlflow.view import _content as content
from sweep.mlflow.view import _words as words
from sweep.mlflow.view._folds import FoldRuns
from sweep.mlflow.view._inputs import fold_datasets, log_folds, make_model, with_model
from sweep.mlflow.view._metrics import (
    END,
    LAYOUT,
    Reference,
    milliseconds,
    parts_of,
    trial_metrics,
    winner_metrics,
)
from sweep.mlflow.view._outages import OUTAGES, lasts
from sweep.mlflow.view._renamed import follow_names
from sweep.mlflow.view._runs import PARENT, Run, SweepRuns
from sweep.mlflow.view._store import quietly
from sweep.mlflow.view._tables import (
    CURVES_FILE,
    METRICS_FILE,
    curves_table,
    metrics_table,
    winner_table,
)
from sweep.records import State, SweepState
from sweep.storage.home import Home
from sweep.util.collector import collector_asleep
from sweep.util.redaction import redact, shown_uri

EXPERIMENT = "ptxsweep"
#: MLflow's pages open as those of language models until told otherwise, once in each browser.
MODEL_TRAINING = "?workflowType=machine_learning"
#: Columns of the table of trials and of that of sweeps, which shows none of them by itself.
_SCORES = tuple(
    f"metrics.`{key}`" for key in ("score", "score_vs_default", "vs_default_low", "vs_default_high")
)
TRIALS_VIEW = shared_view(
    [*_SCORES, "tags.`ptxsweep.rank`", f"tags.`{content.STOPPED}`"], order_by=_SCORES[0]
)
SWEEPS_VIEW = shared_view([*_SCORES, "tags.`ptxsweep.standing`"], order_by="attributes.start_time")
_LONGEST_PAUSE_SECONDS = 60.0
_FINAL_TRIES = 3
_log = logging.getLogger(__name__)


class MlflowView:
    """The MLflow side of one sweep. Not thread-safe.

    Attributes:
        name: Name of the sweep.
        run_id: The parent run, None until MLflow was reached.
        num_failures: Times that MLflow could not be used.
        needs_mending: Whether what failed last fails until a person mends it.
    """

    def __init__(
        self,
        tracking_uri: str,
        name: str,
        *,
        artifact_root: Path | None = None,
        folder: Path | None = None,
        fold_runs: bool = False,
        experiment: str = EXPERIMENT,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Touches nothing; the first `sync` connects.

        Args:
            tracking_uri: Address of MLflow: a server, or a database.
            name: Name of the sweep.
            artifact_root: Folder of artifacts where no server keeps them; MLflow's own choice,
                in the working folder, if None.
            folder: Folder of the sweep, for the tables of trials with thresholds that an older
                ledger does not keep; they are sent without if None.
            fold_runs: Whether each fold has a run, also where the search space does not ask for it.
            experiment: Name of the experiment that holds all sweeps.
            clock: Seconds that never go back.
            pause: Waits for some seconds between the tries of a last sync.
        """
        self.name = name
        self.run_id: str | None = None
        self.num_failures = 0
        self.needs_mending = False
        self._uri, self._experiment, self._root = tracking_uri, experiment, artifact_root
        self._folder, self._fold_runs = folder, fold_runs
        self._folds: FoldRuns | None = None
        self._clock, self._pause = clock, pause
        self._failures_in_a_row = 0
        self._next_try = 0.0
        self._runs: SweepRuns | None = None
        self._done: dict[int, tuple[int, str, str]] = {}

    @classmethod
    def for_sweep(cls, home: Home, name: str, *, fold_runs: bool = False) -> MlflowView:
        """The view of a sweep in a home; see the class."""
        folder = home.sweep_folder(name)
        return cls(
            home.tracking_uri,
            name,
            artifact_root=home.artifacts,
            folder=folder,
            fold_runs=fold_runs,
        )

    def sync(
        self,
        source: Ledger | Projection,
        *,
        final: bool = False,
        is_left: bool = False,
        state: str | None = None,
    ) -> bool:
        """Send what MLflow lacks. An outage is no error; after one, tries come less often.

        Args:
            source: The ledger, or a snapshot of its projection.
            final: Whether the driver is done: a few tries, and no run is left open.
            is_left: Whether no driver is at work on the sweep: no run is left open either.
            state: See `state_of`; that of the source unless given.

        Returns:
            Whether MLflow is now like the ledger.
        """
        projection = source if isinstance(source, Projection) else source.projection
        if not final and self._clock() < self._next_try:
            return False
        for attempt in range(_FINAL_TRIES if final else 1):
            if attempt:
                self._pause(2.0**attempt)
            if self._guarded(
                lambda: self._sync(projection, final=final, is_left=is_left, state=state)
            ):
                return True
            if self.needs_mending:
                break
        return False

    def catch_up(self, ledger: Ledger, *, state: str | None = None) -> bool:
        """As `sync`; a driver that is gone leaves no run that never ends."""
        storage = ledger.storage
        driver = driver_of(storage, study_id(storage, ledger.name), shared_clock(storage))
        return self.sync(ledger, is_left=driver is None, state=state)

    def log_artifact(
        self, source: Ledger | Projection, path: Path, folder: str | None = None
    ) -> bool:
        """Copy a file, such as the report, to the parent run.

        Args:
            source: Source, as for `sync`, which comes first if MLflow has no run of it.
            path: Path of a file that exists.
            folder: Inside the run's artifacts.

        Returns:
            Whether it was copied; an outage is said in the log.
        """
        projection = source if isinstance(source, Projection) else source.projection

        def send() -> None:
            if PARENT not in self._known_runs(projection).found:
                self._sync(projection)  # a run alone would be one that never ends
            runs = self._reach(projection)
            runs.write(runs.found[PARENT], path, folder)

        return self._guarded(send)

    def _guarded(self, action: Callable[[], None]) -> bool:
        """The one place where an outage is caught."""
        try:
            with quietly():
                action()
        except OUTAGES as error:
            self._note_failure(error)
            return False
        if self._failures_in_a_row:
            _log.info("MLflow is back and has everything")
        self._failures_in_a_row, self._next_try, self.needs_mending = 0, 0.0, False
        return True

    def _note_failure(self, error: Exception) -> None:
        self.num_failures += 1
        self._failures_in_a_row += 1
        self.needs_mending = lasts(error)
        wait = min(2.0**self._failures_in_a_row, _LONGEST_PAUSE_SECONDS)
        self._next_try = self._clock() + wait
        self._runs, self._done = None, {}  # what we believe of MLflow may be wrong by now
        _log.log(
            logging.WARNING if self._failures_in_a_row == 1 else logging.DEBUG,
            "MLflow at %s failed (%s: %s); nothing is lost: the ledger has everything, and %s",
            shown_uri(self._uri),
            type(error).__name__,
            redact(" ".join(str(error).split()))[:300],
            f"`ptxsweep sync {self.name}` sends it when that is mended"
            if self.needs_mending
            else "it is sent when MLflow is back",
        )

    def _sync(
        self,
        projection: Projection,
        *,
        final: bool = False,
        is_left: bool = False,
        state: str | None = None,
    ) -> None:
        if final:
            self._runs, self._done = None, {}  # another process may have written: look again
        state = state or state_of(self.name, projection)
        if self._folder is not None:
            fill(projection, self._folder)
        runs, reference = self._reach(projection), Reference.of(projection)
        over = (
            final
            or is_left
            or projection.sweep_state in (SweepState.FINISHED, SweepState.INTERRUPTED)
        )
        if not over:
            runs.drop(runs.found[PARENT], STATE_TAG)
        try:
            self._send_trials(runs, projection, reference, over=over, session=one_transaction)
        except Undone:  # and what we believe of the runs is wrong by now
            self._runs, self._done = None, {}
            runs = self._reach(projection)
            self._send_trials(runs, projection, reference, over=over, session=_none)
        self._send_sweep(runs, projection, reference, over=over)
        if number := runs.retire():
            _log.info(
                "MLflow had %d runs of trials of this sweep by an earlier build; they were sent "
                "anew, and the old ones are among its deleted runs",
                number,
            )
        if over and runs.found[PARENT].tags.get(STATE_TAG) != state:
            runs.send(runs.found[PARENT], tags={STATE_TAG: state})

    def _send_trials(
        self,
        runs: SweepRuns,
        projection: Projection,
        reference: Reference,
        *,
        over: bool,
        session: Callable[[MlflowClient], AbstractContextManager[None]],
    ) -> None:
        for trial in projection.trials:
            whole = _all_of(trial, reference, over=over)
            if self._done.get(trial.number) == whole:
                continue
            with collector_asleep(), session(runs.client):
                self._send_trial(runs, trial, projection, reference, over=over)
            self._done[trial.number] = whole

    def _reach(self, projection: Projection) -> SweepRuns:
        """Connect and learn which runs there are; afterwards there is a parent."""
        runs = self._known_runs(projection)
        if PARENT not in runs.found:
            created = milliseconds(projection.header.created_at or "")
            runs.make(PARENT, content.sweep_tags(self.name, projection), created)
        self.run_id = runs.found[PARENT].run_id
        sweeps, trials = runs.experiments
        runs.label(sweeps, dict([SWEEPS_VIEW, (words.DESCRIPTION, words.sweeps_note())]))
        link = run_link(self.name, sweeps, self.run_id)
        note = words.trials_note(self.name, projection.header, link)
        runs.label(trials, dict([TRIALS_VIEW, (words.DESCRIPTION, note)]))
        return runs

    def _known_runs(self, projection: Projection) -> SweepRuns:
        """Connect and learn which runs there are."""
        if self._runs is None:
            runs = SweepRuns(self._uri, content.sweep_id(self.name, projection.header))
            former = projection.header.former_names or ()
            follow_names(runs, self._experiment, former, self.name)
            runs.enter(self._experiment, f"{self._experiment}/{self.name}", self._root)
            self._runs, self._folds = runs, None
            if self._fold_runs or content.wants_fold_runs(projection.header):
                self._folds = FoldRuns.enter(runs, f"{self._experiment}/{self.name}/folds")
        else:
            self._runs.refresh()
        return self._runs

    def _send_trial(
        self,
        runs: SweepRuns,
        trial: Trial,
        projection: Projection,
        reference: Reference,
        *,
        over: bool,
    ) -> None:
        if trial.number not in runs.found:
            tags = content.trial_tags(self.name, trial, projection) | self._parent_tag
            runs.make(trial.number, tags, milliseconds(trial.created_at))
        run = runs.found[trial.number]
        sent = content.sent_to(run.tags, trial)
        params = {}
        if sent.is_new:
            params = content.trial_params(trial)
            runs.write_text(run, content.trial_settings(trial), content.SETTINGS_FILE)
        tags = content.standing_tags(trial, reference) | self._parent_tag
        sweep_link = run_link(self.name, runs.experiments[0], str(self.run_id))
        tags[words.DESCRIPTION] = words.trial_note(trial, projection, reference, sweep_link)
        metrics = trial_metrics(trial, projection, sent, reference)
        if trial.state.is_final and END not in sent.parts:
            metrics = self._send_end(runs, run, trial, projection, metrics, tags)
        runs.send(run, metrics=metrics, params=params, tags=tags)
        runs.set_status(run, _status(trial, over=over), content.last_time(trial))
        if self._folds is not None:
            own = content.trial_tags(self.name, trial, projection)
            self._folds.send(trial, projection, own, over=over)

    def _send_end(
        self,
        runs: SweepRuns,
        run: Run,
        trial: Trial,
        projection: Projection,
        metrics: list[Metric],
        tags: dict[str, str],
    ) -> list[Metric]:
        """The tables, folds and model of a trial that is over; its metrics with the model."""
        datasets = fold_datasets(projection.header, sorted({*trial.folds, *trial.attempts}))
        if datasets:
            log_folds(runs.client, run.run_id, datasets)
        if trial.folds:
            runs.write_text(run, metrics_table(trial), METRICS_FILE)
        if trial.folds or trial.epochs:
            runs.write_text(run, curves_table(trial, projection.header.metric), CURVES_FILE)
        if trial.state is not State.COMPLETE:
            return metrics
        model_id = run.tags.get(content.MODEL) or make_model(
            runs.client,
            runs.experiments[1],
            f"{self.name}-{trial.number:04d}",
            run,
            content.trial_params(trial),
        )
        tags[content.MODEL] = model_id
        return with_model(metrics, model_id)

    @property
    def _parent_tag(self) -> dict[str, str]:
        return {"mlflow.parentRunId": str(self.run_id)}

    def _send_sweep(
        self, runs: SweepRuns, projection: Projection, reference: Reference, *, over: bool
    ) -> None:
        run = runs.found[PARENT]
        if run.tags.get(content.LOGGED) != LAYOUT:
            for name, text in content.sweep_files(projection).items():
                runs.write_text(run, text, name)
            params = {} if content.LOGGED in run.tags else content.sweep_params(projection)
            runs.send(run, params=params, tags={content.LOGGED: LAYOUT})
        said = verdict(projection)
        tags, metrics = content.progress_tags(projection, said), []
        winner = content.winner_tags(projection)
        number = winner[content.WINNER]
        links = {"Trials": experiment_link(f"{self._experiment}/{self.name}", runs.experiments[1])}
        if number.isdigit():
            best, his = projection.trials[int(number)], runs.found[int(number)].run_id
            if any(run.tags.get(key) != text for key, text in winner.items()):
                metrics = winner_metrics(projection)
                table = winner_table(best, projection.header.metric, reference)
                runs.write_text(run, table, METRICS_FILE)
            tags[content.WINNER_RUN] = his
            links["Winner"] = run_link(f"{self.name}-{best.number:04d}", runs.experiments[1], his)
        elif content.WINNER_RUN in run.tags:  # of an earlier version, which had winners too soon
            tags[content.WINNER_RUN] = number
        gate = content.gate_text(run.tags)
        tags[words.DESCRIPTION] = words.sweep_note(projection, said, links, gate)
        runs.send(run, metrics=metrics, tags=tags | winner)
        runs.drop(run, content.OLD_TRIALS)  # else it would go stale beside the new one
        finished = "FINISHED" if projection.sweep_state is SweepState.FINISHED else "KILLED"
        runs.set_status(run, finished if over else "RUNNING", content.sweep_time(projection))


def _none(_client: MlflowClient) -> AbstractContextManager[None]:
    """Each call has its own session."""
    return nullcontext()


def _status(trial: Trial, *, over: bool) -> str:
    is_cut_off = over and not trial.state.is_final
    return "KILLED" if is_cut_off else content.STATUS[trial.state]


def _all_of(trial: Trial, reference: Reference, *, over: bool) -> tuple[int, str, str]:
    """Changes whenever a trial's run has to."""
    parts = ",".join(parts_of(trial, reference))
    return trial.revision, _status(trial, over=over), parts


def run_link(text: str, experiment_id: str, run_id: str) -> str:
    """A link to a run, in Markdown, that works wherever MLflow's pages are."""
    return f"[{text}](#/experiments/{experiment_id}/runs/{run_id}{MODEL_TRAINING})"


def experiment_link(text: str, experiment_id: str) -> str:
    """The same to an experiment, with the columns of our view."""
    return f"[{text}](#/experiments/{experiment_id}/runs{MODEL_TRAINING}&viewStateShareKey={VIEW})"
