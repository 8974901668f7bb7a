"""Folders of a sweep that gets another name; whatever a crash cut off is ended by the next command.

A journal says which folders move. The ledger's transaction is the moment at which the sweep has its
new name: with it the folders follow, without it nothing has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from filelock import FileLock, Timeout

from ptxcore.atomic_file import whole_file
from sweep.errors import StorageError, UsageError
from sweep.ledger import list_sweeps
from sweep.ledger.evidence import SUFFIX as EVIDENCE
from sweep.ledger.family import CONFIRMATION
from sweep.storage.home import Home, check_name

_LOCK = ".renaming.lock"
#: Seconds that another renaming may take.
_PATIENCE_SECONDS = 30.0


def check_new_name(name: str) -> None:
    """Refuse what cannot name a new sweep, the names of companions of sweeps among it.

    Raises:
        UsageError: As of `check_name`, or the name is one that a confirmation or evidence has.
    """
    check_name(name)
    check_name(name + CONFIRMATION)
    for suffix in (CONFIRMATION, EVIDENCE):
        if name.endswith(suffix):
            raise UsageError(
                f"sweep name: found {name!r}, expected one that does not end in {suffix!r}, which "
                "names what belongs to another sweep"
            )


@contextmanager
def moving(home: Home, names: Mapping[str, str]) -> Iterator[None]:
    """Folders of sweeps move at the end of a block, in which the ledger gives them their new names.

    Args:
        home: Home with the folders.
        names: New name by old name.

    Raises:
        StorageError: Another process does the same, or the folder cannot be written.
    """
    with _moving_alone(home):
        with whole_file(home.journal, is_durable=True) as draft:
            draft.write_text(json.dumps(dict(names)), encoding="utf-8")
        try:
            yield
        finally:
            _end(home)


def settle(home: Home) -> None:
    """End what a process that was cut off left; costs a look at a folder otherwise.

    Args:
        home: Home with the folders.

    Raises:
        StorageError: A folder cannot be moved.
    """
    if (home.journal).is_file():
        with _moving_alone(home):
            _end(home)


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """No other process begins or renames a sweep in the home's storage while the block runs.

    Raises:
        StorageError: Another process does for long, or the folder cannot be written.
    """
    lock = FileLock(home.storage / _LOCK, timeout=_PATIENCE_SECONDS)
    try:
        home.storage.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"{home.storage}: another process begins or renames a sweep for "
            f"{_PATIENCE_SECONDS:.0f} s now; try again"
        ) from error
    except OSError as error:
        raise StorageError(f"{home.storage}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _moving_alone(home: Home) -> Iterator[None]:
    try:
        with alone(home):
            yield
    except OSError as error:
        raise StorageError(
            f"{home.storage}: a sweep's folder cannot be moved ({error.strerror}); mend that, and "
            "the next command ends the renaming"
        ) from error


def _end(home: Home) -> None:
    """Move the folders if the ledger has the new names; drop the journal if it has either."""
    journal = home.journal
    if not journal.is_file():  # another process was faster
        return
    names = json.loads(journal.read_text(encoding="utf-8"))
    known = set(list_sweeps(home.ledger_url))
    if not known & {*names, *names.values()}:  # of another ledger
        return
    for old, new in names.items():
        source, target = home.storage / old, home.storage / new
        if new in known and source.exists() and not target.exists():
            source.rename(target)
    journal.unlink()
