"""The file behind an address of SQLite, which opening would make."""

from __future__ import annotations

import re
from pathlib import Path

#: The usual form of an address, which needs no SQLAlchemy to be read.
_PLAIN = re.compile(r"sqlite:///(?P<file>[^?]+)")


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLAlchemy address; None for a server, and for a database in memory.

    Args:
        url: Address of a ledger or of MLflow, which has addresses of other kinds too.
    """
    if (plain := _PLAIN.fullmatch(url)) is not None and plain["file"] != ":memory:":
        return Path(plain["file"])

    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except ArgumentError:
        return None
    if parts.get_backend_name() != "sqlite" or parts.database in (None, "", ":memory:"):
        return None
    return Path(str(parts.database))


def missing_file(url: str) -> Path | None:
    """The file of an SQLAlchemy address if it is not there; see `sqlite_file`.

    Only to read is no reason to make one: an empty database would hide a mistyped address.
    """
    file = sqlite_file(url)
    return None if file is None or file.is_file() else file
