"""Take the runs of a sweep that is deleted out of MLflow's pages."""

from __future__ import annotations

from sweep.ledger.header import SweepHeader
from sweep.mlflow.view._content import MODEL, sweep_id
from sweep.mlflow.view._runs import SweepRuns
from sweep.mlflow.view._store import quietly
from sweep.mlflow.view._view import EXPERIMENT


def remove_runs(tracking_uri: str, name: str, header: SweepHeader) -> int:
    """Mark the runs of a sweep, and the models of its trials, as deleted.

    MLflow keeps them, with their artifacts, and brings runs back when asked, until `mlflow gc`.
    Experiments stay: another sweep may have runs in them.

    Args:
        tracking_uri: Address of MLflow.
        name: Name of the sweep.
        header: Header of its ledger.

    Returns:
        How many runs were deleted.
    """
    number = 0
    with quietly():
        runs = SweepRuns(tracking_uri, sweep_id(name, header))
        for place in (f"{EXPERIMENT}/{name}/folds", f"{EXPERIMENT}/{name}", EXPERIMENT):
            known = runs.client.get_experiment_by_name(place)
            if known is None or known.lifecycle_stage == "deleted":
                continue
            for run in list(runs.runs_of(str(known.experiment_id))):
                if (model := run.tags.get(MODEL)) is not None:
                    runs.client.delete_logged_model(model)
                runs.client.delete_run(run.run_id)
                number += 1
    return number
