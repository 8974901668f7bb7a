"""`ptxsweep slurm` without Slurm: the script, what is refused, and what every host checks."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweep.cli import main
from sweep.cli.slurm import time_limit_seconds
from sweep.slurm.node import NotReady, free_port, head_ports, make_local, prepare
from sweep.slurm.orphan import wait_for_leader

HERE = importlib.metadata.version("ptxsweep")
Run = Callable[..., int]


@pytest.fixture
def slurm(tmp_path: Path) -> Run:
    """The command, with a home and a store."""

    def run(*words: str) -> int:
        places = ("--store", str(tmp_path / "store"), "--home", str(tmp_path / "home"))
        return main(["slurm", "attention_unet", *places, *words])

    return run


def test_the_script_is_printed_and_nothing_written(
    slurm: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--nodes", "2", "--gpus-per-node", "4", "--time", "1-00:00:00", "--partition", "gpu")
    assert slurm(*words, "--name", "x", "--hours", "20", "--sbatch=--mem=64G", "--dry-run") == 0
    shown = capfd.readouterr().out
    for line in (
        "--job-name=ptxsweep-x", "--nodes=2", "--ntasks-per-node=1", "--exclusive",
        "--gpus-per-node=4", "--time=1-00:00:00", "--partition=gpu", "--mem=64G",
        "--signal=B:TERM@120", "--requeue", "--no-kill", "--open-mode=append",
        f"--output={tmp_path}/home/slurm/x/%j.log",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in shown
    assert f"exec {sys.executable} -m sweep.slurm.job {tmp_path}/home/slurm/x" in shown
    assert "-- run attention_unet --or-resume" in shown
    assert "--hours 20" in shown
    assert "--prove-locks" in shown
    assert subprocess.run(["sh", "-n"], input=shown, text=True, check=False).returncode == 0
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--nodes", "0"), "0 is not in the range"),
        (("--nodes", "2", "--array", "0-3"), "one driver leads a sweep"),
        (("--nodes", "2", "--sbatch=-a0-3"), "one driver leads a sweep"),
        (("--nodes", "2", "--sbatch=mem=3"), "expected one option"),
        (("--nodes", "2", "--time", "soon"), "expected minutes"),
        (("--nodes", "2", "--time", "6"), "of 6, 240 s are left before the notice of 120 s"),
        (("--nodes", "2", "--time", "0:30", "--notice", "60"), "0 s are left"),
        (("--nodes", "2", "--local", "/a/folder/that/is/too/long"), "at most 19 letters"),
        (
            ("--nodes", "2", "--ledger", "postgresql://me:geheim@db/x"),
            "the batch script would show",
        ),
        (("--nodes", "2"), "found no sbatch"),
    ],
)
def test_what_cannot_be_is_refused(
    slurm: Run,
    words: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert slurm(*words) == 2
    shown = " ".join(capfd.readouterr().err.split())
    assert told in shown
    assert "geheim" not in shown
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("90", 5400), ("90:30", 5430), ("2:00:00", 7200), ("1-0", 86_400), ("1-2:3", 93_780),
     ("1-2:3:4", 93_784), ("0", 0)],
)  # fmt: skip
def test_a_time_limit_is_read_as_slurm_reads_it(limit: str, seconds: int) -> None:
    assert time_limit_seconds(limit) == seconds


@pytest.mark.parametrize(
    ("sbatch", "code", "told"),
    [
        ("echo '4711;a'", 0, "submitted as job 4711; its log is"),
        (
            "echo 'sbatch: error: Invalid qos specification' >&2; exit 1",
            2,
            "sbatch refused the job: Invalid qos specification; nothing was submitted",
        ),
        ("echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1", 5, "try again"),
    ],
)
def test_what_sbatch_says_is_told(
    slurm: Run,
    sbatch: str,
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _programs(tmp_path, monkeypatch, sbatch=f'cp "$2" {tmp_path}/seen; {sbatch}')
    assert slurm("--nodes", "2", "--name", "x") == code
    assert told in " ".join(capfd.readouterr().err.split())
    written = tmp_path / "home" / "slurm" / "x" / "job.sh"
    assert (tmp_path / "seen").read_text() == written.read_text()


def test_a_home_that_cannot_be_written_is_told(
    slurm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _programs(tmp_path, monkeypatch, sbatch=f"touch {tmp_path}/seen")
    (tmp_path / "home").touch()
    assert slurm("--nodes", "2", "--name", "x") == 2
    assert "cannot be written" in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "seen").exists()


def test_a_host_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    meeting, local = _meeting(tmp_path), tmp_path / "local"
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print(flush=True); input()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", hold, str(meeting / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert first.stdout is not None
    first.stdout.readline()
    prepare(meeting, local, HERE, "t" * 8, prove_locks=True)
    first.communicate(b"\n", timeout=30)
    assert (meeting / "n1").read_text() == HERE
    assert (local / "token").stat().st_mode & 0o777 == 0o600
    assert local.stat().st_mode & 0o777 == 0o700


def test_a_host_that_cannot_take_part_says_why(tmp_path: Path) -> None:
    meeting, local = _meeting(tmp_path), tmp_path / "local"
    with pytest.raises(NotReady, match=r"has ptxsweep .*, expected 0\.0\.1"):
        prepare(meeting, local, "0.0.1", "t", prove_locks=False)
    with pytest.raises(NotReady, match="not shared; give a --home"):
        prepare(tmp_path / "elsewhere" / "1-0", local, HERE, "t", prove_locks=False)
    with pytest.raises(NotReady, match=r"not safe on that disk.*PostgreSQL"):
        prepare(meeting, local, HERE, "t", prove_locks=True)  # for nobody's lock is seen
    with pytest.raises(NotReady, match=r"cannot write .*--local"):
        prepare(meeting, Path("/proc/none"), HERE, "t", prove_locks=False)


def test_a_job_has_its_own_port_and_folder(tmp_path: Path) -> None:
    assert 20_000 <= free_port(4711) < 32_000
    assert free_port(1) != free_port(2)
    with socket.socket() as other:
        other.bind(("", free_port(4711)))
        assert free_port(4711) != other.getsockname()[1]
    make_local(tmp_path / "x", "old")
    (tmp_path / "x" / "cache" / "left").touch()
    make_local(tmp_path / "x", "new")
    assert not (tmp_path / "x" / "cache" / "left").exists()


def test_two_heads_on_one_host_share_no_port() -> None:
    """Ray's own port of clients is the same for all heads of a host: the second one ended."""
    assert len({*head_ports(4711), *head_ports(4712)}) == 4


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [(("run", "--help"), 0, ""), (("run", "--unknown"), 4, "requeue 7\n")],
    ids=["done", "ended with its head"],
)
def test_a_job_whose_head_ended_is_queued_again(
    words: tuple[str, ...],
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = tmp_path / "said"
    said.touch()
    with socket.create_server(("127.0.0.1", 0)) as head:
        meeting, address = tmp_path / "7-0", f"127.0.0.1:{head.getsockname()[1]}"
        lead = f"printf {address} >{meeting}/address; sleep 2"
        steps = f"*' prepare '*) touch {meeting}/n1;; *' head '*) {lead}"
        _programs(
            tmp_path,
            monkeypatch,
            srun=f'case "$*" in {steps};; esac',
            squeue="echo RUNNING",
            scontrol=f'case $1 in show) echo n1;; *) echo "$@" >>{said}; exit 1;; esac',
        )
        job = ("--local", str(tmp_path / "local"), "--expected", HERE, "--", *words)
        done = subprocess.run(
            [sys.executable, "-m", "sweep.slurm.job", str(tmp_path), *job],
            env={**os.environ, "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == code, done.stdout + done.stderr
    assert said.read_text() == told
    assert not meeting.exists()
    assert not list((tmp_path / "local").iterdir())


def test_other_hosts_queue_a_job_again_whose_first_host_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm keeps such a job running, without anything that leads it."""
    said = tmp_path / "said"
    scontrol = f'case $1 in show) echo "$3" | tr , "\\n";; *) echo "$@" >>{said};; esac'
    _programs(tmp_path, monkeypatch, squeue="echo n2", scontrol=scontrol)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with socket.create_server(("127.0.0.1", 0)) as head:
        monkeypatch.setenv("SLURM_JOB_NODELIST", "n1,n2")
        wait_for_leader(f"127.0.0.1:{head.getsockname()[1]}", lambda: False)
        assert not said.exists(), "the head answers"
    nowhere = "host.invalid:1"
    wait_for_leader(nowhere, lambda: True)
    assert not said.exists(), "Slurm ends the step"
    wait_for_leader(nowhere, lambda: False)
    assert said.read_text() == "requeue 7\n"


def _programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """Programs of Slurm that only say something."""
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def _meeting(folder: Path) -> Path:
    meeting = folder / "slurm" / "1-0"
    meeting.mkdir(parents=True)
    for name in ("nonce", "lock"):
        (meeting / name).touch()
    return meeting
