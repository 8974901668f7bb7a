"""A sweep on a real cluster, broken on purpose; its ledger is compared to an undisturbed one.

The clock of host `a` is an hour ahead all the time.
"""

from __future__ import annotations

import errno
import importlib.metadata
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from cluster import GREEDY, ONE_TRIAL, PROGRAM, Cluster, Row, Scores

from sweep.records import State


def _busy(cluster: Cluster) -> str:
    """Which of the two workers trains now."""
    return "a" if cluster.a.training() else "b"


def _of_one_trial(scores: Scores) -> Scores:
    return {place: score for place, score in scores.items() if place[0] == 0}


def test_kill_a_worker_process(cluster: Cluster, calm: Scores) -> None:
    for copy in cluster.copies():
        shutil.rmtree(copy)  # so that every host brings the cases from S3
    driver = cluster.run("worker-killed", more=cluster.in_bucket("driver"))
    cluster.in_the_middle("worker-killed")
    at = time.time()
    killed = [*cluster.a.training(), *cluster.b.training()]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert killed
    cluster.ended(driver, "worker-killed")
    row = cluster.note("kill -9 the workers' processes (S3)", "worker-killed", at)
    cluster.check("worker-killed", calm)
    assert {copy.parent.name for copy in cluster.copies()} == {"cache-a", "cache-b", "cache-driver"}
    row.check_recovery()


def test_kill_a_raylet(cluster: Cluster, calm: Scores) -> None:
    driver = cluster.run("raylet-killed")
    cluster.in_the_middle("raylet-killed")
    at = time.time()
    assert getattr(cluster, _busy(cluster)).kill("raylet/raylet") == 1
    cluster.ended(driver, "raylet-killed")
    row = cluster.note("kill -9 a raylet", "raylet-killed", at)
    cluster.check("raylet-killed", calm)
    row.check_recovery()


def test_preempt_a_host(cluster: Cluster, calm: Scores) -> None:
    """As a cloud takes a machine: its raylet gets TERM. The other one has room for its fold."""
    driver = cluster.run("preempted", text=ONE_TRIAL)
    cluster.in_the_middle("preempted", folds=0, epochs=4)
    host, at = getattr(cluster, _busy(cluster)), time.time()
    assert host.kill("raylet/raylet", signal.SIGTERM) == 1
    cluster.ended(driver, "preempted")
    assert host.kill("ray start")  # which stays when its raylet ends in order; a new machine comes
    row = cluster.note("TERM of a raylet, as a preemption", "preempted", at)
    cluster.check("preempted", _of_one_trial(calm))
    row.check_recovery()
    assert row.restarted_seconds is not None
    assert row.restarted_seconds < 20


def test_freeze_a_worker_while_the_clock_jumps(cluster: Cluster, calm: Scores) -> None:
    """And goes back later. Nothing waits for a clock on the wall, so that no minute is needed."""
    clock = cluster.folder / "clock"
    driver = cluster.run("jumped", text=ONE_TRIAL, more=cluster.by_clock(clock))
    cluster.in_the_middle("jumped")
    frozen = getattr(cluster, _busy(cluster)).training()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    clock.write_text("+1h\n", encoding="ascii")
    time.sleep(20)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    assert frozen
    before = len(cluster.scores("jumped"))
    cluster.wait(lambda: len(cluster.scores("jumped")) > before, "one more fold")
    clock.write_text("+0\n", encoding="ascii")
    cluster.ended(driver, "jumped")
    cluster.note("freeze a worker for 20 s; clock +1 h, and back", "jumped")
    cluster.check("jumped", _of_one_trial(calm))


def test_a_home_moves_loses_mlflow_and_is_copied(cluster: Cluster, calm: Scores) -> None:
    """Both copies go on at once, each in its own folder."""
    name = "moved"
    first, moved, copied = (cluster.folder / one for one in ("first", "other", "copy"))
    cluster.homes[name] = first
    driver = cluster.run(name, text=ONE_TRIAL, more=cluster.in_home(first))
    cluster.in_the_middle(name)
    assert cluster.driver.kill(PROGRAM, signal.SIGTERM) >= 1
    cluster.ended(driver, name, code=4)
    first.rename(moved)
    (moved / "mlflow.db").unlink()
    shutil.copytree(moved, copied)
    drivers = [cluster.resume(name, more=cluster.in_home(home)) for home in (moved, copied)]
    for home, driver in zip((moved, copied), drivers, strict=True):
        cluster.homes[name] = home
        cluster.ended(driver, name)
        cluster.check(name, _of_one_trial(calm))
    cluster.note("home moved, its MLflow deleted, two copies go on", name)
    assert not first.exists()
    assert {path.name for path in moved.iterdir()} == {path.name for path in copied.iterdir()}


def test_cut_a_host_for_half_a_minute(cluster: Cluster, calm: Scores) -> None:
    driver = cluster.run("cut")
    cluster.in_the_middle("cut")
    host, at = getattr(cluster, _busy(cluster)), time.time()
    host.cut()
    time.sleep(30)
    host.mend()
    cluster.ended(driver, "cut")
    row = cluster.note("cut a host off for 30 s", "cut", at)
    cluster.check("cut", calm)
    row.check_recovery()


def test_cut_a_host_for_good(cluster: Cluster, calm: Scores) -> None:
    driver = cluster.run("lost", more=cluster.in_bucket("driver"))
    cluster.in_the_middle("lost")
    host, at = getattr(cluster, _busy(cluster)), time.time()
    host.cut()
    cluster.ended(driver, "lost")
    row = cluster.note("cut a host off for good (S3)", "lost", at)
    cluster.check("lost", calm)
    row.check_recovery(has_slot=False)


def test_kill_the_driver_and_resume_from_another_host(cluster: Cluster, calm: Scores) -> None:
    driver = cluster.run("driver-killed", more=cluster.in_bucket("driver"))
    cluster.in_the_middle("driver-killed", folds=2)
    reached, done, at = (
        cluster.reached("driver-killed"),
        cluster.scores("driver-killed"),
        time.time(),
    )
    cluster.driver.kill(PROGRAM)
    driver.wait(timeout=60)
    resumed = cluster.resume("driver-killed", cluster.b, more=cluster.in_bucket("b"))
    cluster.in_the_middle("driver-killed", folds=len(done) + 1)
    cluster.s3.signal(signal.SIGSTOP)
    time.sleep(10)
    cluster.s3.signal(signal.SIGCONT)
    cluster.ended(resumed, "driver-killed")
    row = cluster.note("kill -9 the driver, resume elsewhere; silent S3", "driver-killed", at)
    row.check_recovery()
    cluster.check("driver-killed", calm)
    assert reached
    assert done.items() <= cluster.scores("driver-killed").items()


def test_signals_stop_cleanly(cluster: Cluster, calm: Scores) -> None:
    name = "signalled"
    for number, driver in (
        (signal.SIGINT, lambda: cluster.run(name)),
        (signal.SIGTERM, lambda: cluster.resume(name)),
    ):
        running, done = driver(), len(cluster.scores(name, missing_ok=True))
        cluster.in_the_middle(name, folds=done + 1)
        assert cluster.driver.kill(PROGRAM, number) >= 1
        cluster.ended(running, name, code=4)
    cluster.ended(cluster.resume(name), name)
    cluster.note("SIGINT to the driver, SIGTERM to the next, resume", name)
    cluster.check(name, calm)


def test_stop_mlflow_and_crash_postgresql(cluster: Cluster, calm: Scores) -> None:
    driver = cluster.run("services")
    cluster.in_the_middle("services")
    cluster.mlflow.stop()
    cluster.postgres.stop()
    time.sleep(5)
    cluster.postgres.start()
    before = len(cluster.scores("services"))
    cluster.wait(lambda: len(cluster.scores("services")) >= before + 2, "two more folds")
    cluster.mlflow.start()
    cluster.ended(driver, "services")
    cluster.note("no MLflow for two folds, no PostgreSQL for 5 s", "services")
    cluster.check("services", calm)


def test_fill_the_storage(cluster: Cluster, calm: Scores) -> None:
    where = {"PTXSWEEP_STORAGE": str(cluster.small)}
    driver = cluster.run("full", more=where)
    cluster.in_the_middle("full")
    ballast = cluster.small / "ballast"
    _fill(ballast)
    cluster.ended(driver, "full", code=4)
    assert "No space left" in cluster.log("full")
    ballast.unlink()
    cluster.ended(cluster.resume("full", more=where), "full")
    cluster.note("fill the storage, make room, resume", "full")
    cluster.check("full", calm)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def test_a_second_driver_is_refused_even_with_a_wrong_clock(cluster: Cluster, calm: Scores) -> None:
    driver = cluster.run("twice", "--workers", "1")  # slowly: the other needs time to start
    cluster.in_the_middle("twice", folds=0, epochs=1)
    cluster.ended(cluster.resume("twice", more=cluster.an_hour_ahead()), "twice", code=5)
    cluster.ended(driver, "twice")
    cluster.note("second driver, its clock an hour ahead", "twice")
    cluster.check("twice", calm)


def test_a_driver_that_was_frozen_gives_way(cluster: Cluster, calm: Scores) -> None:
    """Its trials still run when another takes over, an hour ahead; nothing of theirs gets in."""
    driver = cluster.run("frozen")
    cluster.in_the_middle("frozen")
    assert cluster.driver.kill(f"{PROGRAM} run", signal.SIGSTOP) == 1
    resumed = cluster.resume("frozen", cluster.a)
    cluster.wait(lambda: "the driver stopped" in cluster.reasons("frozen"), "the second driver")
    assert cluster.driver.kill(f"{PROGRAM} run", signal.SIGCONT) == 1
    driver.send_signal(signal.SIGCONT)  # it froze with the one it waits for
    cluster.ended(driver, "frozen", code=5)
    cluster.ended(resumed, "frozen")
    cluster.note("freeze the driver, resume an hour ahead, thaw it", "frozen")
    cluster.check("frozen", calm)


@pytest.mark.usefixtures("calm")
def test_greedy_and_tpe_lose_workers_and_driver(cluster: Cluster) -> None:
    driver = cluster.run("greedy", text=GREEDY)
    cluster.in_the_middle("greedy")
    killed = [*cluster.a.training(), *cluster.b.training()]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert killed
    cluster.wait(lambda: bool(cluster.reasons("greedy")), "the loss")
    cluster.in_the_middle("greedy", folds=3)
    cluster.driver.kill(PROGRAM)
    driver.wait(timeout=60)
    cluster.ended(cluster.resume("greedy", cluster.b), "greedy")
    row = cluster.note("greedy, TPE: kill -9 workers, then driver", "greedy")
    projection = cluster.check_invariants("greedy")
    assert row.attempts > row.folds
    assert len(projection.trials) == 5
    assert sum(one.state is State.COMPLETE for one in projection.trials) >= 2


@pytest.mark.usefixtures("calm")
def test_a_worker_of_an_older_version_is_refused(cluster: Cluster) -> None:
    older = cluster.folder / "older" / "ptxsweep-0.0.1.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: ptxsweep\nVersion: 0.0.1\n")
    host = cluster.boot("old", "worker", {"PYTHONPATH": str(older.parent)})
    cluster.wait(lambda: cluster.num_workers() == 3, "the third worker", patience_seconds=90)
    cluster.ended(cluster.run("older"), "older", code=2)
    here = importlib.metadata.version("ptxsweep")
    assert f"ptx-old has ptxsweep 0.0.1, the driver {here}" in cluster.log("older")
    assert not cluster.scores("older", missing_ok=True)
    host.power_off()
    cluster.wait(lambda: cluster.num_workers() == 2, "two workers", patience_seconds=90)
    cluster.rows.append(Row(fault="a worker of an older version: refused by name"))
