"""Bring MLflow to the state of a sweep's ledger, and drop weights that a killed driver left."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.errors import TrackingError
from sweep.ledger import Ledger
from sweep.mlflow.view import MlflowView, shown_uri
from sweep.records import SweepState
from sweep.storage.home import Home
from sweep.storage.retention import NUM_KEPT
from sweep.storage.sweep_files import files_of


@dataclass(frozen=True, kw_only=True)
class Synced:
    """A sweep that MLflow has.

    Attributes:
        sweep: Its name.
        run_id: Its run in MLflow.
        tracking_uri: Address of MLflow, without user and password.
        num_trials: Trials that MLflow has a run of.
        num_folds: Finished folds among them.
    """

    sweep: str
    run_id: str
    tracking_uri: str
    num_trials: int
    num_folds: int


def sync(home: Home, name: str, *, fold_runs: bool = False) -> Synced:
    """Make MLflow like the ledger. What is there already stays, so it may be called again.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        fold_runs: Whether each fold has a run too, as `mlflow: {fold_runs: true}` of a space says.

    Raises:
        UsageError: There is no such sweep.
        TrackingError: MLflow cannot be reached.
    """
    ledger = Ledger.open(home.ledger_url, name)
    try:
        if ledger.projection.sweep_state is SweepState.FINISHED:
            files_of(home, name).tidy(ledger.projection, num_kept=NUM_KEPT)
        view = MlflowView.for_sweep(home, name, fold_runs=fold_runs)
        if not view.catch_up(ledger) or view.run_id is None:
            then = "mend that, then sync" if view.needs_mending else "sync"
            when = "" if view.needs_mending else " when MLflow is back"
            raise TrackingError(
                f"MLflow at {shown_uri(home.tracking_uri)} cannot be used (the log says why); the "
                f"ledger has everything: {then} again{when}"
            )
        trials = ledger.projection.trials
        return Synced(
            sweep=name,
            run_id=view.run_id,
            tracking_uri=shown_uri(home.tracking_uri),
            num_trials=len(trials),
            num_folds=sum(len(trial.folds) for trial in trials),
        )
    finally:
        ledger.close()
