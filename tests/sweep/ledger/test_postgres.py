"""The ledger on a real PostgreSQL, which a cluster uses.

The server is the one at PTXSWEEP_POSTGRES (an SQLAlchemy URL), or one that is started for these
tests, reachable through a socket in a temporary folder alone, where PostgreSQL is installed.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy
from in_process import Driver, make_controller, toy_fold, toy_space
from postgres_server import PostgresServer, why_not

from sweep.errors import LeaseHeld, LedgerError
from sweep.ledger import Ledger, connection, list_sweeps, sql
from sweep.ledger.connection import close_storage, open_storage, patiently, shared_clock
from sweep.ledger.header import SweepHeader

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    if "PTXSWEEP_POSTGRES" in os.environ:
        return os.environ["PTXSWEEP_POSTGRES"]
    server: PostgresServer = request.getfixturevalue("server")
    return server.url


@pytest.fixture
def name() -> str:
    return f"sweep-{next(_numbers)}-{os.getpid()}"


HEADER = SweepHeader(metric="quality", maximize=True, num_folds=3, seed=0)


def test_a_sweep_killed_and_resumed(url: str, name: str) -> None:
    space = toy_space(pruner="{name: median}", num_trials=4)
    ledger = Ledger.create(url, name, header=HEADER)
    ledger.acquire("first")
    Driver(make_controller(ledger, space), ledger, toy_fold).run(max_reports=13)
    events = ledger.projection.events()
    refused = Ledger.open(url, name)
    with pytest.raises(LeaseHeld, match="another driver \\(first\\)"):
        refused.acquire("second")
    ledger.release()  # as if it had run out
    resumed = Ledger.open(url, name)
    assert resumed.projection.events() == events
    resumed.acquire("second")
    driver = Driver(make_controller(resumed, space), resumed, toy_fold)
    assert driver.run()
    driver.controller.close("unused")
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


@pytest.mark.parametrize(
    ("method", "write"),
    [
        ("commit", lambda ledger: ledger.start_fold(0, 0)),
        ("create_fenced_trial", lambda ledger: ledger.add_trial({}, {})),
    ],
)
def test_a_write_that_stalled_until_another_driver_took_over_is_rolled_back(
    url: str,
    name: str,
    method: str,
    write: Callable[[Ledger], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1e9]
    Ledger.create(url, name, header=HEADER).close()
    stalled, other = (Ledger(open_storage(url), name, clock=lambda: now[0]) for _ in range(2))
    stalled.acquire("stalled", 60.0)
    stalled.add_trial({}, {})
    really = getattr(stalled._storage, method)

    def stall(*given: Any, **more: Any) -> Any:
        now[0] += 61
        other.acquire("other", 60.0)
        return really(*given, **more)

    monkeypatch.setattr(stalled._storage, method, stall)
    with pytest.raises(LeaseHeld, match="another driver \\(other\\)"):
        write(stalled)
    assert other.start_fold(0, 0) == 1
    assert other.add_trial({}, {}) == 1
    for one in (stalled, other):
        one.close()


def test_a_driver_that_freezes_before_its_commit_does_not_keep_the_lease(
    url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.create(url, name, header=HEADER).close()
    soon = "SET idle_in_transaction_session_timeout = '2s'"
    monkeypatch.setattr(connection, "_IDLE_IN_TRANSACTION", soon)
    frozen, other = Ledger.open(url, name), Ledger.open(url, name)
    frozen.acquire("frozen", 1.0)
    frozen.add_trial({}, {})
    looked, took_over = threading.Event(), threading.Event()
    really = sql._require

    def freeze(*given: Any) -> None:
        really(*given)
        if threading.current_thread() is freezing:
            looked.set()
            took_over.wait(30)

    refused: list[LeaseHeld] = []

    def start() -> None:
        try:
            frozen.start_fold(0, 0)
        except LeaseHeld as error:
            refused.append(error)

    monkeypatch.setattr(sql, "_require", freeze)
    freezing = threading.Thread(target=start)
    freezing.start()
    assert looked.wait(30)
    other.acquire("other", wait=True)
    took_over.set()
    freezing.join(30)
    assert "another driver (other)" in str(refused)
    assert other.start_fold(0, 0) == 1
    for one in (frozen, other):
        one.close()


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(LedgerError, match=r"nowhere\.invalid/x: its server does not") as caught:
        open_storage("postgresql+psycopg://me:secret@nowhere.invalid/x")
    assert "secret" not in str(caught.value)


def test_a_restart_of_the_server_is_waited_for(server: PostgresServer, name: str) -> None:
    ledger = Ledger.create(server.url, name, header=HEADER)
    ledger.acquire("driver")
    space = toy_space(num_trials=4)
    controller = make_controller(ledger, space)
    Driver(controller, ledger, toy_fold).run(max_reports=5)
    server.stop()
    back = threading.Timer(1.5, server.start)
    back.start()
    try:
        Driver(controller, ledger, toy_fold).run()
    finally:
        back.join()
    ledger.close()
    read = Ledger.open(server.url, name)
    assert read.projection.events() == ledger.projection.events()
    assert sum(len(one.folds) for one in read.projection.trials) > 0
    read.close()


def test_a_server_that_stays_away_is_an_error_that_says_how_to_go_on() -> None:
    def away() -> None:
        raise sqlalchemy.exc.OperationalError("select", None, OSError("connection refused"))

    pauses: list[float] = []
    with pytest.raises(LedgerError, match=r"away for .* resume"):
        patiently(away, patience_seconds=3.0, pause=pauses.append)
    assert sum(pauses) >= 3.0


def test_all_drivers_go_by_the_clock_of_the_server(url: str, name: str) -> None:
    storage = open_storage(url)
    clock = shared_clock(storage)
    assert abs(clock() - time.time()) < 5.0
    close_storage(storage)
