"""Feeds MLflow from a thread of its own, so that a slow or absent server never holds up a fold.

The thread gets snapshots of the projection, never the ledger itself. Only the newest one counts:
every sync is whole and idempotent, so a snapshot that was skipped is contained in the next. Short
folds are sent several at a time: two threads of one interpreter hold each other up, and MLflow
takes less for five folds in one call than for one fold in each of five.
"""

from __future__ import annotations

import copy
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sweep.ledger import Ledger
from sweep.mlflow_view import MlflowView
from sweep.projection import Candidate, Projection

#: MLflow lags behind the ledger by about this much at most while a sweep runs.
PERIOD_SECONDS = 5.0


class Tracker:
    """Keeps an `MlflowView` up with a running sweep."""

    def __init__(
        self, view: MlflowView, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Touches nothing yet.

        Args:
            view: Used by the thread alone while it lives.
            ledger: Used by the caller's thread alone.
            clock: Seconds that never go back.
        """
        self._view = view
        self._ledger = ledger
        self._clock = clock
        self._seen, self._offered_at = -1, -PERIOD_SECONDS
        self._waiting: Projection | None = None
        self._changed = threading.Condition()
        self._stopping = False

    @property
    def run_id(self) -> str | None:
        """The sweep's parent run, None while MLflow could not be reached."""
        return self._view.run_id

    @contextmanager
    def running(self) -> Iterator[None]:
        """The thread lives while the block runs."""
        thread = threading.Thread(target=self._loop, name="mlflow-view", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._stopping = True
                self._changed.notify()
            thread.join()

    def offer(self) -> None:
        """Hand over a snapshot if candidates or folds changed; epochs alone are no reason.

        Call it again and again: what comes too soon after the last snapshot waits for a later call.
        """
        events, now = len(self._ledger.projection.history), self._clock()
        if events == self._seen or now - self._offered_at < PERIOD_SECONDS:
            return
        self._seen, self._offered_at = events, now
        with self._changed:
            self._waiting = snapshot(self._ledger.projection)
            self._changed.notify()

    def finish(self) -> None:
        """One last sync in the caller's thread; what cannot be sent is said, not raised."""
        self._view.sync(snapshot(self._ledger.projection), final=True)

    def _loop(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._stopping:
                    self._changed.wait()
                projection, self._waiting = self._waiting, None
                if projection is None or self._stopping:
                    return
            self._view.sync(projection)


def snapshot(projection: Projection) -> Projection:
    """A projection that the driver's next event leaves as it is; finished folds are shared."""
    return dataclasses.replace(
        projection,
        candidates=[_candidate(one) for one in projection.candidates],
        history=list(projection.history),
    )


def _candidate(one: Candidate) -> Candidate:
    return dataclasses.replace(
        one,
        folds=dict(one.folds),
        epochs={fold: dict(values) for fold, values in one.epochs.items()},
        attempts=dict(one.attempts),
        log=[copy.copy(attempt) for attempt in one.log],
        notes=dict(one.notes),
    )
