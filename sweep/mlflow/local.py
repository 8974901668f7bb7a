"""What a home's own MLflow knows, read from its SQLite file without importing MLflow.

Importing MLflow takes longer than a prediction. Where anything is not as it is read here (another
layout, a file that cannot be read, no such version, files elsewhere than in the home), nothing is
said, and MLflow itself is asked; so it is MLflow that says what is wrong.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from sweep.util.sqlite import sqlite_file

#: Revisions of MLflow's database whose tables are those read here; a test (test_local.py) says when
#: MLflow has another.
LAYOUTS = frozenset(("dc11669786a5",))
_PATIENCE_SECONDS = 5.0
_WORKSPACE = "default"


@dataclass(frozen=True, kw_only=True)
class LocalVersion:
    """A version of a registered model.

    Attributes:
        name: Name of the model.
        version: Number of the version.
        tags: Its tags.
        place: Folder of its files.
    """

    name: str
    version: str
    tags: Mapping[str, str]
    place: Path


def local_path(place: str) -> Path | None:
    """The folder that a place of artifacts is, None where it is none of this host."""
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def answers(tracking_uri: str) -> bool:
    """Whether an address is a SQLite file of MLflow that can be read."""
    try:
        with opened(tracking_uri) as database:
            return database is not None and bool(
                database.execute("SELECT count(*) FROM experiments").fetchone()
            )
    except sqlite3.Error:
        return False


def local_version(
    tracking_uri: str, artifacts: Path, *, name: str, alias: str | None, number: str | None
) -> LocalVersion | None:
    """A version in a home's own registry.

    Args:
        tracking_uri: Address of MLflow.
        artifacts: The home's folder of artifacts.
        name: Name of the model.
        alias: Alias of the version; None where its number is given.
        number: Number of the version.

    Returns:
        None where MLflow is to be asked.
    """
    try:
        with opened(tracking_uri) as database:
            return None if database is None else _version(database, artifacts, name, alias, number)
    except sqlite3.Error:
        return None


@contextlib.contextmanager
def opened(tracking_uri: str) -> Iterator[sqlite3.Connection | None]:
    """A SQLite file of MLflow for reading; None where it is none, or of another layout."""
    file = sqlite_file(tracking_uri)
    if file is None or not file.is_file():
        yield None
        return
    address = f"file:{quote(str(file.absolute()))}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, _PATIENCE_SECONDS, uri=True)) as database:
        revisions = database.execute("SELECT version_num FROM alembic_version").fetchall()
        is_known = len(revisions) == 1 and revisions[0][0] in LAYOUTS
        yield database if is_known else None


def _version(
    database: sqlite3.Connection, artifacts: Path, name: str, alias: str | None, number: str | None
) -> LocalVersion | None:
    if alias is not None:
        found = database.execute(
            "SELECT version FROM registered_model_aliases "
            "WHERE workspace = ? AND name = ? AND alias = ?",
            (_WORKSPACE, name, alias),
        ).fetchone()
        number = None if found is None else str(found[0])
    if number is None or not number.isdecimal():
        return None
    key = (_WORKSPACE, name, int(number))
    where = "workspace = ? AND name = ? AND version = ?"
    row = database.execute(
        # The text is that of this function.
        "SELECT source, storage_location, status FROM model_versions "  # nosec B608
        f"WHERE {where} AND current_stage != 'Deleted_Internal'",
        key,
    ).fetchone()
    if row is None or row[2] != "READY":
        return None
    place = local_path(row[1] or row[0] or "s3://")
    if place is None or not place.is_dir() or artifacts.resolve() not in place.resolve().parents:
        return None
    tags = database.execute(
        f"SELECT key, value FROM model_version_tags WHERE {where}",  # nosec B608
        key,
    ).fetchall()
    return LocalVersion(name=name, version=number, tags=dict(tags), place=place)
