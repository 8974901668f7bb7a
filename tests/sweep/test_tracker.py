"""The tracker sends several folds at once, and everything in the end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from synthetic_sweeps import Story, run_sweep

from sweep.ledger import Ledger
from sweep.mlflow_view import MlflowView
from sweep.mlflow_view._runs import MAX_METRICS, PARENT, SweepRuns
from sweep.tracker import PERIOD_SECONDS, Tracker


@pytest.fixture
def uri(mlflow_template: Path, tmp_path: Path) -> str:
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    return run_sweep(url, "paced", num_trials=3, num_completions=1, seed=1, story=Story())


@pytest.fixture
def runs(uri: str, tmp_path: Path) -> SweepRuns:
    found = SweepRuns(uri, "paced")
    found.enter("ptxsweep", tmp_path / "artifacts")
    found.make({PARENT: ({"mlflow.runName": "paced", "ptxsweep.sweep_id": "paced"}, 0)})
    return found


def test_events_that_come_together_are_sent_together(uri: str, ledger: Ledger) -> None:
    """What comes within a period of the last snapshot waits for the next one, and is in it."""
    times = (0.0, 0.5, PERIOD_SECONDS - 0.1, PERIOD_SECONDS, 2 * PERIOD_SECONDS)
    tracker = Tracker(MlflowView(uri, ledger.name), ledger, clock=iter(times).__next__)
    history = list(ledger.projection.history)
    sizes: list[int] = []
    for _ in times:
        ledger.projection.history = history[: len(history) - 4 + len(sizes)]
        tracker.offer()
        waiting, tracker._waiting = tracker._waiting, None
        sizes.append(0 if waiting is None else len(waiting.history))
    assert sizes == [len(history) - 4, 0, 0, len(history) - 1, len(history)]


def test_the_end_is_sent_however_soon_it_comes(
    uri: str, ledger: Ledger, tmp_path: Path, runs: SweepRuns
) -> None:
    tracker = Tracker(MlflowView(uri, ledger.name, artifact_root=tmp_path), ledger)
    with tracker.running():
        tracker.offer()
    tracker.finish()
    sent = runs.client.search_runs([runs.experiment_id], f"tags.`ptxsweep.sweep` = '{ledger.name}'")
    assert len(sent) == 1 + len(ledger.projection.candidates)
    assert "RUNNING" not in {run.info.status for run in sent}


def test_many_metrics_and_params_arrive_whole_and_tags_with_them(runs: SweepRuns) -> None:
    """More than MLflow takes in one call, and exactly what it takes."""
    run = runs.found[PARENT]
    metrics = [Metric(f"m{number}", float(number), 1, 0) for number in range(2 * MAX_METRICS)]
    params = {f"p{number}": str(number) for number in range(100)}
    tags = {f"t{number}": str(number) for number in range(100)}
    runs.send(run, metrics=metrics, params=params | {"last": "1"}, tags=tags)
    data = runs.client.get_run(run.run_id).data
    assert data.metrics == {one.key: one.value for one in metrics}
    assert data.params == params | {"last": "1"}
    assert tags.items() <= data.tags.items()


def test_no_tag_vouches_for_what_was_refused(runs: SweepRuns) -> None:
    run = runs.found[PARENT]
    runs.send(run, params={"lr": "1"})
    with pytest.raises(MlflowException, match="already logged"):
        runs.send(run, metrics=[Metric("m", 1.0, 1, 0)], params={"lr": "2"}, tags={"logged": "0"})
    assert "logged" not in runs.client.get_run(run.run_id).data.tags
    assert "logged" not in run.tags
