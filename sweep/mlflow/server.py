"""MLflow's own server for a store that has none, as long as somebody looks at it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import TrackingError
from sweep.storage.home import Home

HOST = "127.0.0.1"
_START_SECONDS, _END_SECONDS, _LOOK_SECONDS = 120.0, 10.0, 0.2
#: Of what a server said before it ended by itself.
_NUM_LINES = 3


class Server:
    """A server that was started.

    Attributes:
        address: Where its pages are.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        """Around a process that is starting."""
        self.address = f"http://{HOST}:{port}"
        self._port, self._process, self._log = port, process, log

    def wait_until_it_answers(self) -> None:
        """Come back when pages can be opened.

        Raises:
            TrackingError: It ended, or does not answer.
        """
        deadline = time.monotonic() + _START_SECONDS
        while status(self._port, "/health") != http.client.OK:
            self._require_alive()
            if time.monotonic() > deadline:
                raise TrackingError(
                    f"MLflow's server did not answer within {_START_SECONDS:.0f} s; try again when "
                    "the machine has less to do"
                )
            time.sleep(_LOOK_SECONDS)

    def wait(self) -> None:
        """Come back never but by a signal.

        Raises:
            TrackingError: It ended by itself.
        """
        self._process.wait()
        self._require_alive()

    def _require_alive(self) -> None:
        if self._process.poll() is not None:
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            said = " / ".join([line.strip() for line in lines if line.strip()][-_NUM_LINES:])
            raise TrackingError(f"MLflow's server ended by itself: {said}")


def status(port: int, path: str) -> int | None:
    """What a server on this machine answers to a path; None where none does."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def free_port(wanted: int) -> int:
    """The port if no program has it, else another one."""
    for port in (wanted, 0):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((HOST, port))
            return int(one.getsockname()[1])
    raise TrackingError("this machine has no free port for MLflow's server")


@contextmanager
def serving(home: Home, port: int) -> Iterator[Server]:
    """MLflow's server on a home's database, for this machine alone, while the block runs.

    Args:
        home: Home with the address of the database.
        port: Port that is free.

    Raises:
        TrackingError: It does not start.
    """
    here = str(Path(sys.executable).parent)
    more = {
        "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
        # Not an argument: it may hold a password, and command lines are public.
        "MLFLOW_BACKEND_STORE_URI": home.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with tempfile.TemporaryDirectory(prefix="ptxsweep-ui-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--host", HOST, "--port", str(port), "--no-serve-artifacts"),
                    *("--default-artifact-root", home.artifacts.absolute().as_uri()),
                ],
                cwd=folder,
                env={**os.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                process_group=0,  # ended as a whole, by us
            )
        try:
            server = Server(port, process, log)
            server.wait_until_it_answers()
            yield server
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and what it has started."""
    for number, patience in ((signal.SIGTERM, _END_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            if number is signal.SIGTERM:
                time.sleep(_LOOK_SECONDS)
    process.wait()
