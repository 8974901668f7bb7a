"""A sweep's projection for a viewer that stays: it takes in what was committed since the last look.

`Ledger` reads a study through Optuna and reads it all again to see more. Rows of a ledger are only
ever added, and numbered in the order in which the one driver committed them, so a viewer asks for
those above the last it has seen. Reading from the start is the same with none seen.

Nothing here writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution

from sweep.errors import LedgerError, UnknownSweep
from sweep.ledger import catalog, entries
from sweep.ledger.compat import (
    PARAMETERS,
    STUDY_ATTRIBUTES,
    TRIAL_ATTRIBUTES,
    TRIALS,
    EpochValueRow,
)
from sweep.ledger.connection import Database, readable, shared_clock
from sweep.ledger.lease import Driver, driver_of
from sweep.ledger.ledger import DETECTION_KEY, RESAMPLING_KEY, RESOURCES_KEY, VERSIONS_KEY
from sweep.ledger.messages import NOTES_KEY, notes_of
from sweep.ledger.projection import Projection
from sweep.records import SweepState

_EPOCHS = EpochValueRow.__table__
_ATTRIBUTE_ID = TRIAL_ATTRIBUTES.c.trial_user_attribute_id
_EPOCH_ID = _EPOCHS.c.trial_intermediate_value_id
_OF_SWEEP = (
    catalog.HEADER_KEY,
    catalog.STATE_KEY,
    VERSIONS_KEY,
    RESAMPLING_KEY,
    DETECTION_KEY,
    NOTES_KEY,
    RESOURCES_KEY,
)


class Follower:
    """The projection of one sweep, brought up to date by `advance`. One thread at a time.

    Attributes:
        name: Name of the sweep.
        projection: Everything the ledger held when it was last looked at.
        revision: Rows that it is made of; grows with every entry, epoch and note.
        num_epochs: Those of them that are epochs.
        last_at: ISO 8601 time in UTC of the last entry, or of when a later epoch was seen, since
            epochs have no time of their own; None before the first.
    """

    def __init__(self, storage: Database, name: str) -> None:
        """Read a sweep from its start.

        Args:
            storage: Where it is; stays open as long as this is used.
            name: Name of the sweep.

        Raises:
            UnknownSweep: There is no sweep of that name.
            LedgerError: The database cannot be read.
        """
        self.name = name
        self.last_at: str | None = None
        self._newest = (0, 0)
        self._storage, self._engine = storage, storage.engine
        self._clock = shared_clock(storage)
        with readable():
            self._study_id = catalog.study_id(storage, name)
            self._read_all()

    def advance(self) -> bool:
        """Take in what was committed since.

        Returns:
            Whether anything was.

        Raises:
            LedgerError: The database cannot be read.
        """
        before = self.revision
        with readable(), self._engine.connect() as connection:
            newest, of_sweep = _newest(connection), self._of_sweep(connection)
            if newest == self._newest and of_sweep == self._attributes:
                return False
            # Another state: a driver began or ended, which may also have written notes anew.
            if of_sweep == self._attributes and self._read(connection):
                self._newest = newest
                return self.revision != before
        with readable():
            self._read_all()
        return True

    def driver(self) -> Driver | None:
        """The driver that is at work on it; None if none is.

        Raises:
            LedgerError: The database cannot be read.
        """
        with readable():
            return driver_of(self._storage, self._study_id, self._clock)

    @property
    def identity(self) -> str:
        """What tells this sweep and its state from others, such as a later one of the same name."""
        return repr(sorted(self._attributes.items()))

    def _read_all(self) -> None:
        with self._engine.connect() as connection:
            newest = _newest(connection)
            self._attributes = self._of_sweep(connection)
            self.projection = _empty(self.name, self._attributes)
            self.revision = len(self._attributes) + len(self.projection.notes)
            self.num_epochs = 0
            self._seq, self.last_at = 0, None
            self._seen = (0, 0)
            self._distributions: dict[str, BaseDistribution] = {}
            try:
                is_whole = self._read(connection)
            except entries.UNREADABLE as error:
                raise entries.unreadable(error) from error
            if not is_whole:
                raise LedgerError("the ledger's entries have no order; restore a copy of it")
            self._newest = newest

    def _of_sweep(self, connection: sqlalchemy.Connection) -> dict[str, str]:
        columns = STUDY_ATTRIBUTES.c
        query = sqlalchemy.select(columns.key, columns.value_json).where(
            columns.study_id == self._study_id, columns.key.in_(_OF_SWEEP)
        )
        return {str(row.key): str(row.value_json) for row in connection.execute(query)}

    def _read(self, connection: sqlalchemy.Connection) -> bool:
        """Apply the rows above those seen; False where they cannot be applied to what is there.

        Epochs are read first: the start of their fold was committed before them, so it is among the
        entries that are read after them.
        """
        is_first = self._seen == (0, 0)
        # Not by the index of studies, later: SQLite would go through all trials for a few new rows.
        study = TRIALS.c.study_id if is_first else TRIALS.c.study_id + 0
        of_study = study == self._study_id
        epochs = connection.execute(
            sqlalchemy.select(
                _EPOCH_ID.label("id"), TRIALS.c.number, _EPOCHS.c.step,
                _EPOCHS.c.intermediate_value, _EPOCHS.c.intermediate_value_type,
            )
            .join_from(_EPOCHS, TRIALS, _EPOCHS.c.trial_id == TRIALS.c.trial_id)
            .where(of_study, self._seen[1] < _EPOCH_ID)
            .order_by(_EPOCH_ID)
        ).all()  # fmt: skip
        rows = connection.execute(
            sqlalchemy.select(
                _ATTRIBUTE_ID.label("id"), TRIALS.c.number,
                TRIAL_ATTRIBUTES.c.key, TRIAL_ATTRIBUTES.c.value_json,
            )
            .join_from(TRIAL_ATTRIBUTES, TRIALS, TRIAL_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
            .where(of_study, self._seen[0] < _ATTRIBUTE_ID)
            .order_by(_ATTRIBUTE_ID)
        ).all()  # fmt: skip
        parameters = self._parameters(connection) if is_first or _has_trial(rows) else {}
        try:
            self._apply(rows, epochs, parameters)
        except (*entries.UNREADABLE, LedgerError):
            if is_first:
                raise
            return False  # of another driver than was thought: read it all again
        self._seen = (
            max((row.id for row in rows), default=self._seen[0]),
            max((row.id for row in epochs), default=self._seen[1]),
        )
        if epochs and not is_first:
            now = datetime.fromtimestamp(self._clock(), UTC)
            self.last_at = now.isoformat(timespec="milliseconds")
        self.revision += len(rows) + len(epochs)
        self.num_epochs += len(epochs)
        return True

    def _apply(
        self,
        rows: Any,
        epochs: Any,
        parameters: Mapping[int, tuple[dict[str, Any], dict[str, BaseDistribution]]],
    ) -> None:
        found = [(row.number, row.key, json.loads(row.value_json)) for row in rows]
        history = [
            entries.entry_of(*each) for each in found if not each[1].startswith(entries.NOTE)
        ]
        history.sort(key=lambda entry: entry.seq)
        for entry in history:
            if entry.seq < self._seq:
                raise LookupError(f"entry {entry.seq} after {self._seq - 1}")
            entries.apply(self.projection, entry, *parameters.get(entry.trial, ({}, {})))
            self._seq, self.last_at = entry.seq + 1, entry.timestamp
        number_of_kind = EpochValueRow.stored_repr_to_intermediate_value
        for row in epochs:
            value = number_of_kind(row.intermediate_value, row.intermediate_value_type)
            self.projection.epoch(entries.epoch_of(row.number, row.step, value))
        for number, key, value in found:
            if key.startswith(entries.NOTE):
                self.projection.note(number, key.removeprefix(entries.NOTE), value)

    def _parameters(
        self, connection: sqlalchemy.Connection
    ) -> dict[int, tuple[dict[str, Any], dict[str, BaseDistribution]]]:
        """Values and distributions of the trials that are not in the projection yet."""
        query = (
            sqlalchemy.select(
                TRIALS.c.number, PARAMETERS.c.param_name, PARAMETERS.c.param_value,
                PARAMETERS.c.distribution_json,
            )
            .join_from(PARAMETERS, TRIALS, PARAMETERS.c.trial_id == TRIALS.c.trial_id)
            .where(
                TRIALS.c.study_id == self._study_id,
                TRIALS.c.number >= len(self.projection.trials),
            )
            .order_by(PARAMETERS.c.param_id)
        )  # fmt: skip
        found: dict[int, tuple[dict[str, Any], dict[str, BaseDistribution]]] = {}
        for row in connection.execute(query):
            text = str(row.distribution_json)
            if text not in self._distributions:
                self._distributions[text] = json_to_distribution(text)
            values, distributions = found.setdefault(row.number, ({}, {}))
            distributions[row.param_name] = self._distributions[text]
            values[row.param_name] = distributions[row.param_name].to_external_repr(row.param_value)
        return found


def _has_trial(rows: Any) -> bool:
    return any(row.key == entries.ADDED for row in rows)


def _newest(connection: sqlalchemy.Connection) -> tuple[int, int]:
    """The last rows of the whole database: where they are the same, nothing was written."""
    top = sqlalchemy.func.max
    return (
        connection.execute(sqlalchemy.select(top(_ATTRIBUTE_ID))).scalar_one() or 0,
        connection.execute(sqlalchemy.select(top(_EPOCH_ID))).scalar_one() or 0,
    )


def _empty(name: str, attributes: Mapping[str, str]) -> Projection:
    """A projection without trials, as the sweep's own attributes have it."""
    if catalog.HEADER_KEY not in attributes:
        raise UnknownSweep(f"the study {name!r} was not made by a sweep, or not finished")
    projection = Projection(header=catalog.read_header(attributes[catalog.HEADER_KEY]))
    state = json.loads(attributes.get(catalog.STATE_KEY, "{}"))
    projection.sweep_state = SweepState(state.get("state", SweepState.CREATED))
    projection.sweep_reason = state.get("reason")
    projection.later_versions = json.loads(attributes.get(VERSIONS_KEY, "[]"))
    kept = attributes.get(RESAMPLING_KEY)
    projection.resampling = None if kept is None else json.loads(kept)
    kept = attributes.get(DETECTION_KEY)
    projection.detection = None if kept is None else json.loads(kept)
    projection.resources = json.loads(attributes.get(RESOURCES_KEY, "{}"))
    projection.notes = notes_of(attributes.get(NOTES_KEY))
    return projection
