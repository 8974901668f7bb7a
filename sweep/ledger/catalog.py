"""Which sweeps a database holds, and how one comes into being."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import sqlalchemy
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from sweep.errors import LedgerError, NameTaken, UnknownSweep
from sweep.ledger.compat import STUDIES, STUDY_ATTRIBUTES
from sweep.ledger.connection import (
    Database,
    close_storage,
    compare_and_swap,
    open_storage,
    read_attribute,
    readable,
)
from sweep.ledger.header import SweepHeader
from sweep.ledger.quiet import quiet_optuna
from sweep.ledger.sql import LedgerStorage
from sweep.records import SweepState
from sweep.util.sqlite import missing_file

#: A study is a sweep exactly when it has this attribute.
HEADER_KEY = "ptxsweep:header"
#: Where the whole sweep stands.
STATE_KEY = "ptxsweep:state"


def create_study(storage: RDBStorage, name: str, header: SweepHeader) -> None:
    """Lay out a sweep. The header is written once, in one commit.

    A study left without a header by a crash is taken over; of two drivers that create the same
    name at once, one is refused.

    Args:
        storage: Where.
        name: Name of the sweep.
        header: What is fixed from here on.

    Raises:
        NameTaken: A sweep, or another Optuna study, of that name exists.
    """
    directions = [StudyDirection.MAXIMIZE if header.maximize else StudyDirection.MINIMIZE]
    taken = NameTaken(f"a sweep named {name!r} exists; choose another name, or resume it")
    try:
        with quiet_optuna():
            found = storage.create_new_study(directions, name)
    except DuplicatedStudyError:
        found = storage.get_study_id_from_name(name)
        if storage.get_n_trials(found) or storage.get_study_directions(found) != directions:
            raise taken from None
    if compare_and_swap(storage, found, HEADER_KEY, None, header.to_stored()) is None:
        raise taken


def require_ledger(storage_url: str) -> None:
    """Refuse to read a ledger in a file that is not there, since opening it would make one.

    Raises:
        UnknownSweep: There is no such file.
    """
    if (file := missing_file(storage_url)) is not None:
        raise UnknownSweep(
            f"no sweep was started in {file.parent} (found no {file}); give --home or --ledger"
        )


def list_sweeps(storage_url: str) -> list[str]:
    """Names of all sweeps in a database, oldest first; none where a file of SQLite is not there.

    Raises:
        LedgerError: The database cannot be reached.
    """
    return study_names(storage_url, sweep_names)


def study_names(storage_url: str, named: Callable[[RDBStorage], list[str]]) -> list[str]:
    """What `named` finds in a database; nothing where a file of SQLite is not there.

    Args:
        storage_url: SQLAlchemy address.
        named: Names of the studies that are meant, oldest first.

    Raises:
        LedgerError: The database cannot be reached.
    """
    if missing_file(storage_url) is not None:
        return []
    storage = open_storage(storage_url)
    try:
        with readable():
            return named(storage)
    finally:
        close_storage(storage)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A sweep without its trials.

    Attributes:
        header: What was fixed when it was created; None where it cannot be read.
        state: Where it stands.
        reason: Why it is in that state.
    """

    header: SweepHeader | None
    state: SweepState
    reason: str | None


def list_headers(storage: RDBStorage) -> dict[str, Listed]:
    """Every sweep by name, oldest first, by one query that reads no trial.

    Raises:
        LedgerError: The database cannot be read.
    """
    with readable():
        return {
            study.study_name: _listed(study.user_attrs)
            for study in storage.get_all_studies()
            if HEADER_KEY in study.user_attrs
        }


def _listed(attributes: Mapping[str, Any]) -> Listed:
    stored = attributes.get(STATE_KEY) or {}
    try:
        header: SweepHeader | None = SweepHeader.from_stored(attributes[HEADER_KEY])
        state = SweepState(stored.get("state", SweepState.CREATED))
    except (LedgerError, AttributeError, TypeError, ValueError):
        return Listed(header=None, state=SweepState.CREATED, reason="its header cannot be read")
    return Listed(header=header, state=state, reason=stored.get("reason"))


def study_id(storage: Database, name: str) -> int:
    """Optuna's id of a study.

    Raises:
        UnknownSweep: There is no study of that name; the message names the sweeps there are.
    """
    with storage.engine.connect() as connection:
        query = sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
        found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return int(found)
    names = sweep_names(storage)
    nearest = "".join(f"; did you mean {near!r}?" for near in get_close_matches(name, names, 1))
    known = ", ".join(names) or "none"
    raise UnknownSweep(f"no sweep is named {name!r}{nearest}; this ledger holds: {known}")


@contextmanager
def open_study(storage_url: str, name: str) -> Iterator[tuple[LedgerStorage, int]]:
    """A sweep's database and Optuna's id of it, without reading its trials.

    Args:
        storage_url: SQLAlchemy URL.
        name: Name of the sweep.

    Raises:
        UnknownSweep: There is no sweep of that name.
        LedgerError: The database cannot be reached.
    """
    require_ledger(storage_url)
    storage = open_storage(storage_url)
    try:
        with readable():
            found = study_id(storage, name)
            if read_attribute(storage, found, HEADER_KEY) is None:
                raise UnknownSweep(f"the study {name!r} was not made by a sweep, or not finished")
        yield storage, found
    finally:
        close_storage(storage)


def read_state(storage: RDBStorage, study_id: int) -> tuple[SweepState, str | None]:
    """Where a sweep stands, and why."""
    stored = json.loads(read_attribute(storage, study_id, STATE_KEY) or "{}")
    return SweepState(stored.get("state", SweepState.CREATED)), stored.get("reason")


def read_header(text: str) -> SweepHeader:
    """A stored header, checked.

    Raises:
        LedgerError: It is not what `create_study` writes.
    """
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise LedgerError("the ledger's header: found no JSON object, expected one")
    return SweepHeader.from_stored(header)


def sweep_names(storage: Database) -> list[str]:
    """Names of all sweeps in a database, oldest first."""
    query = (
        sqlalchemy.select(STUDIES.c.study_name)
        .join_from(STUDIES, STUDY_ATTRIBUTES, STUDIES.c.study_id == STUDY_ATTRIBUTES.c.study_id)
        .where(STUDY_ATTRIBUTES.c.key == HEADER_KEY)
        .order_by(STUDIES.c.study_id)
    )
    with storage.engine.connect() as connection:
        return [str(name) for name in connection.execute(query).scalars()]
