"""The view against a real MLflow store on SQLite, fed by real ledgers."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import math
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run, ViewType
from synthetic_sweeps import Story, run_sweep

from ptxcore.metrics import CONVENTIONS, LOWER_IS_BETTER, better
from sweep.analysis.standing import standing
from sweep.analysis.statistics import corrected_interval
from sweep.analysis.verdict import verdict
from sweep.cli import main
from sweep.ledger import Ledger
from sweep.ledger.projection import Attempt, Trial
from sweep.mlflow.view import MlflowView, connect, shown_uri, sweep_id
from sweep.records import State, SweepState

#: One diverged trial, one fold tried twice, several stopped by the pruner.
STORY = Story(diverges=frozenset({3}), lost=frozenset({(1, 0)}))


def make(url: str, story: Story, seed: int = 1) -> Ledger:
    """A sweep of a few trials; the same seed and story tell the same history."""
    return run_sweep(url, "finished", num_trials=5, num_completions=2, seed=seed, story=story)


@pytest.fixture
def uri(mlflow_template: Path, tmp_path: Path) -> str:
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A finished sweep with every kind of end."""
    folder = tmp_path_factory.mktemp("ledger")
    made = make(f"sqlite:///{folder / 'ledger.db'}", STORY)
    ends = Counter(one.state for one in made.projection.trials)
    assert ends.keys() >= {State.COMPLETE, State.FAILED}
    assert ends[State.PRUNED] + ends[State.ABANDONED]
    return made


def view_of(uri: str, ledger: Ledger) -> MlflowView:
    root = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
    return MlflowView(uri, ledger.name, artifact_root=root)


def all_runs(uri: str) -> list[Run]:
    """Of all sweeps and of their trials."""
    client = connect(uri)
    places = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(places, "", ViewType.ACTIVE_ONLY, 5000))


def content_of(uri: str) -> dict[str, object]:
    """Everything that a store holds of the sweeps, every metric's history included."""
    client, content = connect(uri), {}
    for run in all_runs(uri):
        history = {
            key: sorted(
                (point.step, point.timestamp, point.value)
                for point in client.get_metric_history(run.info.run_id, key)
            )
            for key in run.data.metrics
        }
        ids = ("mlflow.parentRunId", "ptxsweep.winner_run_id", "ptxsweep.model_id")
        content[run.info.run_name] = (
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            run.data.params,
            {
                key: re.sub(r"\[[^]]*\]\(#[^)]*\)", "", text)  # links hold ids
                for key, text in run.data.tags.items()
                if key not in ids
            },
            history,
            sorted(one.path for one in client.list_artifacts(run.info.run_id)),
            sorted(each.dataset.digest for each in run.inputs.dataset_inputs),
            num_models(client, run),
        )
    return content


def num_models(client: MlflowClient, run: Run) -> int:
    return len(
        client.search_logged_models([run.info.experiment_id], f"name = '{run.info.run_name}'")
    )


def parent_of(uri: str) -> Run:
    (parent,) = (run for run in all_runs(uri) if "mlflow.parentRunId" not in run.data.tags)
    return parent


def test_a_run_per_trial_under_a_run_per_sweep(uri: str, ledger: Ledger) -> None:
    assert view_of(uri, ledger).sync(ledger, final=True)
    parent = parent_of(uri)
    children = [run for run in all_runs(uri) if run.info.run_id != parent.info.run_id]
    trials = ledger.projection.trials
    assert len(children) == len(trials)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    by_number = {int(run.data.tags["ptxsweep.trial"]): run for run in children}
    expected = {
        State.COMPLETE: "FINISHED",
        State.PRUNED: "KILLED",
        State.ABANDONED: "KILLED",
        State.FAILED: "FAILED",
    }
    for one in trials:
        run = by_number[one.number]
        assert run.info.status == expected[one.state]
        assert run.info.end_time >= run.info.start_time
        assert run.data.params["learning_rate"] == str(one.settings["learning_rate"])
        assert run.data.params.keys() == one.parameters.keys()
        settings = artifact(uri, run, "settings.json")
        assert settings["network"] == "attention_unet"
        assert run.data.tags["ptxsweep.state"] == one.state
        assert run.data.tags["ptxsweep.phantom"] == "True"
        assert one.is_diverged or one.state is State.COMPLETE or "ptxsweep.stopped" in run.data.tags


def artifact(uri: str, run: Run, name: str) -> dict[str, Any]:
    file = connect(uri).download_artifacts(run.info.run_id, name)
    found = json.loads(Path(file).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def run_of(uri: str, number: int) -> Run:
    (run,) = (
        one
        for one in all_runs(uri)
        if one.data.tags.get("ptxsweep.trial") == f"{number}"
        and "ptxsweep.fold" not in one.data.tags
    )
    return run


def points(uri: str, run: Run, key: str) -> list[tuple[int, float]]:
    history = connect(uri).get_metric_history(run.info.run_id, key)
    return sorted((one.step, one.value) for one in history)


def test_some_25_keys_and_the_rest_in_tables(uri: str, ledger: Ledger) -> None:
    view_of(uri, ledger).sync(ledger, final=True)
    best = ledger.projection.best()
    assert best is not None
    run = run_of(uri, best.number)
    assert run.info.run_id == parent_of(uri).data.tags["ptxsweep.winner_run_id"]
    scores = [best.folds[fold].score for fold in range(5)]
    for fold, score in enumerate(scores):
        assert points(uri, run, f"score/fold-{fold}") == [(0, score)]
    latest = run.data.metrics
    assert len(latest) <= 25
    assert next(iter(latest)) == "score"  # MLflow's page that compares runs shows the first one
    assert points(uri, run, "folds_done") == [(5, 5)]
    assert latest["score"] == pytest.approx(corrected_interval(scores).mean)
    assert latest["score_sd"] == pytest.approx(corrected_interval(scores).sd)
    dice = [best.folds[fold].metrics["dice"] for fold in range(5)]
    assert latest["dice_both_empty_1"] == pytest.approx(corrected_interval(dice).mean)
    empty = best.folds[4].metrics["dice_all_empty"]
    assert latest["dice_all_empty"] == pytest.approx(empty)
    assert run.data.tags["ptxsweep.threshold"] == "fixed threshold 0.5"
    assert run.data.tags["ptxsweep.rank"].startswith("1 of ")
    shortest = min(best.folds[fold].num_epochs for fold in range(5))
    losses = points(uri, run, "train/loss")
    assert [epoch for epoch, _ in losses] == list(range(1, shortest + 1))
    assert losses[1][1] == pytest.approx(
        sum(score.curves["train_loss"][1] for score in best.folds.values()) / 5
    )
    table = artifact(uri, run, "metrics.json")
    rows = {(row[0], row[1]): row[2:] for row in table["data"]}
    assert table["columns"][4:] == [f"fold-{fold}" for fold in range(5)]
    assert rows["dice", "fixed threshold 0.5"][2:] == pytest.approx(dice, rel=1e-3)
    curves = artifact(uri, run, "curves.json")
    assert sum(row[0] == 2 for row in curves["data"]) == best.folds[2].num_epochs


def test_a_complete_trial_has_folds_and_a_model(uri: str, ledger: Ledger) -> None:
    view_of(uri, ledger).sync(ledger, final=True)
    client = connect(uri)
    digests = set()
    for one in ledger.projection.trials:
        run = run_of(uri, one.number)
        inputs = {each.dataset.name: each for each in run.inputs.dataset_inputs}
        assert set(inputs) == {f"held-out-fold-{fold}" for fold in {*one.folds, *one.attempts}}
        digests |= {(name, each.dataset.digest) for name, each in inputs.items()}
        assert num_models(client, run) == (one.state is State.COMPLETE)
        if one.state is State.COMPLETE:
            model = client.get_logged_model(run.data.tags["ptxsweep.model_id"])
            assert model.status == "READY"
            found = {metric.key: metric for metric in model.metrics or ()}
            assert found["score"].value == pytest.approx(one.mean_value)
            assert found["dice_all_empty"].value == run.data.metrics["dice_all_empty"]
    assert len(digests) == 5


def test_a_sweep_with_a_dot_in_its_name_has_models_too(uri: str, ledger: Ledger) -> None:
    """As a confirmation has; MLflow takes no dot in the name of a model."""
    root = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
    view = MlflowView(uri, "first.confirm", artifact_root=root)
    assert view.sync(ledger, final=True)
    assert view.num_failures == 0


def test_sweeps_and_trials_stand_apart_and_lead_to_each_other(uri: str, ledger: Ledger) -> None:
    view_of(uri, ledger).sync(ledger, final=True)
    client, parent = connect(uri), parent_of(uri)
    sweeps = client.get_experiment_by_name("ptxsweep")
    trials = client.get_experiment_by_name(f"ptxsweep/{ledger.name}")
    assert sweeps is not None
    assert trials is not None
    for one in (sweeps, trials):
        assert one.tags["mlflow.experimentKind"] == "custom_model_development"
        columns = json.loads(one.tags["mlflow.sharedViewState.ptxsweep"])["selectedColumns"]
        assert columns[0] == "metrics.`score`"
    assert [run.info.run_id for run in client.search_runs([sweeps.experiment_id])] == [
        parent.info.run_id
    ]
    assert len(client.search_runs([trials.experiment_id])) == len(ledger.projection.trials)
    said = verdict(ledger.projection)
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith(f"**{said.sentences[0]}**")
    assert f"](#/experiments/{trials.experiment_id}/runs" in note
    assert "1 failed: objective is NaN" in note
    own = run_of(uri, 3).data.tags["mlflow.note.content"]
    assert own.startswith("**Failed in fold 0 at epoch 3: objective is NaN.**")
    assert f"](#/experiments/{sweeps.experiment_id}/runs/{parent.info.run_id}" in own


def test_no_scalar_is_that_of_a_fold(uri: str, ledger: Ledger) -> None:
    """MLflow's one value of a key is its last step: no key may have folds for its steps."""
    view_of(uri, ledger).sync(ledger, final=True)
    for one in ledger.projection.trials:
        run = run_of(uri, one.number)
        for key, value in run.data.metrics.items():
            if key.startswith(("monitor/", "train/")):
                continue  # curves
            assert points(uri, run, key) == [(run_step(one, key), value)], key


def run_step(one: Trial, key: str) -> int:
    return 0 if key.startswith("score/fold-") else len(one.folds)


def test_partial_means_stand_apart(uri: str, ledger: Ledger) -> None:
    """Whoever sorts by the score sees complete trials alone."""
    view_of(uri, ledger).sync(ledger, final=True)
    partial = 0
    for one in ledger.projection.trials:
        latest, tags = run_of(uri, one.number).data.metrics, run_of(uri, one.number).data.tags
        is_complete = one.state is State.COMPLETE
        assert latest["folds_done"] == len(one.folds)
        assert latest["epochs_done"] == one.num_epochs > 0
        assert ("score" in latest) == is_complete
        assert ("dice_both_empty_1" in latest) == is_complete
        has_part = bool(one.folds) and not is_complete
        assert ("partial/score" in latest) == has_part
        assert (tags.get("ptxsweep.stopped") is None) == is_complete
        partial += has_part
    assert partial


def test_a_trial_stopped_in_its_first_fold_keeps_epochs_and_seconds(
    uri: str, ledger: Ledger
) -> None:
    view_of(uri, ledger).sync(ledger, final=True)
    one = ledger.projection.trials[3]
    assert (one.state, one.folds) == (State.FAILED, {})
    run = run_of(uri, 3)
    known = [(epoch, value) for epoch, value in one.epochs[0].items() if math.isfinite(value)]
    assert len(known) == 2
    assert points(uri, run, "monitor/fold-0") == known
    assert run.data.metrics["folds_done"] == 0
    assert run.data.metrics["epochs_done"] == 3
    assert run.data.metrics["seconds"] == pytest.approx(one.unfinished_seconds)
    assert one.unfinished_seconds > 0
    stopped = (run.data.metrics["stopped_at_fold"], run.data.metrics["stopped_at_epoch"])
    assert stopped == (0, 3)
    assert run.data.tags["ptxsweep.stopped"] == "failed in fold 0 at epoch 3: objective is NaN"


def test_the_first_fold_shows_its_epochs_while_it_runs(uri: str, ledger: Ledger) -> None:
    """Epochs go one by one, and the finished fold adds no point twice."""
    whole = ledger.projection.trials[0]
    begun = copy.deepcopy(ledger.projection)
    one = begun.trials[0]
    one.state, one.ended_at, one.running_fold, one.folds = State.RUNNING, None, 0, {}
    started = next(entry for entry in whole.log if entry.fold == 0)
    one.log = [Attempt(fold=0, attempt=1, started_at=started.started_at)]
    view, key = view_of(uri, ledger), "monitor/fold-0"
    for known in (2, 3):
        one.epochs = {0: dict(list(whole.epochs[0].items())[:known])}
        one.revision += 1
        view.sync(begun)
        assert points(uri, run_of(uri, 0), key) == list(one.epochs[0].items())
        progress = run_of(uri, 0).data.tags["ptxsweep.progress"]
        assert progress.endswith(f"fold 0 is at epoch {known}")
    view_of(uri, ledger).sync(ledger, final=True)
    assert points(uri, run_of(uri, 0), key) == sorted(whole.epochs[0].items())


def test_folds_have_runs_where_they_are_asked_for(uri: str, ledger: Ledger) -> None:
    root = view_of(uri, ledger)._root
    view = MlflowView(uri, ledger.name, artifact_root=root, fold_runs=True)
    assert view.sync(ledger, final=True)
    client = connect(uri)
    place = client.get_experiment_by_name(f"ptxsweep/{ledger.name}/folds")
    assert place is not None
    runs = client.search_runs([place.experiment_id])
    trials = ledger.projection.trials
    assert len(runs) == sum(len({*one.folds, *one.epochs}) for one in trials)
    for one in trials:
        own = [run for run in runs if run.data.tags["ptxsweep.trial"] == str(one.number)]
        parent = run_of(uri, one.number)
        assert {run.data.tags["mlflow.parentRunId"] for run in own} == {parent.info.run_id}
        scores = {
            int(run.data.tags["ptxsweep.fold"]): run.data.metrics["score"]
            for run in own
            if run.info.status == "FINISHED"
        }
        assert scores == {fold: score.value for fold, score in one.folds.items()}
        for run in own:
            told = one.epochs[int(run.data.tags["ptxsweep.fold"])]
            sent = dict(points(uri, run, "monitor/score"))
            assert sent == {epoch: value for epoch, value in told.items() if math.isfinite(value)}
    once = content_of(uri)
    assert view.sync(ledger, final=True)
    assert content_of(uri) == once


def test_sync_sends_what_mlflow_lacks(
    mlflow_template: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(f"sqlite:///{tmp_path / 'ledger.db'}", STORY).close()
    words = ["sync", "finished", "--home", str(tmp_path), "--json"]
    assert main([*words, "--tracking-uri", f"sqlite:///{tmp_path / 'ledger.db' / 'no'}"]) == 5
    assert "sync again when MLflow is back" in capfd.readouterr().err
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    for _ in range(2):
        assert main(words) == 0
        found = json.loads(capfd.readouterr().out)
        assert found["num_trials"] == 5
        runs = all_runs(f"sqlite:///{tmp_path / 'mlflow.db'}")
        assert len(runs) == 6
        assert found["run_id"] in {run.info.run_id for run in runs}


def test_runs_of_an_older_layout_are_sent_anew(uri: str, ledger: Ledger) -> None:
    """The sweep's run stays, since models and the gate refer to it; those of trials go."""
    client, view = connect(uri), view_of(uri, ledger)
    place = client.create_experiment("ptxsweep", view._root.as_uri())  # type: ignore[union-attr]
    projection = ledger.projection
    tags = {"ptxsweep.sweep_id": sweep_id(ledger.name, projection.header), "ptxsweep.layout": "2"}
    parent = client.create_run(place, tags=tags | {"ptxsweep.logged": "base"}).info.run_id
    old = [Metric("winner/mean/dice", 0.99, 1, 5), Metric("holdout/dice", 0.5, 1, 1)]
    client.log_batch(parent, old)
    child = client.create_run(
        place, tags=tags | {"ptxsweep.candidate": "0", "mlflow.parentRunId": parent}
    ).info.run_id
    assert view.sync(ledger, final=True)
    assert parent_of(uri).info.run_id == parent
    assert (
        parent_of(uri).data.metrics.items()
        >= {"winner/mean/dice": 0.99, "holdout/dice": 0.5}.items()
    )
    assert parent_of(uri).data.tags["ptxsweep.layout"] == "3"
    assert client.get_run(child).info.lifecycle_stage == "deleted"
    assert len(all_runs(uri)) == 1 + len(projection.trials)
    once = content_of(uri)
    assert view_of(uri, ledger).sync(ledger, final=True)
    assert content_of(uri) == once


def test_the_parent_holds_the_evidence(uri: str, ledger: Ledger) -> None:
    view_of(uri, ledger).sync(ledger, final=True)
    parent, projection = parent_of(uri), ledger.projection
    best = projection.best()
    assert best is not None
    assert parent.info.status == "FINISHED"
    tags, header = parent.data.tags, projection.header
    assert tags["ptxsweep.git_sha"] == header.git_sha
    assert tags["ptxsweep.data_hash"] == header.data_hash
    assert tags["ptxsweep.plan_digest"] == header.plan_digest
    assert tags["ptxsweep.objective"] == "maximize average_precision"
    assert tags["ptxsweep.winner"] == str(best.number)
    assert f"dice: {CONVENTIONS['dice']}" in tags["ptxsweep.empty_masks"]
    assert tags["ptxsweep.lower_is_better"] == ", ".join(sorted(LOWER_IS_BETTER))
    file = connect(uri).download_artifacts(parent.info.run_id, "metrics.md")
    glossary = Path(file).read_text(encoding="utf-8")
    for name, text in CONVENTIONS.items():
        assert f"| {name} | {better(name) or '-'} | {text} |" in glossary
    assert parent.data.params["policy.name"] == "greedy"
    assert parent.data.params["runtime.device"] == "cpu"
    latest, found = parent.data.metrics, standing(projection)
    assert latest["score"] == pytest.approx(best.mean_value)
    assert latest["dice_all_empty"] > 0
    if found.difference is not None:
        numbers = [latest[f"{key}"] for key in ("score_vs_default", "vs_default_low")]
        assert numbers == [found.difference.mean, found.difference.low]
    table = artifact(uri, parent, "metrics.json")
    rows = {(row[0], row[1]): row[2:] for row in table["data"]}
    interval = corrected_interval([best.folds[fold].metrics["dice"] for fold in range(5)])
    assert rows["dice", "fixed threshold 0.5"][:3] == pytest.approx(
        [interval.mean, interval.sd, interval.low], rel=1e-4
    )
    text = connect(uri).download_artifacts(parent.info.run_id, "space.yaml")
    assert Path(text).read_text(encoding="utf-8") == header.space_text


def test_a_sweep_that_is_not_over_has_no_winner(uri: str, tmp_path: Path) -> None:
    ledger = run_sweep(f"sqlite:///{tmp_path / 'open.db'}", story=Story(stop_after=14))
    assert ledger.projection.best() is not None
    view_of(uri, ledger).sync(ledger, final=True)
    parent = parent_of(uri).data
    ledger.close()
    assert parent.tags["ptxsweep.winner"] == "none yet"
    assert "ptxsweep.winner_run_id" not in parent.tags
    assert parent.tags["ptxsweep.standing"].startswith("No winner yet: ")
    assert not parent.metrics


def test_a_second_sync_changes_nothing(uri: str, ledger: Ledger) -> None:
    view = view_of(uri, ledger)
    assert view.sync(ledger, final=True)
    once = content_of(uri)
    assert view.sync(ledger)
    assert view.sync(ledger, final=True)
    assert view_of(uri, ledger).sync(ledger.projection, final=True)
    assert content_of(uri) == once


def test_another_process_goes_on_where_one_left(
    mlflow_template: Path, uri: str, ledger: Ledger, tmp_path: Path
) -> None:
    """The sweep is cut after any number of folds; each piece is sent by a view of its own."""
    cut = make(f"sqlite:///{tmp_path / 'piece.db'}", dataclasses.replace(STORY, stop_after=9))
    view_of(uri, cut).sync(cut)
    assert {run.info.status for run in all_runs(uri)} <= {"FINISHED", "KILLED", "FAILED"}
    assert parent_of(uri).info.status == "KILLED"
    # The same header, the same name and the same history, now to its end.
    view_of(uri, ledger).sync(ledger)
    whole = tmp_path / "whole.db"
    shutil.copy(mlflow_template, whole)
    view_of(f"sqlite:///{whole}", ledger).sync(ledger)
    got, expected = content_of(uri), content_of(f"sqlite:///{whole}")
    assert got.keys() == expected.keys()
    for name in expected:
        # Only the end times of what was closed in between may differ.
        assert got[name][:2] == expected[name][:2]  # type: ignore[index]
        assert got[name][3:] == expected[name][3:]  # type: ignore[index]


def test_lost_tags_and_half_sent_folds_are_mended(uri: str, ledger: Ledger) -> None:
    """A process that dies between metrics and tags leaves rows that the next one sends again."""
    view_of(uri, ledger).sync(ledger, final=True)
    once, client = content_of(uri), connect(uri)
    for run in all_runs(uri):
        client.delete_tag(run.info.run_id, "ptxsweep.logged")
    view_of(uri, ledger).sync(ledger, final=True)
    assert content_of(uri) == once


def test_a_running_sweep_is_shown_as_running(uri: str, ledger: Ledger) -> None:
    projection = copy.deepcopy(ledger.projection)
    projection.sweep_state = SweepState.RUNNING
    projection.trials[1].state = State.RUNNING
    projection.trials[2].state = State.PARKED
    view = view_of(uri, ledger)
    assert view.sync(projection)
    status = {run.data.tags.get("ptxsweep.trial"): run.info.status for run in all_runs(uri)}
    assert status[None] == "RUNNING"
    assert (status["1"], status["2"]) == ("RUNNING", "SCHEDULED")
    assert view.sync(projection, final=True)  # the driver dies of an error
    assert not {run.info.status for run in all_runs(uri)} & {"RUNNING", "SCHEDULED"}
    assert view.sync(ledger, final=True)
    assert parent_of(uri).info.status == "FINISHED"


def test_runs_that_were_made_twice_become_one(uri: str, ledger: Ledger) -> None:
    view_of(uri, ledger).sync(ledger, final=True)
    client, once = connect(uri), content_of(uri)
    last = {"ptxsweep.logged", "ptxsweep.winner"}  # sent after what they tell of
    for run in all_runs(uri):
        labels = {key: text for key, text in run.data.tags.items() if key not in last}
        client.create_run(run.info.experiment_id, run.info.start_time, labels, run.info.run_name)
    view_of(uri, ledger).sync(ledger, final=True)
    assert content_of(uri) == once


def test_two_sweeps_of_one_name_do_not_mix(uri: str, ledger: Ledger, tmp_path: Path) -> None:
    other = make(f"sqlite:///{tmp_path / 'other.db'}", Story(stop_after=2), seed=7)
    view_of(uri, ledger).sync(ledger, final=True)
    view_of(uri, other).sync(other, final=True)
    parents = [run for run in all_runs(uri) if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(run.info.status for run in parents) == ["FINISHED", "KILLED"]


def test_an_outage_is_said_once_and_nothing_is_lost(
    mlflow_template: Path, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The store's folder becomes a file for a while, so SQLite cannot open it."""
    now = 0.0
    folder = tmp_path / "store"
    folder.write_text("in the way", encoding="utf-8")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    pauses: list[float] = []
    view = MlflowView(
        uri,
        ledger.name,
        artifact_root=tmp_path / "artifacts",
        clock=lambda: now,
        pause=pauses.append,
    )
    with caplog.at_level(logging.INFO, logger="sweep"):
        assert not view.sync(ledger)
        assert not view.sync(ledger)  # too early for a second try
        assert view.num_failures == 1
        now = 2.5
        assert not view.sync(ledger)
        now = 4.5  # the second pause is longer
        assert not view.sync(ledger)
        assert view.num_failures == 2
        assert not view.sync(ledger, final=True)
        assert (view.num_failures, pauses) == (5, [2.0, 4.0])
        assert view.run_id is None
        assert not view.log_artifact(ledger, tmp_path / "store")
        folder.unlink()
        folder.mkdir()
        shutil.copy(mlflow_template, folder / "mlflow.db")
        assert view.sync(ledger, final=True)
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "nothing is lost" in warnings[0].getMessage()
    assert "MLflow is back" in caplog.text
    assert parent_of(uri).info.status == "FINISHED"


def test_a_server_that_is_not_there(ledger: Ledger) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://someone:secret@127.0.0.1:{taken.getsockname()[1]}"
        view = MlflowView(uri, ledger.name, pause=lambda seconds: None)
        assert not view.sync(ledger)
    assert shown_uri(uri) == uri.replace("someone:secret@", "")


def test_a_report_goes_to_the_parent(uri: str, ledger: Ledger, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<html></html>", encoding="utf-8")
    view = view_of(uri, ledger)
    assert view.log_artifact(ledger, report)
    # No run of a sweep without its trials, which would look as if it ran for ever.
    assert len(all_runs(uri)) == 1 + len(ledger.projection.trials)
    assert view.sync(ledger, final=True)
    names = {one.path for one in connect(uri).list_artifacts(str(view.run_id))}
    assert names == {"report.html", "space.yaml", "metrics.md", "metrics.json"}
    assert len([run for run in all_runs(uri) if run.info.run_id == view.run_id]) == 1


def test_many_processes_lay_out_one_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}"
    (tmp_path / "home" / ".mlflow.db.killed").mkdir(parents=True)
    code = f"from sweep.mlflow.view import connect; connect({uri!r}).search_experiments()"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [one.wait() for one in started] == [0, 0]
    assert isinstance(connect(uri), MlflowClient)
    left = {path.name for path in (tmp_path / "home").iterdir()}
    assert left - {".mlflow.db.lock"} == {"mlflow.db"}
