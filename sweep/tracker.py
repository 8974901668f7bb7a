"""Feeds MLflow from a thread of its own, so that a slow or absent server never holds up a fold.

The thread gets snapshots of the projection, never the ledger itself. Only the newest one counts:
every sync is whole and idempotent, so a snapshot that was skipped is contained in the next.
"""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sweep.ledger import Ledger
from sweep.mlflow_view import MlflowView
from sweep.projection import Candidate, Projection


class Tracker:
    """Keeps an `MlflowView` up with a running sweep."""

    def __init__(self, view: MlflowView, ledger: Ledger) -> None:
        self._view = view
        self._ledger = ledger
        self._seen = -1
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
        """Hand over a snapshot if candidates or folds changed; epochs alone are no reason."""
        events = len(self._ledger.projection.history)
        if events == self._seen:
            return
        self._seen = events
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
