"""Writes the batch script of a sweep and hands it to Slurm."""

from __future__ import annotations

import importlib.metadata
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import ClusterError, UsageError
from sweep.util.redaction import redact

#: Seconds before the time limit at which Slurm asks the sweep to halt.
NOTICE_SECONDS = 120
_SBATCH_SECONDS = 60
#: What sbatch says when the controller does not answer.
_AWAY = ("Unable to contact slurm controller", "Socket timed out", "Connection refused")


@dataclass(frozen=True, kw_only=True)
class SlurmRequest:
    """One sweep to run as a job.

    Attributes:
        name: Name of the sweep.
        folder: Folder of the job's script and log, on the disk that all hosts share.
        words: Command line of the driver without the program's name; no secrets.
        nodes: Hosts of the job.
        cpus_per_node: CPUs of each; None takes whole hosts.
        gpus_per_node: GPUs of each.
        directives: Further options of sbatch, as `--name=value`.
        local: Folder of each host's own disk.
        ledger_file: File with the ledger's address, which holds a password.
        notice_seconds: Seconds before the time limit at which the sweep halts.
        proves_locks: Whether a database file lies on the shared disk, which needs locks there.
    """

    name: str
    folder: Path
    words: tuple[str, ...]
    nodes: int
    cpus_per_node: int | None = None
    gpus_per_node: int | None = None
    directives: tuple[str, ...] = ()
    local: Path = Path("/tmp")  # nosec B108
    ledger_file: str | None = None
    notice_seconds: int = NOTICE_SECONDS
    proves_locks: bool = True


def script(request: SlurmRequest) -> str:
    """The batch script: what Slurm is asked for, and one line that leads the job."""
    cpus = request.cpus_per_node
    directives = [
        f"--job-name=ptxsweep-{request.name}",
        f"--nodes={request.nodes}",
        "--ntasks-per-node=1",
        "--exclusive" if cpus is None else f"--cpus-per-task={cpus}",
        *([f"--gpus-per-node={request.gpus_per_node}"] if request.gpus_per_node else []),
        *request.directives,
        f"--signal=B:TERM@{request.notice_seconds}",
        "--requeue",
        "--no-kill",
        "--open-mode=append",
        f"--output={shlex.quote(str(request.folder / '%j.log'))}",
    ]
    lead = [sys.executable, "-m", "sweep.slurm.job", str(request.folder)]
    lead += ["--local", str(request.local), "--expected", importlib.metadata.version("ptxsweep")]
    lead += ["--prove-locks"] if request.proves_locks else []
    lead += ["--ledger-file", request.ledger_file] if request.ledger_file else []
    lead += ["--", *request.words]
    return "\n".join(
        (
            "#!/bin/sh",
            *(f"#SBATCH {one}" for one in directives),
            "# The first host leads: it asks every host whether the disk is shared, starts Ray on",
            "# all by srun, and drives the sweep. TERM halts it, and the job is queued again.",
            "exec " + shlex.join(lead),
            "",
        )
    )


def need_slurm() -> None:
    """Refuse a machine that cannot submit a job.

    Raises:
        UsageError: It has no sbatch.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            "found no sbatch on this machine; run this on a login node of a Slurm cluster, or see "
            "the script with --dry-run"
        )


def submit(request: SlurmRequest) -> str:
    """Write the script into the job's folder and submit it.

    Returns:
        The job's number.

    Raises:
        UsageError: There is no Slurm here, or it refuses what is asked for.
        ClusterError: Slurm does not answer.
    """
    need_slurm()
    path = request.folder / "job.sh"
    try:
        request.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(script(request), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        done = subprocess.run(  # nosec B607
            ["sbatch", "--parsable", str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SBATCH_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"sbatch did not answer in {_SBATCH_SECONDS} s; look with squeue before you try again"
        ) from error
    if done.returncode != 0:
        said = redact(" ".join(done.stderr.replace("sbatch: error:", "").split()))[:300]
        if any(text in said for text in _AWAY):
            raise ClusterError(f"Slurm's controller does not answer ({said}); try again later")
        raise UsageError(
            f"sbatch refused the job: {said}; nothing was submitted. `sinfo` lists partitions, "
            "their hosts and time limits, `sacctmgr show qos` the QOS"
        )
    return done.stdout.strip().split(";")[0]
