"""A job whose first host went down: Slurm keeps it, for the others' sake, but nothing leads it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from sweep.slurm.ask import hosts_now, names, queue_again

#: Between two looks at the first host.
LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 5.0


def wait_for_leader(head: str, is_told: Callable[[], bool]) -> None:
    """After Ray has ended on another host: wait until the first host answers, or is given up.

    A job of several hosts outlives each of them (`--no-kill`), the first one too, on which its
    script runs. Slurm takes that host out of the job; then the job is queued again here.

    Args:
        head: Address and port of Ray's head on the first host.
        is_told: Whether Slurm ends this step.
    """
    while not is_told() and not _answers(head):
        if _has_lost_first_host():
            print("the first host went down; the job is queued again", flush=True)
            queue_again(os.environ["SLURM_JOB_ID"])
            return
        time.sleep(LOOK_SECONDS)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
    except OSError:  # refused, too: it may have booted again; what leads a job ends its steps
        return False
    return True


def _has_lost_first_host() -> bool:
    """Whether Slurm runs the job without the host that was its first; no answer is no."""
    first = names(os.environ["SLURM_JOB_NODELIST"])[:1]
    now = hosts_now(os.environ["SLURM_JOB_ID"])
    return bool(first and now) and first[0] not in now
