"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Characters of the file's name that its draft begins with: a name may have 255 bytes, the draft's
#: is longer.
_NUM_SHOWN = 40


@contextmanager
def whole_file(path: Path, *, is_durable: bool = False) -> Iterator[Path]:
    """A draft beside `path` that becomes it at the end of the block, or goes away.

    Several may write one file at once, each its own draft; the last one stays.

    Args:
        path: The file; its folder is made, a file of that name is replaced.
        is_durable: Whether a crash of the machine, too, leaves the old or the new; takes as long as
            the disk needs.

    Yields:
        Where to write. Its name does not end as `path` does, so say the format of a picture.

    Raises:
        OSError: `path` is a folder, or cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name[:_NUM_SHOWN]}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        if is_durable:
            flush(draft)
        draft.replace(path)
        if is_durable:
            flush(path.parent)
    except OSError as error:
        if error.filename is None:  # as where the disk is full
            error.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, on disk before going on."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
