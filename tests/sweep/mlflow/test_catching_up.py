"""Whatever killed the driver, MLflow comes to the ledger's state; what cannot be is told first."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tiny_sweep import NAME, home_at

from sweep import launch
from sweep.cli import main
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.mlflow.view import MlflowView
from sweep.records import SweepState
from sweep.report import publish_report
from sweep.storage.home import Home
from sweep.storage.tracking_address import check_tracking
from sweep.sync import sync


def statuses(home: Home) -> set[str]:
    with closing(sqlite3.connect(home.folder / "mlflow.db")) as database:
        return {status for (status,) in database.execute("SELECT status FROM runs")}


def set_state(home: Home, state: SweepState) -> Ledger:
    ledger = Ledger.open(home.ledger_url, NAME)
    ledger.acquire("a driver")
    ledger.set_sweep_state(state)
    return ledger


@pytest.fixture
def killed(tiny_home: Home) -> Home:
    """A sweep whose driver was killed when the ledger knew the end, and nothing else did."""
    ledger = set_state(tiny_home, SweepState.RUNNING)
    assert MlflowView.for_sweep(tiny_home, NAME).sync(ledger)
    ledger.set_sweep_state(SweepState.FINISHED, "the last fold is in")
    ledger.close()
    left = tiny_home.sweep_folder(NAME) / "trials/0000/fold-0/attempt-2/last"
    left.mkdir(parents=True)
    assert "RUNNING" in statuses(tiny_home)
    return tiny_home


def resumed(home: Home) -> None:
    with pytest.raises(UsageError, match="there is nothing to resume"):
        launch.resume(NAME, home=home)


def synced(home: Home) -> None:
    sync(home, NAME)


def found(home: Home) -> None:
    summary = launch.find(NAME, home)
    assert summary is not None
    assert summary.mlflow_run_id is not None


@pytest.mark.parametrize("bring", [resumed, found, synced])
def test_a_driver_killed_in_its_last_second_leaves_nothing_open(
    killed: Home, bring: Callable[[Home], None]
) -> None:
    bring(killed)
    assert statuses(killed) == {"FINISHED"}
    assert not (killed.sweep_folder(NAME) / "trials/0000/fold-0/attempt-2").exists()


def test_a_report_brings_mlflow_up_and_makes_a_lost_one_again(killed: Home, tmp_path: Path) -> None:
    assert publish_report(killed, NAME).is_logged
    assert statuses(killed) == {"FINISHED"}
    # Elsewhere, since this process holds the file open.
    lost = home_at(shutil.copytree(killed.folder, tmp_path / "lost"))
    (lost.folder / "mlflow.db").unlink()
    assert publish_report(lost, NAME).is_logged
    assert statuses(lost) == {"FINISHED"}


def test_a_running_sweep_without_a_driver_has_no_open_run(tiny_home: Home) -> None:
    ledger = set_state(tiny_home, SweepState.RUNNING)
    sync(tiny_home, NAME)
    assert "RUNNING" in statuses(tiny_home)
    ledger.release()
    sync(tiny_home, NAME)
    assert statuses(tiny_home) == {"FINISHED", "KILLED"}
    ledger.close()


class _NoMlflow(BaseHTTPRequestHandler):
    """Answers with the status that its path says."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()
        self.wfile.write(b"<html>welcome")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _NoMlflow)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://me:s3cret@127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, mlflow_template: Path) -> Path:
    """Files that are no database of this MLflow."""
    (tmp_path / "text.db").write_text("no database at all, but a long enough text" * 40)
    (tmp_path / "folder.db").mkdir()
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE photographs (x)")
    (tmp_path / "newer.db").write_bytes(mlflow_template.read_bytes())
    with closing(sqlite3.connect(tmp_path / "newer.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    (tmp_path / "mine.db").write_bytes(mlflow_template.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("sqlite:///{folder}/text.db", r"text\.db cannot be read as a database"),
        ("sqlite:///{folder}/folder.db", "found a folder where"),
        ("sqlite:///{folder}/text.db/mlflow.db", "found the file .*text.db where"),
        ("sqlite:///{folder}/other.db", "a database of another program .*stays as it is"),
        ("sqlite:///{folder}/newer.db", "laid out by a newer MLflow"),
        ("mysql://me:s3cret@127.0.0.1:9/x", "needs the package MySQLdb, .*not installed"),
        ("{pages}/200", r"something answers at http://127.* but no MLflow \(status 200\)"),
        ("{pages}/404", r"but no MLflow \(status 404\)"),
        ("{pages}/401", "answers 401 and lets nobody in: check MLFLOW_TRACKING_USERNAME"),
        ("ftp://me:s3cret@host", "expected a server"),
        ("https://[bad", "expected a server"),
    ],
)
def test_an_address_that_no_waiting_mends_is_refused_before_training(
    address: str, says: str, folder: Path, pages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    uri = address.format(folder=folder, pages=pages)

    def start() -> None:
        check_tracking(Home.from_environment(folder, tracking_uri=uri).tracking_uri)

    with pytest.raises(UsageError, match=f"^--tracking-uri, MLFLOW_TRACKING_URI: .*{says}") as told:
        start()
    assert "s3cret" not in str(told.value)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "address",
    [
        *("sqlite:///{folder}/mine.db", "sqlite:///{folder}/new/mlflow.db", "{pages}/503"),
        *("http://127.0.0.1:9", "http://no-such-host.invalid", "postgresql://127.0.0.1:9/x"),
    ],
)
def test_what_works_and_what_is_merely_away_is_not_refused(
    address: str, folder: Path, pages: str
) -> None:
    check_tracking(address.format(folder=folder, pages=pages))
    assert not (folder / "new").exists()


def test_what_lasts_is_not_called_an_outage(
    tiny_home: Home, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ["--home", str(tiny_home.folder), "--tracking-uri"]
    for address, says, never in (
        (f"sqlite:///{folder}/newer.db", "mend that, then sync again", "is back"),
        ("http://127.0.0.1:9", "sync again when MLflow is back", "mend"),
    ):
        capfd.readouterr()
        assert main(["sync", NAME, *where, address]) == 5
        said = capfd.readouterr().err
        assert says in said
        assert never not in said
