"""Where the run of a sweep is, without making anything."""

from __future__ import annotations

from sweep.ledger.header import SweepHeader
from sweep.mlflow.view._content import sweep_id
from sweep.mlflow.view._runs import PARENT, SweepRuns, number_of
from sweep.mlflow.view._view import EXPERIMENT


def find_run(tracking_uri: str, name: str, header: SweepHeader) -> tuple[str, str] | None:
    """The run of a sweep.

    Args:
        tracking_uri: Address of MLflow.
        name: Name of the sweep.
        header: Header of its ledger.

    Returns:
        Ids of its experiment and of itself; None where MLflow has none.
    """
    runs = SweepRuns(tracking_uri, sweep_id(name, header))
    place = runs.client.get_experiment_by_name(EXPERIMENT)
    if place is None:
        return None
    own = (run.run_id for run in runs.runs_of(place.experiment_id) if number_of(run) == PARENT)
    return next(((str(place.experiment_id), run) for run in own), None)
