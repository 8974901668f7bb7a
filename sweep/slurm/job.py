"""Leads a Slurm job on its first host: gets the hosts ready, starts Ray on them, drives the sweep.

Slurm's TERM, of the time limit or a preemption, halts the sweep cleanly; the job is then queued
again, and `run --or-resume` goes on where it was.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sweep.slurm.ask import hosts_now, names, queue_again, state
from sweep.slurm.node import DONE, HALT, SEEN_SECONDS, make_local

#: Ray's part of this host may take this long on a busy one.
_HEAD_SECONDS = 420.0
_PREPARE_SECONDS = 600.0
_POLL_SECONDS = 0.5
#: Ray ends on all hosts in this time, or is ended.
_END_SECONDS = 15.0
#: A worker that was lost joins again after this time.
_REJOIN_SECONDS = 30.0
_DONE, _BAD, _INTERRUPTED = 0, 2, 4
_HEAD_LOST = "Ray's head ended"
#: A job whose head is lost again and again is no longer queued.
_MOST_LOST_HEADS = 5
#: Ray's head ends together with a driver that lost it, or a little later.
_HEAD_ENDS_SECONDS = 10.0
#: A host that is cut off counts as dead after about 40 s. Not sooner: hosts are shared with other
#: jobs, and Ray on a busy one is late. Its agents and workers are Python, which may take minutes
#: to come up there; Ray gives them 30 s and 60 s, and ends a host whose agents are late.
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_health_check_initial_delay_ms": "30000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "8000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "60",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}


def say(text: str) -> None:
    """A line in the job's log."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


class Job:
    """This job: its hosts, what runs on them, and whether it is asked to halt."""

    def __init__(self, folder: Path, local: Path, words: Sequence[str]) -> None:
        self.id = os.environ["SLURM_JOB_ID"]
        self.restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self.meeting = folder / f"{self.id}-{self.restarts}"
        self.local = local / f"ptxsweep-{self.id}"
        self.words = tuple(words)
        self.hosts = names(os.environ["SLURM_JOB_NODELIST"])
        self.halted_by: str | None = None
        self._driver: subprocess.Popen[bytes] | None = None
        self._head: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, tuple[subprocess.Popen[bytes], float]] = {}

    def run(self, expected: str, *, prove_locks: bool) -> int:
        """Drive the sweep to its end, or until Slurm asks for a halt.

        Args:
            expected: Version of ptxsweep that every host must have.
            prove_locks: Whether locks on the shared disk must hold between hosts.

        Returns:
            The driver's exit code.
        """
        signal.signal(signal.SIGTERM, self._on_term)
        code = _BAD
        try:
            if self._prepare(expected, prove_locks=prove_locks):
                address = self._lead()
                code = _BAD if address is None else self._drive(address)
        except OSError as error:
            say(f"error: {error}")
        finally:
            self._clear()
        if self.halted_by and self._driver is None:
            code = _INTERRUPTED
        if self.halted_by == _HEAD_LOST and code != _DONE:
            # However that ended the driver, its ledger is as of the last epoch.
            code = _INTERRUPTED
        if self.halted_by and code not in (_DONE, _BAD):
            self._queue_again()
        return code if code >= 0 else _INTERRUPTED

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self.halt("Slurm asked for it")

    def halt(self, reason: str) -> None:
        """Ask the driver to stop; the first reason counts."""
        if self.halted_by is None:
            self.halted_by = reason
        if self._driver is not None and self._driver.poll() is None:
            self._driver.send_signal(signal.SIGTERM)

    def _look_for_halt(self) -> None:
        """Slurm announces a preemption to its steps alone."""
        if self.halted_by is None and (self.meeting / HALT).exists():
            self.halt("Slurm ends its steps")

    def _prepare(self, expected: str, *, prove_locks: bool) -> bool:
        """Every host's own folder and Ray's token in it; whether all see one disk."""
        shutil.rmtree(self.meeting, ignore_errors=True)
        self.meeting.mkdir(parents=True)
        make_local(self.local, secrets.token_hex(32))
        os.environ |= _ENVIRONMENT | {
            "RAY_AUTH_TOKEN_PATH": str(self.local / "token"),
            "PTXSWEEP_CACHE": str(self.local / "cache"),
        }
        os.environ.pop("RAY_ADDRESS", None)
        more = ("--expected", expected, *(("--prove-locks",) if prove_locks else ()))
        with (self.meeting / "lock").open("wb") as lock, (self.local / "token").open("rb") as token:
            if prove_locks:
                try:
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    say("this disk has no locks")  # which the hosts will find, and explain
            (self.meeting / "nonce").touch()
            step = self._srun(self.hosts, "prepare", *more, stdin=token)
            try:
                code = step.wait(timeout=_PREPARE_SECONDS)
            except subprocess.TimeoutExpired:
                say(f"error: no answer of every host in {_PREPARE_SECONDS:.0f} s")
                step.kill()
                return False
        missing = set(self.hosts) if code == 0 else set()
        deadline = time.monotonic() + SEEN_SECONDS
        while missing and time.monotonic() < deadline:
            missing = {name for name in missing if not (self.meeting / name).is_file()}
            time.sleep(0.2)
        if missing:
            say(f"error: {', '.join(sorted(missing))}: what they wrote is not seen on this host")
        os.environ["TMPDIR"] = str(self.local / "tmp")  # which now exists on every host
        return code == 0 and not missing

    def _lead(self) -> str | None:
        """Start Ray's head on this host; its address once it answers."""
        self._head = self._srun(self.hosts[:1], "head")
        deadline = time.monotonic() + _HEAD_SECONDS
        while time.monotonic() < deadline and self.halted_by is None:
            self._look_for_halt()
            if self._head.poll() is not None:
                break
            if (self.meeting / "address").is_file():
                address = (self.meeting / "address").read_text(encoding="ascii")
                host, _, port = address.rpartition(":")
                try:
                    socket.create_connection((host, int(port)), 2).close()
                    return address
                except OSError:
                    pass
            time.sleep(_POLL_SECONDS)
        if self.halted_by is None:
            say("error: Ray's head did not come up on the first host; its words stand above")
        return None

    def _drive(self, address: str) -> int:
        say(f"job {self.id} on {', '.join(self.hosts)}; Ray's head is {address}")
        self._join(address)
        self._driver = subprocess.Popen(
            [sys.executable, "-m", "sweep.cli", *self.words, "--address", address]
        )
        if self.halted_by:
            self.halt(self.halted_by)
        while self._driver.poll() is None:
            self._look_for_halt()
            if self.halted_by is None and self._head is not None and self._head.poll() is not None:
                self.halt(_HEAD_LOST)
            if self.halted_by is None:
                self._join(address)
            time.sleep(_POLL_SECONDS)
        if self.halted_by is None and self._driver.returncode != _DONE and self._has_lost_head():
            self.halted_by = _HEAD_LOST
        return self._driver.returncode

    def _has_lost_head(self) -> bool:
        """Whether Ray's head has ended, before the driver or with it."""
        deadline = time.monotonic() + _HEAD_ENDS_SECONDS
        while self._head is not None and time.monotonic() < deadline:
            if self._head.poll() is not None:
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _join(self, address: str) -> None:
        """Start Ray on every other host, again where it ended."""
        for host in self.hosts[1:]:
            step, begun = self._workers.get(host, (None, 0.0))
            if step is not None and step.poll() is None:
                continue
            if step is None or time.monotonic() - begun > _REJOIN_SECONDS:
                if step is not None:
                    now = hosts_now(self.id)
                    if now and host not in now:
                        say(f"host {host} went down; the sweep goes on without it")
                        self.hosts.remove(host)
                        continue
                    say(f"host {host} joins again")
                again = self._srun([host], "worker", "--head", address)
                self._workers[host] = (again, time.monotonic())

    def _srun(
        self, hosts: Sequence[str], role: str, *more: str, stdin: object = None
    ) -> subprocess.Popen[bytes]:
        """One process on each of some hosts, beside what runs there already."""
        words = [
            "srun", "--overlap", f"--nodes={len(hosts)}", f"--ntasks={len(hosts)}",
            "--ntasks-per-node=1", f"--nodelist={','.join(hosts)}", "--mem=0", "--cpu-bind=none",
            "--kill-on-bad-exit=0", *(() if stdin else ("--input=none",)),
            sys.executable, "-m", "sweep.slurm.node", role, str(self.meeting), str(self.local),
            *more,
        ]  # fmt: skip
        return subprocess.Popen(words, stdin=stdin or subprocess.DEVNULL)  # type: ignore[call-overload, no-any-return]

    def _clear(self) -> None:
        """End Ray everywhere and leave nothing on the hosts' own disks: the cache has cases."""
        if self.meeting.is_dir():
            (self.meeting / DONE).touch()
        steps = [step for step, _ in self._workers.values()]
        steps += [self._head] if self._head is not None else []
        # On a network disk they may see it late, which a job that must go cannot wait for.
        patience = time.monotonic() + (0.0 if self.halted_by else _END_SECONDS)
        while any(step.poll() is None for step in steps) and time.monotonic() < patience:
            time.sleep(_POLL_SECONDS)
        for step in steps:
            if step.poll() is None:
                step.terminate()
        for step in steps:
            try:
                step.wait(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                step.kill()
        os.environ.pop("TMPDIR", None)  # which is going away
        try:
            self._srun(self.hosts, "clean").wait(timeout=30)
        except subprocess.TimeoutExpired:
            say(f"{self.local} may be left on a host")
        shutil.rmtree(self.local, ignore_errors=True)
        shutil.rmtree(self.meeting, ignore_errors=True)

    def _queue_again(self) -> None:
        """Have Slurm queue the job again, unless it is ending it itself: cancelled, or queued."""
        if state(self.id) != "RUNNING":
            return
        if self.halted_by == _HEAD_LOST and self.restarts >= _MOST_LOST_HEADS:
            say(f"Ray's head was lost again, after {self.restarts} restarts; not queued again")
            return
        say(f"the sweep halted ({self.halted_by}); the job is queued again and goes on with it")
        if queue_again(self.id):
            time.sleep(60)  # Slurm ends this process; an exit of its own would end the job
        else:
            say("error: Slurm did not queue it again; submit it as before, and it goes on")


def main(arguments: Sequence[str] | None = None) -> int:
    """Lead the job of which this process is the batch script.

    Args:
        arguments: Without the program's name; those of the process unless given.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--local", type=Path, required=True)
    parser.add_argument("--expected", required=True)
    parser.add_argument("--prove-locks", action="store_true")
    parser.add_argument("--ledger-file")
    parser.add_argument("words", nargs="+", help="Command line of the driver.")
    given = parser.parse_args(arguments)
    if "SLURM_JOB_ID" not in os.environ:
        parser.error("this is the batch script of a Slurm job; `ptxsweep slurm` submits it")
    if given.ledger_file:  # what a driver here reads instead of an address on its command line
        os.environ.pop("PTXSWEEP_LEDGER", None)
        os.environ["PTXSWEEP_LEDGER_FILE"] = given.ledger_file
    job = Job(given.folder, given.local, given.words)
    return job.run(given.expected, prove_locks=given.prove_locks)


if __name__ == "__main__":
    sys.exit(main())
