"""`ptxsweep submit` against the job server of a real Ray head that asks for a token."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import TINY_SPACE, ptxsweep
from processes import answers, end_with_children, free_ports, kill, processes, wait_until
from tiny_store import drawn_store

from ptxcore.data.store.host_copy import CACHE_VARIABLE
from sweep.cli import main
from sweep.cli.profile import KEYS
from sweep.errors import UnknownSweep
from sweep.ledger import Ledger
from sweep.ray.jobs import JobRequest
from sweep.storage.bucket import Bucket
from sweep.storage.case_stores import upload

TOKEN = "t" * 48


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {variable for key in KEYS.values() for variable in key.variables}:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def head(s3_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the job server of a head with two CPUs and keys for object storage."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in s3_environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield from running_head(monkeypatch)


def running_head(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    scripts = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", scripts + os.pathsep + os.environ["PATH"])
    port, dashboard, *others = free_ports(6)
    folder = tempfile.mkdtemp(prefix="ray-")  # Ray's sockets need a short path
    command = [
        str(Path(scripts) / "ray"), "start", "--head", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2", f"--temp-dir={folder}",
        "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={others[0]}", f"--dashboard-agent-grpc-port={others[1]}",
        f"--metrics-export-port={others[2]}", f"--ray-client-server-port={others[3]}",
        "--object-store-memory=100000000",
    ]  # fmt: skip
    with open(Path(folder) / "start.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: answers(dashboard))
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        end_with_children(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def words(tmp_path: Path, mlflow_template: Path) -> list[str]:
    """Arguments of `submit`, but for the address; ledger and MLflow lie in the home."""
    drawn_store(tmp_path / "store", num_cases=40, num_positive=20)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(mlflow_template, home / "mlflow.db")
    space = tmp_path / "mine.yaml"
    text = TINY_SPACE.replace("POLICY", "standard").replace("EPOCHS", "16")
    space.write_text(text.replace("folds: 3", "folds: 2"), "utf-8")
    (tmp_path / "ledger.secret").write_text(f"sqlite:///{home / 'ledger.db'}", "utf-8")
    (tmp_path / "cluster.yaml").write_text(
        "home: home\nstore: store\nledger_file: ledger.secret\nworkers: 1\n", "utf-8"
    )
    return ["submit", str(space), "--precision", "float32", "--profile", f"{tmp_path}/cluster.yaml"]


def finished_folds(home: Path) -> dict[tuple[int, int], int]:
    """Attempts of the folds that have a score."""
    url = f"sqlite:///{home / 'ledger.db'}"
    if not (home / "ledger.db").is_file() or not (home / "sweeps" / "tiny").is_dir():
        return {}
    try:
        ledger = Ledger.open(url, "tiny")
    except UnknownSweep:  # its folder is made first
        return {}
    try:
        return {
            (one.number, fold): score.attempt
            for one in ledger.projection.trials
            for fold, score in one.folds.items()
        }
    finally:
        ledger.close()


def kill_driver(home: Path) -> None:
    """What runs `ptxsweep run`, and the shell above it that Ray starts."""
    for number, _, line in processes():
        if "--or-resume" in line and str(home) in line:
            kill(number)


def test_submitted_again_it_joins_resumes_or_says_that_it_is_done(
    head: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    words = [*words, "--address", head]
    first = ptxsweep(*words, home=None)
    assert first["new"]
    assert first["attempt"] == 1
    assert first["submission_id"].startswith("ptxsweep-tiny-")

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # the command line wins
    again = ptxsweep(*words, home=None)
    assert not again["new"]
    assert again["submission_id"] == first["submission_id"]
    assert again["status"] in ("pending", "running")
    monkeypatch.delenv("RAY_ADDRESS")

    wait_until(lambda: finished_folds(home))
    kill_driver(home)
    before = wait_until(lambda: finished_folds(home))
    assert len(before) < 6

    third = wait_until(lambda: (now := ptxsweep(*words, home=None))["new"] and now)
    assert third["submission_id"] == first["submission_id"] + "-2"
    followed = ptxsweep(*words, "--follow", home=None)
    assert (followed["new"], followed["status"], followed["exit_code"]) == (False, "succeeded", 0)
    after = finished_folds(home)
    assert len(after) == 6
    assert {key: after[key] for key in before} == before

    done = ptxsweep(*words, home=None)
    assert (done["new"], done["status"], done["attempt"]) == (False, "succeeded", 2)


def test_cases_and_results_in_object_storage(
    head: str, words: list[str], tmp_path: Path, s3: str
) -> None:
    upload(tmp_path / "store", f"{s3}/cases")
    shutil.rmtree(tmp_path / "store")
    where = ["--store", f"{s3}/cases", "--storage", f"{s3}/sweeps", "--num-completions", "1"]
    done = ptxsweep(*words, *where, "--address", head, "--follow", home=None)
    assert (done["new"], done["status"], done["exit_code"]) == (True, "succeeded", 0)
    assert len(finished_folds(tmp_path / "home")) >= 2
    assert Bucket(f"{s3}/sweeps/tiny").keys("trials")


def test_failures_have_their_codes(
    head: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*words, "--address", head]
    failed = ptxsweep(*words, "--store", f"{tmp_path}/nowhere", "--follow", home=None, check=2)
    assert (failed["status"], failed["exit_code"]) == ("failed", 2)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 48)
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "refuses the token" in done.stderr
    assert "x" * 48 not in done.stderr


def test_nobody_answers(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    assert main([*words, "--address", f"http://127.0.0.1:{port}"]) == 5
    shown = capfd.readouterr().err
    assert "cannot be used" in shown
    assert "Traceback" not in shown


PLACES = ["--store", "/store", "--home", "/home", "--address", "http://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--ledger", "postgresql://me:hidden-word@db/sweeps"], "--ledger-file"),
        (["--tracking-uri", "http://me:hidden-word@mlflow"], "~/.mlflow/credentials"),
        (["--set", "password=hidden-word"], "found a password or token"),
        (["--storage", "shared/sweeps"], "--storage: found 'shared/sweeps', expected a whole path"),
        (["--store", "s3:/cases"], "--store: found 's3:/cases', expected a whole path"),
        (["--store", "s3://a/../b"], "--store: found 's3://a/../b', expected a folder or s3://"),
        (["--ledger", "sqlite:///a", "--ledger-file", "/b"], "expected one of them"),
        (["--name", "../up"], "sweep name"),
        (["--workers", "0"], "x>=1"),
        (["--set", "patience"], "KEY=VALUE"),
    ],
)
def test_refused_before_anybody_is_asked(
    more: list[str], expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "attention_unet", *PLACES, *more]) == 2
    shown = capfd.readouterr().err
    assert expected in shown
    assert "hidden-word" not in shown


def test_ids_tell_sweeps_and_ledgers_apart() -> None:
    one = JobRequest(name="a", ledger="/home", space="demo", words=("--store", "/a b"))
    assert one.first_id == JobRequest(name="a", ledger="/home", space="other").first_id
    assert one.first_id != JobRequest(name="a", ledger="/other", space="demo").first_id
    assert one.first_id != JobRequest(name="b", ledger="/home", space="demo").first_id
    assert one.entrypoint == "ptxsweep run demo --or-resume --address auto --store '/a b'"
