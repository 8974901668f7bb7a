"""The ledger on a real PostgreSQL, which a cluster uses.

The server is the one at PTXSWEEP_POSTGRES (an SQLAlchemy URL), or one that is started for these
tests, reachable through a socket in a temporary folder alone, where PostgreSQL is installed.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import Driver, conduct, toy_fold, toy_space

from sweep.errors import LeaseHeld, LedgerError
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.store import open_storage

_SERVER_USER = "postgres"
_numbers = itertools.count()


def find_tool(name: str) -> str | None:
    found = shutil.which(name)
    if found is None:
        places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = str(places[-1]) if places else None
    return found


def find_driver() -> str | None:
    for module in ("psycopg", "psycopg2"):
        if importlib.util.find_spec(module) is not None:
            return module
    return None


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if "PTXSWEEP_POSTGRES" in os.environ:
        yield os.environ["PTXSWEEP_POSTGRES"]
        return
    initdb, pg_ctl, driver = find_tool("initdb"), find_tool("pg_ctl"), find_driver()
    if initdb is None or pg_ctl is None or driver is None:
        pytest.skip("no PostgreSQL here (initdb, pg_ctl and psycopg), and no PTXSWEEP_POSTGRES")
    user = None
    if os.geteuid() == 0:  # the server refuses to run as root
        if _SERVER_USER not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres'")
        user = _SERVER_USER
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
    if user is not None:
        shutil.chown(folder, user)

    def call(*words: str) -> None:
        subprocess.run(words, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    data = str(folder / "data")
    call(initdb, "-D", data, "-A", "trust", "-U", "ptxsweep", "-E", "UTF8", "--no-sync")
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    call(pg_ctl, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+{driver}://ptxsweep@/postgres?host={folder}"
    finally:
        call(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def name() -> str:
    return f"sweep-{next(_numbers)}-{os.getpid()}"


HEADER = {"metric": "quality", "maximize": True, "num_folds": 3, "seed": 0}


def test_a_sweep_killed_and_resumed(url: str, name: str) -> None:
    space = toy_space(pruner="{name: median}", num_trials=4)
    ledger = Ledger.create(url, name, header=HEADER)
    ledger.acquire("first")
    Driver(conduct(ledger, space), ledger, toy_fold).run(max_reports=13)
    events = ledger.projection.events()
    refused = Ledger.open(url, name)
    with pytest.raises(LeaseHeld, match="another driver \\(first\\)"):
        refused.acquire("second")
    ledger.release()  # as if it had run out
    resumed = Ledger.open(url, name)
    assert resumed.projection.events() == events
    resumed.acquire("second")
    driver = Driver(conduct(resumed, space), resumed, toy_fold)
    assert driver.run()
    driver.conductor.close("unused")
    read = Ledger.open(url, name)
    assert read.projection.events() == resumed.projection.events()
    assert read.projection.sweep_state == "finished"
    assert read.study.best_trial.number == read.projection.best().number
    assert name in list_sweeps(url)
    for one in (ledger, refused, resumed, read):
        one.close()


def test_of_drivers_that_start_at_once_one_wins(url: str, name: str) -> None:
    Ledger.create(url, name, header=HEADER).close()
    ledgers = [Ledger.open(url, name) for _ in range(6)]
    barrier, outcomes = threading.Barrier(6), []

    def contend(number: int) -> None:
        barrier.wait()
        try:
            ledgers[number].acquire(f"driver-{number}")
        except LeaseHeld:
            outcomes.append("refused")
        else:
            outcomes.append("won")

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 5 + ["won"]
    for ledger in ledgers:
        ledger.close()


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    driver = find_driver()
    if driver is None:
        pytest.skip("no psycopg here")
    with pytest.raises(LedgerError, match=r"at nowhere\.invalid/x: OperationalError") as caught:
        open_storage(f"postgresql+{driver}://me:secret@nowhere.invalid/x")
    assert "secret" not in str(caught.value)
