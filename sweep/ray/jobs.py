"""Sweeps as jobs of a Ray cluster, under ids that say which sweep and which attempt they are.

Ray takes an id only once, so two submissions at once start one driver. A job's command line and its
variables are shown by the dashboard to everybody with the token, and the variables reach every
worker; so neither holds a secret: those lie on the cluster, in files or in the head's environment.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from sweep.errors import ClusterError
from sweep.util.redaction import redact

_log = logging.getLogger(__name__)

#: What a search space's file is called in the job's folder.
SPACE_FILE = "space.yaml"
#: A driver that is asked to stop commits what it has; Ray itself would kill it after 3 s.
STOP_SECONDS = 60
_POLL_SECONDS = 1.0
_ENDED = ("succeeded", "failed", "stopped")
#: Ray lets these win over the address that it is given.
_ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """One sweep to run on a cluster.

    Attributes:
        name: Name of the sweep.
        ledger: Tells ledgers apart; holds no password.
        space: Shipped search space; `SPACE_FILE` where `space_file` is given.
        words: Options of `ptxsweep run`, without secrets.
        variables: Variables of the job's environment, without secrets; its workers see them too.
        space_file: Search space to send along.
    """

    name: str
    ledger: str
    space: str
    words: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    space_file: Path | None = None

    @property
    def first_id(self) -> str:
        """Id of the first attempt; further ones append -2, -3 and so on."""
        return f"ptxsweep-{self.name}-{hashlib.sha256(self.ledger.encode()).hexdigest()[:8]}"

    @property
    def entrypoint(self) -> str:
        """The job's command line, which goes on with the sweep if it exists."""
        words = ("ptxsweep", "run", self.space, "--or-resume", "--address", "auto", *self.words)
        return shlex.join(words)


@dataclass(frozen=True, kw_only=True)
class JobState:
    """Where a job stands.

    Attributes:
        submission_id: Id of the job.
        attempt: Number from 1.
        status: "pending", "running", "succeeded", "failed" or "stopped".
        exit_code: Exit code of the driver, where it ended by itself and Ray knows it.
        message: What Ray says about it, in one line.
    """

    submission_id: str
    attempt: int
    status: str
    exit_code: int | None = None
    message: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in _ENDED


class JobServer:
    """The job server of a cluster, which its dashboard serves."""

    def __init__(self, address: str) -> None:
        """Connect.

        Args:
            address: `http://HOST:8265`, or what `ray.init` takes on a host of the cluster.

        Raises:
            ClusterError: Nothing answers there, or the token is refused.
        """
        self._address = address
        with self._asking(), _without(_ADDRESS_VARIABLES):
            self._client: Any = JobSubmissionClient(address)

    def attempts(self, request: JobRequest) -> list[JobState]:
        """All jobs of a sweep that the cluster remembers, oldest first."""
        pattern = re.compile(re.escape(request.first_id) + r"(?:-(\d+))?")
        found = []
        with self._asking():
            for job in self._client.list_jobs():
                match = pattern.fullmatch(job.submission_id or "")
                if match:
                    found.append(_state(job, int(match[1] or 1)))
        return sorted(found, key=lambda state: state.attempt)

    def submit(self, request: JobRequest) -> tuple[JobState, bool]:
        """Start a job, unless one of the sweep runs or has succeeded.

        Returns:
            The sweep's latest job, and whether it was started by this call.

        Raises:
            ClusterError: The cluster does not take it.
        """
        known = self.attempts(request)
        if known and known[-1].status not in ("failed", "stopped"):
            return known[-1], False
        attempt = known[-1].attempt + 1 if known else 1
        name = request.first_id + (f"-{attempt}" if attempt > 1 else "")
        try:
            with self._asking(), _runtime_env(request) as runtime_env:
                self._client.submit_job(
                    entrypoint=request.entrypoint,
                    submission_id=name,
                    runtime_env=runtime_env,
                    metadata={"sweep": request.name},
                )
        except ClusterError:
            latest = self.attempts(request)[-1:]
            if latest and latest[0].attempt >= attempt:  # another process was faster
                return latest[0], False
            raise
        return JobState(submission_id=name, attempt=attempt, status="pending"), True

    def follow(self, state: JobState, on_text: Callable[[str], None]) -> JobState:
        """Hand on what a job prints until it ends.

        Raises:
            ClusterError: The job server is lost; the job may go on.
        """
        try:
            asyncio.run(self._tail(state.submission_id, on_text))
        except Exception as error:  # of whichever library Ray opens the socket with
            _log.warning(
                "the log cannot be followed further (%s); waiting for the end of the job",
                type(error).__name__,
            )
        while True:
            with self._asking():
                job = self._client.get_job_info(state.submission_id)
            now = _state(job, state.attempt)
            if now.has_ended:
                return now
            time.sleep(_POLL_SECONDS)

    async def _tail(self, submission_id: str, on_text: Callable[[str], None]) -> None:
        async for text in self._client.tail_job_logs(submission_id):
            on_text(text)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What Ray and its HTTP library raise becomes a `ClusterError`."""
        where = redact(self._address)
        try:
            yield
        except AuthenticationError as error:
            raise ClusterError(
                f"Ray's job server at {where} refuses the token; expected RAY_AUTH_MODE=token and "
                "the cluster's token in RAY_AUTH_TOKEN or in the file RAY_AUTH_TOKEN_PATH"
            ) from error
        except (OSError, RuntimeError, ValueError) as error:
            text = " ".join(redact(str(error)).split())[:200]
            raise ClusterError(
                f"Ray's job server at {where} cannot be used ({type(error).__name__}: {text}); "
                "expected --address http://HOST:8265 of a head with a dashboard, or a tunnel "
                "to it"
            ) from error


@contextmanager
def _runtime_env(request: JobRequest) -> Iterator[dict[str, Any]]:
    """What Ray sends along; a folder with the search space lasts as long as the block."""
    variables = {**request.variables, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
    if request.space_file is None:
        yield {"env_vars": variables}
        return
    with tempfile.TemporaryDirectory(prefix="ptxsweep-") as folder:
        shutil.copyfile(request.space_file, Path(folder) / SPACE_FILE)
        yield {"env_vars": variables, "working_dir": folder}


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _state(job: Any, attempt: int) -> JobState:
    lines = (job.message or "").splitlines()
    return JobState(
        submission_id=job.submission_id,
        attempt=attempt,
        status=str(job.status.value).lower(),
        exit_code=job.driver_exit_code,
        message=redact(lines[0]) if lines else "",
    )
