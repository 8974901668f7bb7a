"""What every host of a Slurm job does, started by srun: get ready, then be the head or a worker."""

from __future__ import annotations

import argparse
import fcntl
import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from sweep.slurm.orphan import wait_for_leader

#: A file that another host wrote may take as long as this to be seen on network storage.
SEEN_SECONDS = 60.0
#: Below the ports that Linux gives to connections, above what services use: those of Ray's heads,
#: and those of the servers that each starts for clients, which a sweep has none of.
_FIRST_PORT, _NUM_PORTS = 20_000, 6_000
_FIRST_CLIENT_PORT = _FIRST_PORT + _NUM_PORTS
#: Made by the head when Slurm ends its step.
HALT = "halt"
#: Made by the first host when the driver has ended, upon which Ray ends on all hosts. Where Slurm
#: ends the head's step, that waits for it as long as this.
DONE = "done"
HALT_SECONDS = 12.0
_LOOK_SECONDS, _LOOK_FOR_END_SECONDS = 0.2, 1.0
#: Ray's own words on a host, of which the end is shown where it ended by itself.
_LOG, _MOST_LETTERS = "ray.log", 2000
_IS_UP = "Ray runtime started"
#: Ray gives itself 30 s to come up on a host, which may be busy with other jobs.
_TRIES = 6
_BAD = 2


class NotReady(Exception):
    """This host cannot take part; the message says why."""


def prepare(meeting: Path, local: Path, expected: str, token: str, *, prove_locks: bool) -> None:
    """Make this host's own folder, and see that the job's folder is the same one on all hosts.

    Args:
        meeting: Folder on the shared disk that the first host has made.
        local: Folder of this host's own disk; made anew, closed to others.
        expected: Version of ptxsweep.
        token: Ray's.
        prove_locks: Whether the first host's lock must be seen here.

    Raises:
        NotReady: The disk is not shared or does not lock, or the version is another one.
    """
    found = importlib.metadata.version("ptxsweep")
    if found != expected:
        raise NotReady(f"has ptxsweep {found}, expected {expected}; install the same on every host")
    if not _appears(meeting / "nonce"):
        raise NotReady(
            f"does not see {meeting.parent} as the first host does: that disk is not shared; give "
            "a --home that all hosts share"
        )
    if prove_locks and not _is_locked(meeting / "lock"):
        raise NotReady(
            f"takes a lock in {meeting.parent} that the first host holds: a database file is not "
            "safe on that disk; give a --ledger-file with the address of a PostgreSQL, and a "
            "--tracking-uri"
        )
    try:
        make_local(local, token)
    except OSError as error:
        raise NotReady(
            f"cannot write {local} ({error.strerror}); give --local another folder"
        ) from error
    (meeting / os.environ["SLURMD_NODENAME"]).write_text(found, encoding="ascii")


def make_local(local: Path, token: str) -> None:
    """The job's folder on this host's own disk, which only the user can enter."""
    if not (local / "token").is_file() or (local / "token").read_text("ascii") != token:
        shutil.rmtree(local, ignore_errors=True)
        local.mkdir(mode=0o700, parents=True)
        for name in ("tmp", "cache"):
            (local / name).mkdir()
        handle = os.open(local / "token", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="ascii") as file:
            file.write(token)


def _appears(file: Path) -> bool:
    deadline = time.monotonic() + SEEN_SECONDS
    while not file.is_file():
        if time.monotonic() >= deadline or not file.parent.parent.is_dir():
            return False
        time.sleep(1)
    return True


def _is_locked(file: Path) -> bool:
    """Whether another process holds the file's lock, as far as this host can tell."""
    try:
        with file.open("r+b") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a disk without locks
        return False
    return False


def address_of(host: str) -> str:
    """Address under which this host reaches another one, and is reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))  # sends nothing
        return str(probe.getsockname()[0])


def own_address() -> str:
    """Address of this host that the others reach: its name's, or the first that it has."""
    try:
        found = socket.gethostbyname(socket.gethostname())
    except OSError:
        found = "127.0.0.1"
    if not found.startswith("127."):
        return found
    listed = subprocess.run(  # nosec B607
        ["hostname", "-I"], capture_output=True, text=True, check=False
    )
    others = [one for one in listed.stdout.split() if "." in one and not one.startswith("127.")]
    return others[0] if others else found


def free_port(job: int, first: int = _FIRST_PORT) -> int:
    """A port for the head of a job: its own, or where that is taken, a near one."""
    for step in range(_NUM_PORTS):
        port = first + (job + step) % _NUM_PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise NotReady("has no free port for Ray's head")


def head_ports(job: int) -> tuple[int, int]:
    """Ports of a job's head, and of the server that it starts for clients."""
    return free_port(job), free_port(job, _FIRST_CLIENT_PORT)


def lead_or_join(meeting: Path, local: Path, head: str | None) -> int:
    """Start Ray's head, or a worker of it, and stay with it; again while it is only slow.

    Slurm announces a preemption to the steps of a job alone: the head hands it on, and waits for
    the driver.

    Args:
        meeting: Folder where the head writes down its address once it is up.
        local: Folder of this host's own disk.
        head: Address of the head, None to be it.

    Returns:
        Ray's exit code, 0 where Slurm ended this step, or the driver has ended.
    """
    from sweep.ray.start import says_slow

    told = _told(meeting)
    for left in reversed(range(_TRIES)):
        words, address = _command(local, head)
        with (local / _LOG).open("wb") as log:
            ray = subprocess.Popen(words, stdout=log, stderr=log)
        if _stay(ray, local, None if head else (meeting, address), told):
            _end(ray, meeting, local, head)
            return 0
        said = _said(local)
        if not left or _IS_UP in said or not says_slow(said):
            break
        print(f"Ray is slow to come up on {socket.gethostname()}; trying again", flush=True)
    print(f"Ray ended on {socket.gethostname()}:\n{said[-_MOST_LETTERS:]}", file=sys.stderr)
    if head is not None:
        wait_for_leader(head, told)
    return ray.returncode or 0


def _told(meeting: Path) -> Callable[[], bool]:
    """A function that says whether Slurm ends this step, or the driver has ended."""
    is_told, looked_at = False, time.monotonic()

    def tell(number: int, frame: FrameType | None) -> None:
        nonlocal is_told
        is_told = True

    def told() -> bool:
        nonlocal is_told, looked_at
        if not is_told and time.monotonic() - looked_at > _LOOK_FOR_END_SECONDS:
            looked_at = time.monotonic()
            if (meeting / DONE).exists():
                is_told = True
        return is_told

    signal.signal(signal.SIGTERM, tell)
    return told


def _command(local: Path, head: str | None) -> tuple[list[str], str]:
    """Ray's command line on this host, and where the head is."""
    from sweep.ray.machine import this_machine

    here = this_machine()
    # Not every cluster binds a job to its CPUs.
    cpus = min(int(here.cpus), int(os.environ.get("SLURM_CPUS_ON_NODE") or here.cpus))
    words = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
        "--log-color=false", f"--temp-dir={local / 'ray'}", f"--num-cpus={cpus}",
        f"--num-gpus={int(here.gpus)}",
        # Any free port: another user's Ray may run beside this one.
        "--node-manager-port=0", "--object-manager-port=0", "--min-worker-port=0",
        "--max-worker-port=0", "--dashboard-agent-listen-port=0", "--dashboard-agent-grpc-port=0",
        "--runtime-env-agent-port=0", "--metrics-export-port=0",
    ]  # fmt: skip
    if head is not None:
        own = address_of(head.rpartition(":")[0])
        return [*words, f"--address={head}", f"--node-ip-address={own}"], head
    own = own_address()
    port, clients = head_ports(int(os.environ["SLURM_JOB_ID"]))
    words += [
        "--head", f"--port={port}", f"--ray-client-server-port={clients}",
        "--include-dashboard=false", f"--node-ip-address={own}",
    ]  # fmt: skip
    return words, f"{own}:{port}"


def _said(local: Path) -> str:
    return (local / _LOG).read_text(encoding="utf-8", errors="replace")


def _stay(
    ray: subprocess.Popen[bytes],
    local: Path,
    announce: tuple[Path, str] | None,
    told: Callable[[], bool],
) -> bool:
    """Stay with Ray until it ends or Slurm ends this step, and say where the head is once it is up.

    Returns:
        Whether Slurm ends this step.
    """
    while ray.poll() is None and not told():
        if announce is not None and _IS_UP in _said(local):
            meeting, address = announce
            (meeting / "address.part").write_text(address, encoding="ascii")
            (meeting / "address.part").replace(meeting / "address")
            announce = None
        time.sleep(_LOOK_SECONDS)
    return told()


def _end(ray: subprocess.Popen[bytes], meeting: Path, local: Path, head: str | None) -> None:
    """End Ray and leave nothing on this host; its head does so after the driver has ended."""
    if head is None and meeting.is_dir() and not (meeting / DONE).exists():
        (meeting / HALT).touch()
        deadline = time.monotonic() + HALT_SECONDS
        while time.monotonic() < deadline and meeting.is_dir() and not (meeting / DONE).exists():
            time.sleep(_LOOK_SECONDS)
    ray.kill()  # what it started ends with this step
    shutil.rmtree(local, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what srun asks for.

    Args:
        arguments: Without the program's name; those of the process unless given.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["prepare", "head", "worker", "clean"])
    parser.add_argument("meeting", type=Path)
    parser.add_argument("local", type=Path)
    parser.add_argument("--expected", default="")
    parser.add_argument("--prove-locks", action="store_true")
    parser.add_argument("--head")
    given = parser.parse_args(arguments)
    try:
        if given.role == "clean":
            shutil.rmtree(given.local, ignore_errors=True)
        elif given.role == "prepare":
            token = sys.stdin.read()
            prepare(
                given.meeting, given.local, given.expected, token, prove_locks=given.prove_locks
            )
        else:
            return lead_or_join(given.meeting, given.local, given.head)
    except NotReady as error:
        print(f"error: host {socket.gethostname()} {error}", file=sys.stderr)
        return _BAD
    return 0


if __name__ == "__main__":
    sys.exit(main())
