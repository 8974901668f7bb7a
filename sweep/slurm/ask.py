"""What Slurm says of a job."""

from __future__ import annotations

import subprocess


def names(listed: str) -> list[str]:
    """Hosts of a list as Slurm writes it, such as `n[1-4]`."""
    return _output("scontrol", "show", "hostnames", listed).split()


def hosts_now(job: str) -> list[str]:
    """Hosts that a running job has now, without those that went down; none without an answer."""
    only = (f"--jobs={job}", "--states=RUNNING")
    listed = _output("squeue", "--noheader", *only, "--format=%N").strip()
    return names(listed) if listed else []


def state(job: str) -> str:
    """The job's state, such as RUNNING."""
    return _output("squeue", "--noheader", f"--jobs={job}", "--format=%T").strip()


def queue_again(job: str) -> bool:
    """Have Slurm queue a job again, which ends its processes; whether Slurm does so."""
    return subprocess.run(["scontrol", "requeue", job], check=False).returncode == 0  # nosec B607


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout
