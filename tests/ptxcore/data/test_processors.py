"""How many processors a process may use: affinity, and the quota of its control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptxcore.data.parallel import num_processors


def _groups(root: Path, lines: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines, encoding="ascii")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def test_affinity_counts() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from ptxcore.data.parallel import num_processors\nprint(num_processors())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("0::/job/step\n", {"job/cpu.max": "100000 100000\n", "job/step/cpu.max": "max 100000\n"}),
        ("0::/not/mounted/here\n", {"cpu.max": "150000 100000\n"}),
        ("0::/small\n", {"small/cpu.max": "20000 100000\n"}),
        (
            "4:cpu,cpuacct:/job\n3:memory:/other\n1:name=systemd:/\n0::/\n",
            {"cpu/job/cpu.cfs_quota_us": "100000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
        ),
    ],
)
def test_a_quota_counts_wherever_it_stands(
    tmp_path: Path, lines: str, files: dict[str, str]
) -> None:
    assert num_processors(_groups(tmp_path, lines, files)) == 1


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("0::/job\n", {"job/cpu.max": "max 100000\n", "cpu.max": "6400000 100000\n"}),
        (
            "4:cpu:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
        ),
        ("0::/job\n", {"job/cpu.max": "what\n"}),
        ("", {}),
    ],
)
def test_no_quota_leaves_the_affinity(tmp_path: Path, lines: str, files: dict[str, str]) -> None:
    assert num_processors(_groups(tmp_path, lines, files)) == min(64, len(os.sched_getaffinity(0)))
