"""The ledger on real SQLite files: what is written is what is read, by one driver at a time."""

from __future__ import annotations

import dataclasses
import math
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from in_process import memory_storage
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from sweep.errors import LeaseHeld, LedgerError, NameTaken, UnknownSweep
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.connection import (
    close_storage,
    compare_and_swap,
    open_storage,
    read_attribute,
)
from sweep.ledger.header import SweepHeader
from sweep.ledger.lease import LEASE_KEY, Lease, await_silence
from sweep.ledger.sql import Change, Ended, Fence
from sweep.records import (
    Epoch,
    FoldFinished,
    FoldLost,
    FoldScore,
    FoldStarted,
    State,
    SweepState,
    TrialAdded,
    TrialStopped,
    as_score,
)

HEADER = SweepHeader(metric="dice", maximize=True, num_folds=2, seed=0, phantom=True)
X = {"x": FloatDistribution(0.0, 1.0)}


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    made = Ledger.create(url, "first", header=HEADER)
    made.acquire("driver")
    yield made
    made.close()


def epoch(number: int, value: float, *, fold: int = 0, attempt: int = 1) -> Epoch:
    return Epoch(trial=0, fold=fold, attempt=attempt, epoch=number, value=value, seconds=1.0)


def score(value: float, *, fold: int = 0, attempt: int = 1, maximize: bool = True) -> FoldScore:
    return FoldScore(
        trial=0,
        fold=fold,
        attempt=attempt,
        value=value,
        score=as_score(value, maximize=maximize),
        seconds=12.5,
        num_epochs=2,
        best_epoch=1,
        metrics={"dice": value, "iou": math.nan},
        curves={"monitor_dice": (0.1, 0.2)},
        cases="trials/0000/fold-0/cases.npz",
        weights=None,
        usage={"cpu_seconds": 3.0},
    )


def complete_one(ledger: Ledger, value: float = 0.5) -> None:
    ledger.add_trial({"x": 0.25}, X, {"x": 0.25, "network": "unet"})
    for fold in range(2):
        ledger.start_fold(0, fold)
        ledger.record_epoch(epoch(1, 0.1, fold=fold))
        ledger.finish_fold(score(value, fold=fold))
    ledger.end(0, State.COMPLETE)


def test_a_reader_sees_what_the_driver_holds(url: str, ledger: Ledger) -> None:
    complete_one(ledger)
    ledger.set_sweep_state(SweepState.RUNNING)
    read = Ledger.open(url, "first").projection
    one = read.trials[0]
    assert one.settings == {"x": 0.25, "network": "unet"}
    assert one.parameters == {"x": 0.25}
    assert one.distributions == X
    assert one.epochs == {0: {1: 0.1, 2: 0.2}, 1: {1: 0.1, 2: 0.2}}  # the second of the curve
    assert one.folds[0].curves == {"monitor_dice": (0.1, 0.2)}
    assert one.folds[0].cases == "trials/0000/fold-0/cases.npz"
    assert one.folds[0].usage == {"cpu_seconds": 3.0}
    assert math.isnan(one.folds[0].metrics["iou"])
    assert (one.state, one.mean, one.seconds) == (State.COMPLETE, 0.5, 25.0)
    assert read.events() == ledger.projection.events()
    assert repr(read) == repr(ledger.projection).replace(
        f"revision={ledger.projection.trials[0].revision}", f"revision={one.revision}"
    )
    assert read.best() is one
    assert read.sweep_state == "running"
    assert read.header == HEADER


def test_history_is_in_the_order_of_commitment(url: str, ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    ledger.start_fold(0, 0)
    ledger.add_trial({"x": 0.2}, X)
    ledger.start_fold(1, 0)
    ledger.lose_fold(0, "worker died")
    ledger.end(1, State.PRUNED, "weak")
    ledger.start_fold(0, 0)
    ledger.finish_fold(score(0.4, attempt=2))
    expected = [
        TrialAdded(trial=0, parameters={"x": 0.1}),
        FoldStarted(trial=0, fold=0),
        TrialAdded(trial=1, parameters={"x": 0.2}),
        FoldStarted(trial=1, fold=0),
        FoldLost(trial=0, fold=0),
        TrialStopped(trial=1, state=State.PRUNED),
        FoldStarted(trial=0, fold=0),
        FoldFinished(trial=0, fold=0, score=0.4, seconds=12.5),
    ]
    assert ledger.projection.events() == expected
    read = Ledger.open(url, "first").projection
    assert read.events() == expected
    outcomes = [(one.attempt, one.outcome, one.reason) for one in read.trials[0].log]
    assert outcomes == [(1, "lost", "worker died"), (2, "finished", None)]
    assert read.trials[1].log[0].outcome == "stopped"


def test_late_and_repeated_reports_are_dropped(ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    assert ledger.start_fold(0, 0) == 1
    assert ledger.record_epoch(epoch(1, 0.1))
    assert not ledger.record_epoch(epoch(1, 0.9))
    ledger.lose_fold(0, "worker died")
    assert not ledger.record_epoch(epoch(2, 0.2))
    assert ledger.start_fold(0, 0) == 2
    assert not ledger.record_epoch(epoch(2, 0.2))
    assert not ledger.finish_fold(score(0.9))
    assert not ledger.record_epoch(epoch(1, 0.1, attempt=2))  # trained again after a resume
    assert ledger.record_epoch(epoch(2, 0.3, attempt=2))
    assert ledger.finish_fold(score(0.5, attempt=2))
    assert not ledger.finish_fold(score(0.6, attempt=2))
    one = ledger.projection.trials[0]
    assert one.epochs == {0: {1: 0.1, 2: 0.3}}
    assert one.folds[0].score == 0.5


def stored_epochs(url: str) -> dict[int, dict[int, float]]:
    return Ledger.open(url, "first").projection.trials[0].epochs


def test_an_epoch_is_committed_with_the_next_entry(url: str, ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    ledger.start_fold(0, 0)
    ledger.record_epoch(epoch(1, 0.1))
    assert ledger.projection.trials[0].epochs == {0: {1: 0.1}}
    assert stored_epochs(url) == {}
    ledger.annotate(0, "marks", 1)
    assert stored_epochs(url) == {0: {1: 0.1}}
    ledger.record_epoch(epoch(2, 0.2))
    ledger.flush()
    assert stored_epochs(url) == {0: {1: 0.1, 2: 0.2}}
    ledger.record_epoch(epoch(3, 0.3))
    ledger.add_trial({"x": 0.2}, X)
    assert stored_epochs(url)[0][3] == 0.3
    ledger.record_epoch(epoch(4, 0.4))
    ledger.set_sweep_state(SweepState.INTERRUPTED)
    assert stored_epochs(url)[0][4] == 0.4
    ledger.record_epoch(epoch(5, 0.5))
    ledger.end(0, State.PRUNED)
    assert stored_epochs(url)[0][5] == 0.5


def test_epochs_that_wait_are_not_written_under_a_lost_lease() -> None:
    storage, clock = memory_storage(), Clock()
    from in_process import new_sweep, toy_space

    name = new_sweep(storage, toy_space())
    first = Ledger(storage, name, clock=clock)
    first.acquire("first", 60.0)
    first.add_trial({"x": 0.1}, X)
    first.start_fold(0, 0)
    first.record_epoch(epoch(1, 0.1))
    clock.now += 61
    second = Ledger(storage, name, clock=clock)
    second.acquire("second", 60.0)
    with pytest.raises(LeaseHeld, match="second"):
        first.flush()
    assert Ledger(storage, name, clock=clock).projection.trials[0].epochs == {}


def finish(ledger: Ledger) -> None:
    ledger.finish_fold(score(0.5))


def prune(ledger: Ledger) -> None:
    ledger.end(0, State.PRUNED, "weak")


def add(ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.3}, X)


def halt(ledger: Ledger) -> None:
    ledger.set_sweep_state(SweepState.INTERRUPTED)


@pytest.mark.parametrize("is_retried", [False, True])
@pytest.mark.parametrize("write", [Ledger.flush, finish, prune, add, halt])
def test_a_write_that_stalled_until_another_driver_took_over_is_refused(
    url: str,
    write: Callable[[Ledger], object],
    is_retried: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On its way, or while it waited for the database; the other one gave up the fold by then."""
    clock = Clock()
    Ledger.create(url, "first", header=HEADER).close()
    stalled = Ledger(open_storage(url), "first", clock=clock)
    stalled.acquire("stalled", 60.0)
    stalled.add_trial({"x": 0.1}, X)
    stalled.start_fold(0, 0)
    if write is not add:  # which would commit it by itself
        stalled.record_epoch(epoch(1, 0.1))
    other = Ledger(open_storage(url), "first", clock=clock)
    storage, tries = stalled._storage, []
    name = "create_fenced_trial" if write is add else "commit"
    really = getattr(storage, name)

    def stall(*given: Any, **more: Any) -> Any:
        tries.append(given)
        if len(tries) == 1:
            clock.now += 61
            other.acquire("other", 60.0)
            other.lose_fold(0, "the driver stopped")
            other.start_fold(0, 0)
            other.end(0, State.FAILED, "of its own")
            if is_retried:
                raise sqlalchemy.exc.OperationalError("commit", None, OSError("timed out"))
        return really(*given, **more)

    monkeypatch.setattr(storage, name, stall)
    with pytest.raises(LeaseHeld, match="another driver \\(other\\)"):
        write(stalled)
    assert len(tries) == 1 + (is_retried and write is not add)
    read = Ledger.open(url, "first").projection
    assert read.events() == other.projection.events()
    assert read.trials[0].epochs == {}
    assert read.sweep_state == "created"
    other.add_trial({"x": 0.2}, X)
    other.close()


def test_epochs_that_died_on_their_way_come_with_the_score(url: str, ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    ledger.start_fold(0, 0)
    ledger.record_epoch(epoch(1, 0.3))
    ledger.flush()
    ledger.record_epoch(epoch(2, 0.4))
    ledger.release()  # and dies
    resumed = Ledger.open(url, "first")
    resumed.acquire("second")
    resumed.lose_fold(0, "the driver stopped")
    resumed.start_fold(0, 0)
    resumed.record_epoch(epoch(4, 0.6, attempt=2))
    curves = {"monitor_dice": (0.3, 0.4, 0.5, 0.6, 0.7)}
    last = epoch(5, 0.7, attempt=2)
    resumed.finish_fold(dataclasses.replace(score(0.5, attempt=2), curves=curves), last)
    expected = {0: {1: 0.3, 2: 0.4, 3: 0.5, 4: 0.6, 5: 0.7}}
    assert resumed.projection.trials[0].epochs == expected
    resumed.close()
    assert stored_epochs(url) == expected


def test_an_end_whose_answer_was_lost_is_written_once(
    url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database committed, then its connection broke: the second try finds the trial told."""
    ledger.add_trial({"x": 0.1}, X)
    ledger.start_fold(0, 0)
    ledger.record_epoch(epoch(1, 0.1))
    commit, tries = ledger._storage.commit, []

    def answer_lost(*changes: Change, fence: Fence) -> None:
        tries.append(changes)
        commit(*changes, fence=fence)
        if len(tries) == 1:
            raise sqlalchemy.exc.OperationalError("commit", None, OSError("connection reset"))

    monkeypatch.setattr(ledger._storage, "commit", answer_lost)
    ledger.end(0, State.PRUNED, "weak")
    assert len(tries) == 2
    read = Ledger.open(url, "first")
    assert read.projection.events() == ledger.projection.events()
    assert read.study.trials[0].state is TrialState.PRUNED
    with pytest.raises(
        UpdateFinishedTrialError, match="can not be"
    ):  # another state is no lost answer
        ledger._commit(Ended(ledger._trial_ids[0], TrialState.FAIL, None))


def test_optuna_reads_the_study_as_its_own(url: str, ledger: Ledger) -> None:
    complete_one(ledger, 0.625)
    ledger.add_trial({"x": 0.5}, X)
    ledger.start_fold(1, 0)
    ledger.finish_fold(
        FoldScore(
            trial=1,
            fold=0,
            attempt=1,
            value=0.3,
            score=0.3,
            seconds=1.0,
            num_epochs=1,
            best_epoch=1,
        )
    )
    ledger.end(1, State.ABANDONED, "the sweep is over")
    ledger.add_trial({"x": 0.75}, X)
    ledger.start_fold(2, 0)
    ledger.end(2, State.FAILED, "out of memory")
    study = optuna.load_study(study_name="first", storage=url)
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert study.best_trial.number == 0
    assert study.best_value == 0.625
    assert study.trials[1].value == 0.3
    assert study.trials[0].intermediate_values == {1: 0.1, 2: 0.2, 10_001: 0.1, 10_002: 0.2}


def test_a_minimised_metric_keeps_its_sign_in_storage(url: str) -> None:
    ledger = Ledger.create(
        url, "loss", header=dataclasses.replace(HEADER, metric="loss", maximize=False)
    )
    ledger.acquire("driver")
    ledger.add_trial({"x": 0.1}, X)
    for fold in range(2):
        ledger.start_fold(0, fold)
        ledger.record_epoch(epoch(1, 2.0, fold=fold))
        ledger.finish_fold(score(0.5, fold=fold, maximize=False))
    ledger.end(0, State.COMPLETE)
    study = ledger.study
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    assert study.best_value == 0.5
    assert study.trials[0].intermediate_values[1] == 2.0
    read = Ledger.open(url, "loss").projection
    one = read.trials[0]
    assert (one.folds[0].value, one.folds[0].score) == (0.5, -0.5)
    assert one.epochs[0][1] == 2.0
    assert (one.mean_value, one.mean) == (0.5, -0.5)
    assert study.trials[0].user_attrs["fold:0:score"]["score"] == 0.5


def test_values_that_are_not_finite_survive_as_nan(url: str, ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    ledger.start_fold(0, 0)
    ledger.record_epoch(epoch(1, math.nan))
    ledger.finish_fold(score(-math.inf))
    read = Ledger.open(url, "first").projection.trials[0]
    assert math.isnan(read.folds[0].score)
    assert math.isnan(read.epochs[0][1])
    assert read.is_diverged


def test_notes(url: str, ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    ledger.annotate(0, "marks", {"a": [1, 2]})
    assert Ledger.open(url, "first").projection.trials[0].notes == {"marks": {"a": [1, 2]}}


def test_names_are_taken_once(url: str, ledger: Ledger) -> None:
    with pytest.raises(NameTaken, match="a sweep named 'first' exists"):
        Ledger.create(url, "first", header=HEADER)
    optuna.create_study(storage=url, study_name="alien").add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    with pytest.raises(NameTaken, match="'alien'"):
        Ledger.create(url, "alien", header=HEADER)
    with pytest.raises(UnknownSweep, match="'alien' was not made by a sweep"):
        Ledger.open(url, "alien")
    with pytest.raises(UnknownSweep, match=r"no sweep is named 'frist'.*holds: first"):
        Ledger.open(url, "frist")
    assert list_sweeps(url) == ["first"]


def test_a_creation_that_crashed_is_completed(url: str) -> None:
    direction = optuna.study.StudyDirection.MAXIMIZE
    open_storage(url).create_new_study([direction], "half")
    assert list_sweeps(url) == []
    Ledger.create(url, "half", header=HEADER)
    assert list_sweeps(url) == ["half"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (
            "sqlite:///{folder}/missing/ledger.db",
            "cannot be opened; check that its folder",
        ),
        ("sqlite:///{folder}/text.db", "the file is no database"),
        ("sqlite:///{folder}/newer.db", "laid out by another version of Optuna"),
        ("sqlite:///{folder}/locked.db", "another process has locked it"),
        ("banana", "found no address of a database, expected sqlite"),
        ("mysql+pymysql://u:s3cret word@h/x", "needs the package pymysql, which is not installed"),
        ("postgresql+psycopg://u:s3cret@127.0.0.1:9/x", "its server does not answer"),
    ],
)
def test_a_database_that_cannot_be_opened(
    address: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.ledger.connection._SQLITE_TIMEOUT_SECONDS", 0.1)
    (tmp_path / "text.db").write_text("no database at all, but a long enough text" * 40)
    with closing(sqlite3.connect(tmp_path / "locked.db", isolation_level=None)) as lock:
        if "newer" in address:
            close_storage(open_storage(f"sqlite:///{tmp_path / 'newer.db'}"))
            with closing(sqlite3.connect(tmp_path / "newer.db")) as database, database:
                database.execute("UPDATE alembic_version SET version_num = 'v9.9.9.a'")
        lock.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match=rf"the ledger at .*{says}") as told:
            open_storage(address.format(folder=tmp_path))
    assert "s3cret" not in str(told.value)


def test_reading_makes_no_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    assert list_sweeps(url) == []
    with pytest.raises(UnknownSweep, match=r"no sweep was started in .*found no .*ledger\.db"):
        Ledger.open(url, "first")
    assert list(tmp_path.iterdir()) == []


def test_many_may_open_a_database_that_is_being_laid_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    together = threading.Barrier(8)

    def open_it(_: int) -> list[str]:
        together.wait()
        return list_sweeps(url)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_it, range(8))) == [[]] * 8
    Ledger.create(url, "first", header=HEADER).close()
    assert list_sweeps(url) == ["first"]


def test_writing_needs_the_lease(url: str, ledger: Ledger) -> None:
    reader = Ledger.open(url, "first")
    with pytest.raises(LedgerError, match="opened for reading; acquire"):
        reader.add_trial({"x": 0.1}, X)
    ledger.release()
    with pytest.raises(LedgerError, match="opened for reading"):
        ledger.set_sweep_state(SweepState.RUNNING)


def test_what_makes_no_sense_is_refused(ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    with pytest.raises(LedgerError, match="no fold is running, none can be lost"):
        ledger.lose_fold(0, "?")
    ledger.start_fold(0, 0)
    with pytest.raises(LedgerError, match=r"trial 0 \(running\) cannot start fold 1"):
        ledger.start_fold(0, 1)
    ledger.end(0, State.PRUNED)
    with pytest.raises(LedgerError, match=r"trial 0 \(pruned\) cannot start fold 1"):
        ledger.start_fold(0, 1)


def test_a_second_driver_is_refused_until_the_lease_runs_out() -> None:
    storage, clock = memory_storage(), Clock()
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "s")
    first = Lease(storage, study, "host-a:1", 60.0, clock)
    with pytest.raises(LeaseHeld, match=r"another driver \(host-a:1\).* 60 s left"):
        Lease(storage, study, "host-b:2", 60.0, clock)
    clock.now += 31
    first.check()  # past half of its life it renews itself
    clock.now += 59
    with pytest.raises(LeaseHeld, match="1 s left"):
        Lease(storage, study, "host-b:2", 60.0, clock)
    clock.now += 2
    second = Lease(storage, study, "host-b:2", 60.0, clock)
    assert second.token == first.token + 1
    with pytest.raises(LeaseHeld, match="host-b:2"):
        first.check()
    first.release()  # gives nothing away that it does not hold
    with pytest.raises(LeaseHeld, match="host-b:2"):
        Lease(storage, study, "host-a:3", 60.0, clock)
    second.release()
    assert Lease(storage, study, "host-a:3", 60.0, clock).token == second.token + 1


def test_waiting_for_the_lease_of_a_silent_driver() -> None:
    storage, clock = memory_storage(), Clock()
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "s")
    await_silence(storage, study, clock, pytest.fail)  # nobody holds it
    first = Lease(storage, study, "host-a:1", 60.0, clock)
    pauses = []

    def pass_time(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds

    await_silence(storage, study, clock, pass_time)
    assert sum(pauses) == 60.0
    second = Lease(storage, study, "host-b:2", 60.0, clock)
    assert second.token == first.token + 1

    def renew_after_half(seconds: float) -> None:
        clock.now += seconds
        second.check()

    began = clock.now
    await_silence(storage, study, clock, renew_after_half)
    assert clock.now - began == 30.0
    with pytest.raises(LeaseHeld, match="host-b:2"):
        Lease(storage, study, "host-c:3", 60.0, clock)


def test_a_lease_that_ran_out_unnoticed_is_kept_if_nobody_took_it() -> None:
    storage, clock = memory_storage(), Clock()
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "s")
    lease = Lease(storage, study, "a", 60.0, clock)
    clock.now += 600  # a laptop asleep
    lease.check()
    with pytest.raises(LeaseHeld, match="60 s left"):
        Lease(storage, study, "b", 60.0, clock)


def test_the_lease_of_a_dead_process_of_this_machine_is_free(url: str) -> None:
    Ledger.create(url, "first", header=HEADER)
    code = (
        "import sys; from sweep.ledger import Ledger\n"
        "Ledger.open(sys.argv[1], 'first').acquire('child', 3600)\n"
        "import os; os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, url], check=False, cwd=os.getcwd())
    assert done.returncode == -9
    ledger = Ledger.open(url, "first")
    ledger.acquire("parent")
    with pytest.raises(LeaseHeld, match="parent"):
        Ledger.open(url, "first").acquire("another")
    ledger.close()


def test_the_ledger_is_read_again_once_the_lease_is_held(url: str, ledger: Ledger) -> None:
    late = Ledger.open(url, "first")
    ledger.add_trial({"x": 0.1}, X)
    ledger.release()
    late.acquire("late")
    assert len(late.projection.trials) == 1
    late.close()


def test_a_write_under_a_lost_lease_is_refused() -> None:
    storage, clock = memory_storage(), Clock()
    from in_process import new_sweep, toy_space

    name = new_sweep(storage, toy_space())
    first = Ledger(storage, name, clock=clock)
    first.acquire("first", 60.0)
    clock.now += 61
    second = Ledger(storage, name, clock=clock)
    second.acquire("second", 60.0)
    with pytest.raises(LeaseHeld, match="second"):
        first.add_trial({"x": 0.1}, X)
    assert second.add_trial({"x": 0.1}, X) == 0


def test_compare_and_swap() -> None:
    storage = memory_storage()
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "s")
    one = compare_and_swap(storage, study, LEASE_KEY, None, {"a": 1})
    assert one == read_attribute(storage, study, LEASE_KEY) == '{"a": 1}'
    assert compare_and_swap(storage, study, LEASE_KEY, None, {"a": 2}) is None
    assert compare_and_swap(storage, study, LEASE_KEY, "stale", {"a": 2}) is None
    assert compare_and_swap(storage, study, LEASE_KEY, one, {"a": 3}) == '{"a": 3}'


def test_a_row_that_cannot_be_read_is_told(url: str, ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    storage = open_storage(url)
    trial = storage.get_all_trials(storage.get_study_id_from_name("first"))[0]
    storage.set_trial_user_attr(trial._trial_id, "fold:0:score", {"seq": 9, "at": "now"})
    with pytest.raises(LedgerError, match="a row that this version cannot read"):
        Ledger.open(url, "first")


@pytest.mark.parametrize("name", ["../../elsewhere/cases.npz", "/etc/passwd", "trials/../../x"])
@pytest.mark.parametrize("key", ["cases", "weights"])
def test_a_row_cannot_name_a_file_outside(url: str, ledger: Ledger, key: str, name: str) -> None:
    ledger.add_trial({"x": 0.25}, X)
    ledger.start_fold(0, 0)
    ledger.finish_fold(dataclasses.replace(score(0.5), **{key: name}))
    with pytest.raises(LedgerError, match="a file outside the sweep's folder"):
        Ledger.open(url, "first")


def test_a_later_try_says_which_epochs_it_trained_again(ledger: Ledger) -> None:
    ledger.add_trial({"x": 0.1}, X)
    ledger.start_fold(0, 0)
    for number in (1, 2, 3):
        ledger.record_resumption(epoch(number, 0.1))
        ledger.record_epoch(epoch(number, 0.1))
    assert ledger.projection.trials[0].log[-1].first_epoch is None  # a first try
    ledger.lose_fold(0, "worker lost")
    ledger.start_fold(0, 0)
    for number in (2, 3, 4):
        ledger.record_resumption(epoch(number, 0.1, attempt=1))  # late, of the lost worker
        ledger.record_resumption(epoch(number, 0.1, attempt=2))
        ledger.record_epoch(epoch(number, 0.1, attempt=2))
    last = ledger.projection.trials[0].log[-1]
    assert (last.first_epoch, last.known_epochs, last.repeated_epochs) == (2, 3, 2)
    ledger.lose_fold(0, "worker lost")
    ledger.start_fold(0, 0)
    ledger.record_resumption(epoch(5, 0.1, attempt=3))
    assert ledger.projection.trials[0].log[-1].repeated_epochs == 0
    ledger.refresh()
    log = ledger.projection.trials[0].log
    assert [one.repeated_epochs for one in log] == [0, 2, 0]
