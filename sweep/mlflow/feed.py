"""Feeds MLflow beside a running sweep, so that a slow or absent server never holds up a fold.

Another process gets the trials that changed, never the ledger itself. Every sync is whole and
idempotent, so what could not be sent goes with the next. Short folds are sent several at a time:
MLflow takes less for five folds in one call than for one fold in each of five.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sweep.ledger import Ledger
from sweep.mlflow.process import MlflowProcess
from sweep.storage.home import Home

#: MLflow lags behind the ledger by about this much at most while a sweep runs.
PERIOD_SECONDS = 5.0
#: And behind the epochs of a fold that goes on and on while nothing else happens.
EPOCHS_PERIOD_SECONDS = 30.0
#: A process that ends by itself, as for want of memory, is started anew so many times.
NUM_RESTARTS = 3
_log = logging.getLogger(__name__)


class MlflowFeed:
    """Keeps MLflow up with a running sweep.

    Attributes:
        run_id: The sweep's parent run; None before `finish`, and if MLflow was never reached.
    """

    def __init__(
        self, home: Home, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Touches nothing yet.

        Args:
            home: Home with the address of MLflow.
            ledger: Ledger of the sweep; is read in `offer` and `finish` alone.
            clock: Seconds that never go back.
        """
        self.run_id: str | None = None
        self._home, self._ledger, self._clock = home, ledger, clock
        self._seen, self._seen_revisions, self._offered_at = -1, -1, -PERIOD_SECONDS
        self._restarts_left = NUM_RESTARTS
        self._process: MlflowProcess | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The process lives while the block runs."""
        self._process = MlflowProcess(self._home, self._ledger.name)
        try:
            yield
        finally:
            self._process.close()
            self._process = None

    def offer(self) -> None:
        """Hand over what is new if trials or folds changed; epochs alone have time.

        Call it again and again while `running`: what comes too soon after the last time waits for
        a later call.
        """
        assert self._process is not None
        projection, now = self._ledger.projection, self._clock()
        events = len(projection.history)
        revisions = sum(trial.revision for trial in projection.trials)
        period = EPOCHS_PERIOD_SECONDS if events == self._seen else PERIOD_SECONDS
        if revisions == self._seen_revisions and events == self._seen:
            return
        if now - self._offered_at < period:
            return
        if self._process.has_ended and self._restarts_left:
            self._restarts_left -= 1
            _log.warning("the process that feeds MLflow ended by itself; starting another one")
            self._process.close()
            self._process = MlflowProcess(self._home, self._ledger.name)
        self._seen, self._seen_revisions, self._offered_at = events, revisions, now
        self._process.offer(self._ledger.projection)

    def finish(self) -> None:
        """One last sync while `running`; what cannot be sent is said, not raised."""
        assert self._process is not None
        sent = self._process.finish(self._ledger.projection)
        if sent is not None:
            self.run_id = sent.run_id
            return
        _log.warning("the process that feeds MLflow ended by itself; sending the rest from here")
        from sweep.mlflow.view import MlflowView  # two seconds that a driver rarely needs

        view = MlflowView.for_sweep(self._home, self._ledger.name)
        view.sync(self._ledger, final=True)
        self.run_id = view.run_id
