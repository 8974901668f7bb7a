"""A sweep as a Slurm job, interrupted on purpose; its ledger is that of an undisturbed one."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest
from slurm_cluster import LOCAL, USERS, Scores, SlurmCluster

#: Jobs of minutes, and two of them wait two more before Slurm starts them again.
pytestmark = pytest.mark.timeout(1800)


def test_preempted_it_goes_on(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("preempted")
    slurm.in_the_middle(job, "preempted")
    slurm.ask("sbatch", "-p", "high", "-N2", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    slurm.ended(job, "preempted")
    assert slurm.restarts(job) >= 1
    slurm.is_clean(job)
    slurm.check("preempted by another partition", job, "preempted", calm)


def test_the_time_limit_is_no_end(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("limited", "--time", "60", "--notice", "210")
    slurm.wait(lambda: "folds 0/" in slurm.log("limited"), "the first folds", 300.0)
    minutes, _ = slurm.ask("squeue", "-h", "-j", job, "-o", "%M").strip().rsplit(":", 1)
    # Two to three minutes are left, which is less than the notice: Slurm sends it at once.
    slurm.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={int(minutes) + 3}")
    slurm.wait(lambda: slurm.restarts(job) >= 1, "the time limit", 300.0)
    slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    slurm.ended(job, "limited")
    assert "the sweep halted (Slurm asked for it)" in slurm.log("limited")
    slurm.check("time limit", job, "limited", calm)


def test_a_host_goes_down(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("down")
    slurm.in_the_middle(job, "down")
    slurm.b.cut()
    try:
        slurm.ended(job, "down")
    finally:
        slurm.b.mend()
    assert "host slurm-n2 went down; the sweep goes on without it" in slurm.log("down")
    slurm.check("a host goes down", job, "down", calm)


def test_the_first_host_goes_down(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("first")
    slurm.in_the_middle(job, "first")
    slurm.a.power_off()  # with Ray's head, the driver and what has the ledger open
    slurm.a.power_on()
    slurm.wait(lambda: slurm.restarts(job) >= 1, "the job to be queued again", 300.0)
    slurm.join(slurm.a)
    slurm.ended(job, "first")
    slurm.check("the first host goes down", job, "first", calm)


def test_it_comes_back_on_other_hosts(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("moved", "--nodes", "1")
    slurm.in_the_middle(job, "moved")
    began = slurm.state(job)["BatchHost"]
    slurm.ask("scontrol", "update", f"NodeName={began}", "State=DRAIN", "Reason=test")
    slurm.ask("scontrol", "requeue", job)
    slurm.ended(job, "moved")
    assert slurm.state(job)["BatchHost"] != began
    slurm.ask("scontrol", "update", f"NodeName={began}", "State=RESUME")
    slurm.is_clean(job)
    slurm.check("drained, comes back on another host", job, "moved", calm)


def test_cancelled_it_stops_and_can_be_submitted_again(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("cancelled")
    slurm.in_the_middle(job, "cancelled")
    slurm.ask("scancel", job)
    slurm.ended(job, "cancelled", "CANCELLED")
    slurm.wait(slurm.is_whole, "two idle hosts")
    assert slurm.restarts(job) == 0
    slurm.is_clean(job)
    again = slurm.submit("cancelled")
    slurm.ended(again, "cancelled")
    slurm.check("scancel, submitted again", again, "cancelled", calm)


def test_two_users_at_once_on_the_same_hosts(slurm: SlurmCluster, calm: Scores) -> None:
    homes = {user: slurm.folder / user / "home" for user in USERS}
    jobs = {user: slurm.submit("both", home=homes[user], user=user) for user in USERS}
    alice, bob = USERS
    slurm.in_the_middle(jobs[alice], "both", homes[alice])
    for host in (slurm.a, slurm.b):
        token = f"{LOCAL}/ptxsweep-{jobs[alice]}/token"
        assert host.run(*slurm.as_user(alice, "cat", token)).returncode == 0
        assert host.run(*slurm.as_user(bob, "cat", token)).returncode != 0
    for user, job in jobs.items():
        slurm.ended(job, "both", home=homes[user])
        slurm.is_clean(job)
        assert slurm.restarts(job) == 0, slurm.log("both", homes[user])
        slurm.check(f"two users at once: {user[4:]}", job, "both", calm, homes[user])


@pytest.mark.parametrize(
    ("fault", "words", "told"),
    [
        ("a partition that there is not", ("--partition", "nowhere"), "Invalid partition name"),
        ("a QOS that there is not", ("--qos", "nothing"), "Invalid qos"),
        ("no host", ("--nodes", "0"), "0 is not in the range"),
        ("an array", ("--array", "0-3"), "one driver leads a sweep"),
        ("a time limit that is all notice", ("--time", "6"), "240 s are left"),
    ],
)
def test_what_slurm_cannot_do_is_told(
    slurm: SlurmCluster, fault: str, words: tuple[str, ...], told: str
) -> None:
    done = slurm.ptxsweep("refused", *words)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    slurm.told(fault)


def test_a_machine_without_slurm_is_told(slurm: SlurmCluster) -> None:
    done = slurm.ptxsweep("none", path=Path(sys.executable).parent)
    assert done.returncode == 2
    assert "found no sbatch on this machine" in done.stderr
    slurm.told("no sbatch")


def test_a_host_with_another_version_is_told(slurm: SlurmCluster) -> None:
    here = importlib.metadata.distribution("ptxsweep")
    older = slurm.folder / "METADATA"
    older.write_text("Metadata-Version: 2.1\nName: ptxsweep\nVersion: 0.0.1\n", encoding="ascii")
    target = str(here.locate_file(f"ptxsweep-{here.version}.dist-info/METADATA"))
    slurm.on(slurm.b, "mount", "--bind", older, target)
    try:
        job = slurm.submit("older")
        slurm.ended(job, "older", "FAILED")
    finally:
        slurm.on(slurm.b, "umount", target)
    assert f"host slurm-n2 has ptxsweep 0.0.1, expected {here.version}" in slurm.log("older")
    assert not slurm.scores("older")
    slurm.told("a host with another version")


def test_a_disk_that_is_not_shared_is_told(slurm: SlurmCluster) -> None:
    home = slurm.folder / "apart"
    home.mkdir()
    slurm.b.run("mount", "-t", "tmpfs", "none", home)
    job = slurm.submit("apart", home=home)
    slurm.ended(job, "apart", "FAILED", home=home)
    assert "host slurm-n2 does not see" in slurm.log("apart", home)
    assert "give a --home that all hosts share" in slurm.log("apart", home)
    assert not slurm.scores("apart", home)
    slurm.told("a disk that is not shared")
