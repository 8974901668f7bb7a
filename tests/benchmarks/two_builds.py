"""An earlier build beside this one: both from git's history, each process in turns, CPU seconds.

Walls depend on the machine's other work, so what is compared is the CPU time of processes, their
children included, as the ratio of medians over turns (A B A B).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

#: The build that goals are set against.
BEFORE = "ccd99fd"
#: Runs of each build, in turns.
NUM_TURNS = 3
ROOT = Path(__file__).resolve().parents[2]


def unpack_before(folder: Path) -> None:
    """Write the earlier build's files into a folder."""
    code = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=code.stdout, check=True)


def cpu_seconds(build: Path, code: str, *words: str | Path, threads: int = 1) -> float:
    """CPU of one process that runs code of a build, its children included.

    Args:
        build: Folder of the build, which is also the process' working folder.
        code: What Python is to run.
        words: What it finds in `sys.argv`.
        threads: OMP_NUM_THREADS of the process; 0 leaves it unset.

    Raises:
        RuntimeError: The process ended with another exit code than 0.
    """
    path = [str(build), str(build / "tests" / "support")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    for name in ("OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    done = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=build,  # which stands first in the path
        env=environment,
        stdout=sys.stderr,
    )
    _, status, used = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    if done.returncode:
        raise RuntimeError(f"a process of {build} ended with exit code {done.returncode}")
    return used.ru_utime + used.ru_stime


def in_turns(
    before: Path, now: Path, run: Callable[[Path], float], num_turns: int | None = None
) -> tuple[float, float]:
    """Median of the earlier build and of this one, in turns; `NUM_TURNS` unless given."""
    turns = [(run(before), run(now)) for _ in range(num_turns or NUM_TURNS)]
    return median(old for old, _ in turns), median(new for _, new in turns)
