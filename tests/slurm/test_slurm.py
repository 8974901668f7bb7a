"""A sweep as a Slurm job, interrupted on purpose; its ledger is that of an undisturbed one."""

from __future__ import annotations

import pytest
from slurm_cluster import LOCAL, USERS, Scores, SlurmCluster

#: Jobs of minutes, and two of them wait two more before Slurm starts them again.
pytestmark = pytest.mark.timeout(1800)


def test_preempted_it_goes_on(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("preempted")
    slurm.in_the_middle(job, "preempted")
    slurm.ask("sbatch", "-p", "high", "-N2", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    slurm.ended(job, "preempted")
    assert int(slurm.state(job)["Restarts"]) >= 1
    slurm.is_clean(job)
    slurm.check("preempted by another partition", job, "preempted", calm)


def test_the_time_limit_is_no_end(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("limited", "--time", "4", "--notice", "120")
    slurm.ended(job, "limited")
    assert "the sweep halted (Slurm asked for it)" in slurm.log("limited")
    assert int(slurm.state(job)["Restarts"]) >= 1
    slurm.check("time limit", job, "limited", calm)


def test_a_host_goes_down(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("down")
    slurm.in_the_middle(job, "down")
    slurm.b.cut()
    try:
        slurm.ended(job, "down")
    finally:
        slurm.b.mend()
    slurm.check("a host goes down", job, "down", calm)


def test_cancelled_it_stops_and_can_be_submitted_again(slurm: SlurmCluster, calm: Scores) -> None:
    job = slurm.submit("cancelled")
    slurm.in_the_middle(job, "cancelled")
    slurm.ask("scancel", job)
    slurm.ended(job, "cancelled", "CANCELLED")
    slurm.wait(slurm.is_whole, "two idle hosts")
    assert int(slurm.state(job)["Restarts"]) == 0
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
        slurm.check("two users at once on both hosts", job, "both", calm, homes[user])


def test_what_slurm_refuses_is_told(slurm: SlurmCluster) -> None:
    done = slurm.ptxsweep("refused", "--partition", "nowhere")
    assert done.returncode == 2
    assert "Invalid partition name" in done.stderr
    assert "sinfo" in done.stderr


def test_a_disk_that_is_not_shared_is_told(slurm: SlurmCluster) -> None:
    home = slurm.folder / "apart"
    home.mkdir()
    slurm.b.run("mount", "-t", "tmpfs", "none", home)
    job = slurm.submit("apart", home=home)
    slurm.ended(job, "apart", "FAILED", home=home)
    assert "host ptx-n2 does not see" in slurm.log("apart", home)
    assert "give a --home that all hosts share" in slurm.log("apart", home)
    assert not slurm.scores("apart", home)
