"""MLflow's side of a sweep in a process of its own: the driver only writes changes to a pipe.

A thread would do, and did, but MLflow takes more processor time for a fold than the driver itself,
and two threads of one interpreter hold each other up while workers wait for their next fold.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle  # nosec B403
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from sweep.ledger.projection import Projection
from sweep.storage.home import Home

#: After its pipe is closed the process ends at once, whatever MLflow is doing to it.
_PATIENCE_SECONDS = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of the last changes.

    Attributes:
        run_id: The sweep's parent run, None if MLflow was never reached.
    """

    run_id: str | None


class MlflowProcess:
    """Runs `python -m sweep.mlflow.view` until closed. What it logs is logged here."""

    def __init__(self, home: Home, name: str) -> None:
        """Start it.

        Args:
            home: Home with the address of MLflow; goes through the pipe, since addresses may hold
                passwords and command lines are public.
            name: Name of the sweep.
        """
        source = str(Path(__file__).resolve().parents[2])  # where this very version lies
        paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "sweep.mlflow.view"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            process_group=0,  # Ctrl-C is for the driver, which ends this one in its time
        )
        self._sent: dict[int, int] = {}
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._answers: SimpleQueue[Sent | None] = SimpleQueue()
        self._outbox.put(pickle.dumps((home, name)))
        self._threads = [
            threading.Thread(target=work, args=(pipe,), name=f"mlflow-{word}", daemon=True)
            for word, work, pipe in (
                ("write", self._write, self._process.stdin),
                ("read", self._read, self._process.stdout),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether it ended, which it does not do by itself."""
        return self._process.poll() is not None

    def offer(self, projection: Projection) -> None:
        """Send what has changed since the last call. Never waits itself."""
        self._outbox.put(self._changes(projection, is_last=False))

    def finish(self, projection: Projection) -> Sent | None:
        """Send the last changes and wait until MLflow has them, or was tried long enough.

        Returns:
            What became of them; None if the process ended instead.
        """
        self._outbox.put(self._changes(projection, is_last=True))
        return self._answers.get()

    def close(self) -> None:
        """End it; what it has not sent is lost."""
        self._outbox.put(None)
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()

    def _changes(self, projection: Projection, *, is_last: bool) -> bytes:
        """The projection with the changed trials alone, and without its history."""
        changed = [
            trial for trial in projection.trials if self._sent.get(trial.number) != trial.revision
        ]
        self._sent |= {trial.number: trial.revision for trial in changed}
        part = dataclasses.replace(projection, trials=changed, history=[])
        return pickle.dumps((part, is_last))

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            with pipe:
                while (message := self._outbox.get()) is not None:
                    pipe.write(message)
                    pipe.flush()
        except OSError:
            pass  # it ended: `has_ended` says so, and `finish` gets no answer

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                said: dict[str, Any] = json.loads(line)
                if "text" in said:
                    _log.log(said["level"], "%s", said["text"])
                else:
                    self._answers.put(Sent(**said))
        self._answers.put(None)
