"""Room on the disk, asked before what cannot be done twice."""

from __future__ import annotations

import tempfile
from pathlib import Path

#: Tables of a hold-out and the rows that name them take less.
_BYTES = 4 * 2**20


def require_room(folder: Path) -> None:
    """Refuse to go on where a folder's disk takes no more.

    Args:
        folder: Made if it is not there; nothing stays in it.

    Raises:
        OSError: It names the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # it has no name, so a kill leaves none
            probe.write(bytes(_BYTES))
            probe.flush()
    except OSError as error:
        error.filename = str(folder)
        raise
