"""A full disk, whichever library met it: which file or folder, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Key in an error's attributes: folders that the command may have written in.
PLACES = "ptxsweep.places"
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: As SQLite and the C library say it, where an error of another kind quotes them.
_SAID = ("disk is full", "No space left", "Disk quota exceeded")
#: Less room than this on the disk of a folder is none.
_ROOM_BYTES = 2**20


def full_disk(error: BaseException) -> str | None:
    """What to say of an error that a full disk caused; None of any other.

    Args:
        error: Error with its causes; its attribute `PLACES` may name folders.
    """
    chain = list(_causes(error))
    if not any(_is_full(one) for one in chain):
        return None
    named = [str(one.filename) for one in chain if isinstance(one, OSError) and one.filename]
    named = named[:1] or [str(place) for place in _crowded(getattr(error, PLACES, ()))]
    what = f"write {', '.join(named)}" if named else "write what it has to"
    return f"no space is left to {what}; make room there, then give the same command again"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(words in str(error) for words in _SAID)


def _crowded(places: Iterable[Path]) -> Iterator[Path]:
    seen = set()
    for place in places:
        there = next((one for one in (place, *place.absolute().parents) if one.exists()), None)
        if there is None or there in seen:
            continue
        seen.add(there)
        found = os.statvfs(there)
        if found.f_bavail * found.f_frsize < _ROOM_BYTES:
            yield there
