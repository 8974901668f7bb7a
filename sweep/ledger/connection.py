"""The database behind a ledger: an Optuna storage, plus the two things Optuna lacks.

Optuna's `set_study_user_attr` reads and then writes, so two drivers can both believe they were
first. `compare_and_swap` does both in one statement on Optuna's own table; SQLite, PostgreSQL and
MySQL all make that atomic. And a database server may restart under a sweep that takes days:
`patiently` tries again until it is back.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from sweep.errors import LedgerError, SweepError
from sweep.ledger.compat import STUDIES, STUDY_ATTRIBUTES
from sweep.ledger.quiet import quiet_optuna
from sweep.ledger.sql import LedgerStorage
from sweep.util.redaction import redact

#: Seconds a writer waits for another one's lock on a SQLite file.
_SQLITE_TIMEOUT_SECONDS = 60.0
#: Optuna writes a dozen tables and two rows, each of which may be the one to collide.
_LAYOUT_TRIES = 20
_LAYOUT_WAIT_SECONDS = 0.05
#: A database server that is away for longer ends the driver; `resume` goes on.
PATIENCE_SECONDS = 600.0
_LONGEST_WAIT_SECONDS = 5.0
#: A driver that freezes, or is cut off, between its look at the lease and its commit holds the row
#: that the next driver must write. PostgreSQL ends such a transaction after this time.
_IDLE_IN_TRANSACTION = "SET idle_in_transaction_session_timeout = '10s'"
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Database(Protocol):
    """What rows are read from: an Optuna storage, or `open_rows`."""

    @property
    def engine(self) -> sqlalchemy.Engine:
        """Connections to it."""


@dataclass(frozen=True)
class Rows:
    """The rows of a database, without Optuna's storage around them."""

    engine: sqlalchemy.Engine


@contextmanager
def open_rows(url: str) -> Iterator[Database]:
    """The rows of a database that is laid out, for one that only reads.

    Optuna's storage first asks whether its layout is the newest, which takes longer than to read a
    small sweep.

    Raises:
        LedgerError: The database cannot be reached, or its driver is not installed.
    """
    try:
        rows = Rows(sqlalchemy.create_engine(url, **_arguments(url)))
        with rows.engine.connect() as connection:
            connection.execute(sqlalchemy.select(STUDIES.c.study_id).limit(1)).all()
    except Exception:  # which says what is wrong, or lays it out
        storage = open_storage(url)
        try:
            yield storage
        finally:
            close_storage(storage)
        return
    try:
        yield rows
    finally:
        rows.engine.dispose()


def open_storage(url: str) -> LedgerStorage:
    """Open (and, when new, lay out) the database at an SQLAlchemy URL.

    Raises:
        LedgerError: The database cannot be reached, or its driver is not installed.
    """
    try:
        with quiet_optuna():
            return _laid_out(url, _arguments(url))
    except Exception as error:  # a damaged file makes Optuna raise nearly anything
        raise LedgerError(f"the ledger at {redact(url)}: {_why_not(url, error)}") from error


def _why_not(url: str, error: Exception) -> str:
    """Why a database cannot be opened, and what to do."""
    said = " ".join(str(error).split())
    if isinstance(error, (sqlalchemy.exc.ArgumentError, ValueError)):  # of no such kind among them
        return (
            "found no address of a database, expected sqlite:////folder/ledger.db or postgresql://"
        )
    if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError):
        name = getattr(error, "name", None) or getattr(error.__cause__, "name", None)
        return f"needs the package {name}, which is not installed; install it, and where trials run"
    if "no longer compatible with the table schema" in said:
        return (
            "it was laid out by another version of Optuna than the one installed here; install "
            "that one or, for an older ledger and after a backup, `optuna storage upgrade`"
        )
    for words, why in _SQLITE_SAYS.items():
        if words in said:
            return why
    if isinstance(error, (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)):
        if "authentication" in said or "Access denied" in said:
            return "its server does not take this user and password; check them"
        if not url.startswith("sqlite"):
            return "its server does not answer; start it, or check host, port and database"
    return (
        f"cannot be opened ({type(error).__name__}); check that the address is right and that the "
        "database is one of Optuna's"
    )


#: What SQLite says of a file, and what it means.
_SQLITE_SAYS = {
    "database is locked": "another process has locked it for a minute; end that, or wait for it",
    "file is not a database": "the file is no database; give the ledger's, or restore a copy of it",
    "malformed": "the file is damaged; restore a copy of it",
    "unable to open": "the file cannot be opened; check that its folder exists and is readable",
    "readonly database": "the file may not be written; change its permissions",
    "disk is full": "its disk is full; make room",
}


def _arguments(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": _SQLITE_TIMEOUT_SECONDS}}
    return {"pool_pre_ping": True}


@contextmanager
def readable() -> Iterator[None]:
    """What rows of another hand make Optuna and us raise becomes a `LedgerError`."""
    try:
        yield
    except SweepError:
        raise
    except Exception as error:
        raise LedgerError(
            f"the ledger database cannot be read ({type(error).__name__}); does its server run, or "
            "was it damaged, or written by hand or by another version? restore a copy of it"
        ) from error


def close_storage(storage: LedgerStorage) -> None:
    """Give back the session of this thread and every idle connection."""
    storage.remove_session()
    storage.engine.dispose()


def _laid_out(url: str, arguments: dict[str, Any]) -> LedgerStorage:
    """Optuna's storage; another process may be writing its layout at this very moment.

    Optuna looks whether its tables and version rows are there, then writes them. A second process
    is refused by the database, and finds them when looking again.
    """
    for _ in range(_LAYOUT_TRIES):
        try:
            return _with_settings(LedgerStorage(url, engine_kwargs=arguments))
        except sqlalchemy.exc.SQLAlchemyError as error:
            was_second = isinstance(error, sqlalchemy.exc.IntegrityError)
            if not was_second and "already exists" not in str(error):
                raise
            time.sleep(_LAYOUT_WAIT_SECONDS)
    return _with_settings(LedgerStorage(url, engine_kwargs=arguments))


def _with_settings(storage: LedgerStorage) -> LedgerStorage:
    """Give every new connection what its kind of database needs.

    A SQLite file keeps its journal file between commits, which spares each two syncs: as durable
    as SQLite's default, and as safe on network storage, which its log mode is not.
    """
    statements = {
        "sqlite": "PRAGMA journal_mode=PERSIST",
        "postgresql": _IDLE_IN_TRANSACTION,
    }
    statement = statements.get(storage.engine.dialect.name)
    if statement is not None:

        def settle(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.close()
            connection.commit()

        sqlalchemy.event.listen(storage.engine, "connect", settle)
        storage.remove_session()
        storage.engine.dispose()
    return storage


def patiently(
    action: Callable[[], T],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """Do something in the database, again while its server is away.

    Args:
        action: One transaction that may be done twice: its answer can be lost on the way.
        patience_seconds: Time waited in all.
        pause: Waits for some seconds.

    Raises:
        LedgerError: The server stayed away.
    """
    waited, wait = 0.0, 0.1
    while True:
        try:
            return action()
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
            if not _is_away(error):
                raise
            reason = type(error.__cause__ or error).__name__
            if waited >= patience_seconds:
                raise LedgerError(
                    f"the ledger database was away for {waited:.0f} s ({reason}); start it, then "
                    "give the command again (`ptxsweep resume` for a sweep)"
                ) from error
            if waited == 0.0:
                _log.warning("the ledger database is away (%s); waiting for it", reason)
        pause(wait)
        waited, wait = waited + wait, min(2 * wait, _LONGEST_WAIT_SECONDS)


def shared_clock(storage: Database) -> Callable[[], float]:
    """Seconds since the epoch, the same for all processes that use a database, however their clocks
    go.

    A server's clock is asked once; from then on the time that passed here is added. The clock of
    a SQLite file is the machine's own.
    """
    if storage.engine.dialect.name == "sqlite":
        return time.time
    asked = time.monotonic()
    with storage.engine.connect() as connection:
        now = connection.execute(
            sqlalchemy.select(sqlalchemy.func.current_timestamp())
        ).scalar_one()
    offset = now.timestamp() - asked
    return lambda: time.monotonic() + offset


def _is_away(error: BaseException | None) -> bool:
    """Whether a server could not be reached, or went away; a SQLite file never does."""
    while error is not None:
        if isinstance(error, sqlalchemy.exc.DBAPIError):
            gone = isinstance(
                error, (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)
            )
            from_file = type(error.orig).__module__.startswith("sqlite3")
            return (gone or error.connection_invalidated) and not from_file
        error = error.__cause__
    return False


def read_attribute(storage: Database, study_id: int, key: str) -> str | None:
    """The stored text of a study attribute, None when it was never written."""
    query = sqlalchemy.select(STUDY_ATTRIBUTES.c.value_json).where(
        STUDY_ATTRIBUTES.c.study_id == study_id, STUDY_ATTRIBUTES.c.key == key
    )
    with storage.engine.connect() as connection:
        found = connection.execute(query).scalar_one_or_none()
    return None if found is None else str(found)


def compare_and_swap(
    storage: RDBStorage, study_id: int, key: str, old: str | None, value: Any
) -> str | None:
    """Write a study attribute if it still reads `old` (None: if it was never written).

    Returns:
        The text as stored, or None when another process was faster and nothing was written.
    """
    text = json.dumps(value, sort_keys=True)
    statement: sqlalchemy.Insert | sqlalchemy.Update
    if old is None:
        statement = sqlalchemy.insert(STUDY_ATTRIBUTES).values(
            study_id=study_id, key=key, value_json=text
        )
    else:
        statement = (
            sqlalchemy.update(STUDY_ATTRIBUTES)
            .where(
                STUDY_ATTRIBUTES.c.study_id == study_id,
                STUDY_ATTRIBUTES.c.key == key,
                STUDY_ATTRIBUTES.c.value_json == old,
            )
            .values(value_json=text)
        )
    try:
        with storage.engine.begin() as connection:
            result = connection.execute(statement)
            # PostgreSQL's driver does not count inserted rows; an insert that failed has raised.
            written = old is None or result.rowcount == 1
    except sqlalchemy.exc.IntegrityError:  # the unique key (study, attribute) was there already
        return None
    return text if written else None
