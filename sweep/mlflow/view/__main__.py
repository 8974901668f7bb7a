"""Keeps MLflow like a ledger, from changes on standard input; see `sweep.mlflow.process`.

Read are pickles: (home, name of the sweep), then any number of times (projection with the changed
trials alone, whether it is the last). Written are lines of JSON: what is logged, and what
became of the last changes. The pickles come through a pipe from the parent alone. When the pipe
ends, so does the process, in the middle of what it does: a driver that is gone must not go on
writing to MLflow beside the next one.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle  # nosec B403
import sys
import threading
from queue import SimpleQueue
from typing import IO, Any

from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.view import MlflowView

#: The next fold comes first, wherever it is decided or trained.
_NICE = 10


class _Teller(logging.Handler):
    """Hands what is logged to the driver, where handlers know where it goes."""

    def __init__(self, replies: IO[str]) -> None:
        super().__init__()
        self._replies = replies

    def emit(self, record: logging.LogRecord) -> None:
        _tell(self._replies, {"level": record.levelno, "text": self.format(record)})


def main() -> None:
    """Send changes until there are no more."""
    os.nice(_NICE)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no reply
    logging.getLogger().addHandler(_Teller(replies))
    stream = sys.stdin.buffer
    view = MlflowView.for_sweep(*pickle.load(stream))  # nosec B301
    inbox: SimpleQueue[tuple[Projection, bool]] = SimpleQueue()
    threading.Thread(target=_read, args=(stream, inbox), daemon=True).start()
    trials: dict[int, Trial] = {}
    while True:
        part, is_last = inbox.get()
        trials |= {trial.number: trial for trial in part.trials}
        if not inbox.empty():  # more to send at once
            continue
        whole = [trials[number] for number in sorted(trials)]
        view.sync(dataclasses.replace(part, trials=whole), final=is_last)
        if is_last:
            _tell(replies, {"run_id": view.run_id})


def _read(stream: IO[bytes], inbox: SimpleQueue[tuple[Projection, bool]]) -> None:
    try:
        while True:
            inbox.put(pickle.load(stream))  # nosec B301
    except (EOFError, pickle.UnpicklingError):  # the driver ended, maybe in the middle of a write
        os._exit(0)
    except BaseException:  # else the driver would wait for an answer for ever
        logging.exception("what the driver sends cannot be read")
        os._exit(1)


def _tell(replies: IO[str], message: dict[str, Any]) -> None:
    try:
        print(json.dumps(message), file=replies, flush=True)
    except BrokenPipeError:  # the driver is gone
        os._exit(0)


if __name__ == "__main__":
    main()
