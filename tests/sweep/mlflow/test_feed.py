"""The feed sends several folds at once, and everything in the end."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
import socket
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from synthetic_sweeps import Story, run_sweep
from tiny_sweep import home_at

from sweep.ledger import Ledger
from sweep.mlflow.feed import EPOCHS_PERIOD_SECONDS, NUM_RESTARTS, PERIOD_SECONDS, MlflowFeed
from sweep.mlflow.process import MlflowProcess
from sweep.mlflow.view import EXPERIMENT, sweep_id
from sweep.mlflow.view._runs import MAX_METRICS, PARENT, SweepRuns
from sweep.storage.home import Home


@pytest.fixture
def uri(mlflow_template: Path, tmp_path: Path) -> str:
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def home(uri: str, tmp_path: Path) -> Home:
    return home_at(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    return run_sweep(url, "paced", num_trials=3, num_completions=1, seed=1, story=Story())


def assert_whole(home: Home, ledger: Ledger, run_id: str | None) -> None:
    """MLflow has the sweep's run and every trial's, and none is open."""
    found = SweepRuns(home.tracking_uri, sweep_id(ledger.name, ledger.header))
    found.enter(EXPERIMENT, f"{EXPERIMENT}/{ledger.name}", None)
    assert len(found.found) == 1 + len(ledger.projection.trials)
    assert found.found[PARENT].run_id == run_id
    assert "RUNNING" not in {run.status for run in found.found.values()}


@pytest.fixture
def runs(uri: str, tmp_path: Path) -> SweepRuns:
    found = SweepRuns(uri, "paced")
    found.enter("ptxsweep", "ptxsweep/paced", tmp_path / "artifacts")
    found.make(PARENT, {"mlflow.runName": "paced", "ptxsweep.sweep_id": "paced"}, 0)
    return found


def test_events_that_come_together_are_sent_together(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes within a period of the last snapshot waits for the next one, and is in it."""
    times = (0.0, 0.5, PERIOD_SECONDS - 0.1, PERIOD_SECONDS, 2 * PERIOD_SECONDS)
    feed = MlflowFeed(home, ledger, clock=iter(times).__next__)
    history = list(ledger.projection.history)
    sizes: list[int] = []
    monkeypatch.setattr(
        MlflowProcess, "offer", lambda self, projection: sizes.append(len(projection.history))
    )
    with feed.running():
        for number in range(len(times)):
            ledger.projection.history = history[: len(history) - 4 + number]
            feed.offer()
    assert sizes == [len(history) - 4, len(history) - 1, len(history)]


def test_epochs_alone_are_sent_less_often(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = (0.0, PERIOD_SECONDS, EPOCHS_PERIOD_SECONDS, 2 * EPOCHS_PERIOD_SECONDS)
    feed = MlflowFeed(home, ledger, clock=iter(times).__next__)
    offered: list[int] = []
    one = ledger.projection.trials[0]
    monkeypatch.setattr(
        MlflowProcess, "offer", lambda self, projection: offered.append(one.revision)
    )
    with feed.running():
        for revision in (1, 2, 3, 3):
            one.revision = revision
            feed.offer()
    assert offered == [1, 3]


def test_the_end_is_sent_however_soon_it_comes(home: Home, ledger: Ledger) -> None:
    feed = MlflowFeed(home, ledger)
    with feed.running():
        feed.offer()
        feed.finish()
    assert_whole(home, ledger, feed.run_id)


def process_of(feed: MlflowFeed) -> subprocess.Popen[bytes]:
    assert feed._process is not None
    return feed._process._process


def test_a_process_that_ends_by_itself_is_replaced(
    home: Home, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    times = count(step=PERIOD_SECONDS)
    feed = MlflowFeed(home, ledger, clock=lambda: next(times))
    history = list(ledger.projection.history)
    with feed.running():
        for number in range(NUM_RESTARTS + 1):
            ledger.projection.history = history[: len(history) - 5 + number]
            feed.offer()
            process_of(feed).kill()
            process_of(feed).wait()
        ledger.projection.history = history
        feed.offer()
        assert process_of(feed).poll() is not None, "started without end"
        feed.finish()
    assert_whole(home, ledger, feed.run_id)
    assert caplog.text.count("starting another one") == NUM_RESTARTS
    assert "sending the rest from here" in caplog.text


def test_what_it_logs_is_logged_here_and_its_command_line_holds_no_secret(
    home: Home, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = f"http://somebody:a-password@127.0.0.1:{one.getsockname()[1]}"
        feed = MlflowFeed(dataclasses.replace(home, tracking_uri=nobody), ledger)
        with feed.running():
            line = Path(f"/proc/{process_of(feed).pid}/cmdline").read_bytes()
            feed.finish()
    assert feed.run_id is None
    assert "MLflow" in caplog.text
    assert b"sweep.mlflow.view" in line
    assert b"a-password" not in line
    assert "a-password" not in caplog.text


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_ends_with_its_driver(home: Home) -> None:
    """As by kill -9: an orphan must not write to MLflow beside the next driver."""
    script = (
        "import os, sys, pickle\n"
        "from sweep.mlflow.process import MlflowProcess\n"
        "process = MlflowProcess(pickle.loads(bytes.fromhex(sys.argv[1])), 'orphan')\n"
        "print(process._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    words = [sys.executable, "-c", script, pickle.dumps(home).hex()]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=False, text=True)
    assert done.returncode == -9
    deadline = time.monotonic() + 60
    while is_alive(int(done.stdout)):
        assert time.monotonic() < deadline, "it goes on without a driver"
        time.sleep(0.1)


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


def test_no_tag_says_that_what_was_refused_was_sent(runs: SweepRuns) -> None:
    run = runs.found[PARENT]
    runs.send(run, params={"lr": "1"})
    with pytest.raises(MlflowException, match="already logged"):
        runs.send(run, metrics=[Metric("m", 1.0, 1, 0)], params={"lr": "2"}, tags={"logged": "0"})
    assert "logged" not in runs.client.get_run(run.run_id).data.tags
    assert "logged" not in run.tags
