"""The ledger's SQL: Optuna's storage with the writes of epochs, folds and trials made cheaper.

Optuna's own methods load the trial, look for an older row, write through SQLAlchemy's object layer
and commit each by itself. On SQLite and PostgreSQL, `commit` writes any number of changes by one
statement each in one durable transaction. What is stored, and the check that the trial has not
ended, are the same. And every transaction ends with a look at the lease, under which no other
process can take it before the commit: a write that stalled until another driver took over is
refused.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite

from sweep.ledger.compat import (
    PARAMETERS,
    STUDY_ATTRIBUTES,
    TRIAL_ATTRIBUTES,
    TRIALS,
    EpochValueRow,
    FinalValueRow,
)

_DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}
_STATE = sqlalchemy.select(TRIALS.c.state).where(TRIALS.c.trial_id == sqlalchemy.bindparam("id"))


@dataclass(frozen=True)
class Attribute:
    """A user attribute, plain JSON, of a trial that has not ended."""

    trial_id: int
    key: str
    value: Any


@dataclass(frozen=True)
class EpochValue:
    """An intermediate value of a trial that has not ended; NaN and infinities are kept."""

    trial_id: int
    step: int
    value: float


@dataclass(frozen=True)
class Ended:
    """A trial's final state, with its value if it has one."""

    trial_id: int
    state: TrialState
    value: float | None


@dataclass(frozen=True)
class StudyAttribute:
    """A user attribute, plain JSON, of a study."""

    study_id: int
    key: str
    value: Any


Change = Attribute | EpochValue | Ended | StudyAttribute


@dataclass(frozen=True)
class Fence:
    """A study's attribute that must still read `text` when a transaction commits."""

    study_id: int
    key: str
    text: str


class Fenced(Exception):
    """The fence reads something else by now; nothing was written."""


_Statement = tuple[Any, dict[str, Any]]


class LedgerStorage(RDBStorage):
    """Commits changes of several kinds and trials together."""

    def commit(self, *changes: Change, fence: Fence | None = None) -> None:
        """Write changes in their order: all or none on SQLite and PostgreSQL.

        On other databases they are written one by one, and nothing looks at the fence.

        Raises:
            UpdateFinishedTrialError: A trial has ended before.
            Fenced: The fence stands no more.
        """
        dialect = self.engine.dialect.name
        if dialect not in _DIALECTS:
            for change in changes:
                self._write_by_optuna(change)
            return
        with self.engine.begin() as connection:
            self._check_updatable(connection, changes)
            for statement, rows in _batches(dialect, changes):
                connection.execute(statement, rows[0] if len(rows) == 1 else rows)
            _require(connection, fence)

    def _check_updatable(self, connection: Any, changes: Sequence[Change]) -> None:
        """Refuse changes of a trial that has ended, before or among them; asks once for each."""
        states: dict[int, TrialState] = {}
        for change in changes:
            if isinstance(change, StudyAttribute):
                continue
            trial = change.trial_id
            if trial not in states:
                states[trial] = connection.execute(_STATE, {"id": trial}).scalar_one()
            self.check_trial_is_updatable(trial, states[trial])
            if isinstance(change, Ended):
                states[trial] = change.state

    def create_fenced_trial(
        self, study_id: int, number: int, template: FrozenTrial, fence: Fence
    ) -> int:
        """As `create_new_trial` of a running trial, in one transaction with the look at the fence.

        Args:
            study_id: Optuna id of the study.
            number: Number of trials in the study, which no other process changes under the fence.
            template: Template with parameters and user attributes.
            fence: Lease that must still be held.

        Returns:
            The trial's id.

        Raises:
            Fenced: The fence stands no more.
        """
        dialect = self.engine.dialect.name
        if dialect not in _DIALECTS:
            return self.create_new_trial(study_id, template)
        row = {"study_id": study_id, "number": number, "state": template.state}
        with self.engine.begin() as connection:
            made = connection.execute(TRIALS.insert().values(datetime_start=_utc_now(), **row))
            key = made.inserted_primary_key
            assert key is not None
            trial = int(key[0])
            if template.params:
                connection.execute(PARAMETERS.insert(), _parameter_rows(trial, template))
            for name, value in template.user_attrs.items():
                for statement, values in _statements(dialect, Attribute(trial, name, value)):
                    connection.execute(statement, values)
            _require(connection, fence)
        return trial

    def _write_by_optuna(self, change: Change) -> None:
        match change:
            case Attribute(trial, key, value):
                self.set_trial_user_attr(trial, key, value)
            case EpochValue(trial, step, value):
                self.set_trial_intermediate_value(trial, step, value)
            case Ended(trial, state, value):
                self.set_trial_state_values(trial, state, None if value is None else [value])
            case StudyAttribute(study, key, value):
                self.set_study_user_attr(study, key, value)


def _parameter_rows(trial: int, template: FrozenTrial) -> list[dict[str, Any]]:
    return [
        {
            "trial_id": trial,
            "param_name": name,
            "param_value": template.distributions[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(template.distributions[name]),
        }
        for name, value in template.params.items()
    ]


def _utc_now() -> datetime:
    """As Optuna stores times: in UTC and without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


def _statements(dialect: str, change: Change) -> list[_Statement]:
    """Statements that write a change, each with its values."""
    row: dict[str, Any]
    match change:
        case Attribute(trial, key, value):
            row = {"trial_id": trial, "key": key, "value_json": json.dumps(value)}
            return [(_upsert(dialect, TRIAL_ATTRIBUTES, "key"), row)]
        case EpochValue(trial, step, number):
            stored, kind = EpochValueRow.intermediate_value_to_stored_repr(number)
            row = {"trial_id": trial, "step": step, "intermediate_value": stored}
            row["intermediate_value_type"] = kind
            return [(_upsert(dialect, EpochValueRow.__table__, "step"), row)]
        case StudyAttribute(study, key, value):
            row = {"study_id": study, "key": key, "value_json": json.dumps(value)}
            return [(_upsert(dialect, STUDY_ATTRIBUTES, "key", "study_id"), row)]
        case Ended(trial, state, final):
            end = TRIALS.update().where(TRIALS.c.trial_id == trial)
            told: _Statement = (end, {"state": state, "datetime_complete": _utc_now()})
            return [told] if final is None else [_final_value(dialect, trial, final), told]


def _batches(dialect: str, changes: Sequence[Change]) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Statements and the rows that they write, in order; what is alike goes into one."""
    batches: list[tuple[Any, list[dict[str, Any]]]] = []
    for change in changes:
        for statement, row in _statements(dialect, change):
            if batches and batches[-1][0] is statement:
                batches[-1][1].append(row)
            else:
                batches.append((statement, [row]))
    return batches


def _final_value(dialect: str, trial: int, value: float) -> _Statement:
    stored, kind = FinalValueRow.value_to_stored_repr(value)
    row = {"trial_id": trial, "objective": 0, "value": stored, "value_type": kind}
    return _upsert(dialect, FinalValueRow.__table__, "objective"), row


def _require(connection: Any, fence: Fence | None) -> None:
    """Refuse to go on behind a fence that moved; the row stays locked until the commit.

    A SQLite file is locked already, by the writes before.
    """
    if fence is None:
        return
    table = STUDY_ATTRIBUTES
    query = sqlalchemy.select(table.c.value_json).where(
        table.c.study_id == fence.study_id, table.c.key == fence.key
    )
    if connection.execute(query.with_for_update()).scalar_one_or_none() != fence.text:
        raise Fenced("found another text in the fence than this writer's; nothing was written")


@functools.cache
def _upsert(dialect: str, table: Any, key: str, owner: str = "trial_id") -> Any:
    """An insert that replaces the row of the same key of a trial, or of another owner."""
    names = [column.name for column in table.c if not column.primary_key]
    insert = _DIALECTS[dialect].insert(table)
    insert = insert.values({name: sqlalchemy.bindparam(name) for name in names})
    changed = {name: insert.excluded[name] for name in names if name not in (owner, key)}
    return insert.on_conflict_do_update(index_elements=(owner, key), set_=changed)
