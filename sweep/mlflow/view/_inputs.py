"""The folds of a sweep as MLflow's datasets, and its complete trials as MLflow's models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, LoggedModelOutput, Metric

from sweep.ledger.header import SweepHeader
from sweep.mlflow.view._metrics import NAMES
from sweep.mlflow.view._runs import Run

#: Metrics of a run that its model has, too; the others are in its run.
_OF_MODEL = ("score", "score_vs_default", *(NAMES[key] for key in ("dice", "dice_positive")))
_OF_MODEL += (NAMES["dice_all_empty"],)


def fold_datasets(header: SweepHeader, folds: Iterable[int]) -> dict[int, Dataset]:
    """The cases that each fold holds out, by their digest.

    The digest follows from those of the data and of the plan that deals cases to folds; no path, no
    name and no number of a patient is in it.
    """
    plan = header.search_plan_digest or header.plan_digest or "unknown"
    found = {}
    for fold in folds:
        source = {"data": header.data_hash, "plan": plan, "fold": fold}
        text = json.dumps(source, sort_keys=True)
        found[fold] = Dataset(
            name=f"held-out-fold-{fold}",
            digest=hashlib.sha256(text.encode()).hexdigest()[:32],
            source_type="ptxsweep",
            source=text,
        )
    return found


def log_folds(client: MlflowClient, run_id: str, datasets: Mapping[int, Dataset]) -> None:
    """Make folds the inputs of a run; what it has already it keeps."""
    client.log_inputs(run_id, [DatasetInput(each) for each in datasets.values()])


def make_model(
    client: MlflowClient, experiment_id: str, name: str, run: Run, params: Mapping[str, str]
) -> str:
    """Make the model of a complete trial, unless its run has one; the id in MLflow.

    It holds no files: weights lie in the sweep's folder, and a champion's in the registry.
    """
    if not run.is_new:
        known = client.search_logged_models([experiment_id], f"source_run_id = '{run.run_id}'")
        if known:
            return str(known[0].model_id)
    made = client.create_logged_model(
        experiment_id,
        re.sub(r"[^A-Za-z0-9_-]", "-", name),  # a model takes fewer signs than a sweep: no dot
        source_run_id=run.run_id,
        params=dict(params),
        model_type="ensemble of folds",
    )
    client.finalize_logged_model(made.model_id, "READY")
    client.log_outputs(run.run_id, [LoggedModelOutput(made.model_id, 0)])
    return str(made.model_id)


def with_model(metrics: Sequence[Metric], model_id: str) -> list[Metric]:
    """The same metrics, those that a model has with its id."""
    return [
        Metric(metric.key, metric.value, metric.timestamp, metric.step, model_id=model_id)
        if metric.key in _OF_MODEL
        else metric
        for metric in metrics
    ]
