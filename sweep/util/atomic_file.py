"""A file that is there whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A draft beside `path` that becomes it at the end of the block, or goes away.

    Args:
        path: The file; its folder is made, a file of that name is replaced.

    Yields:
        Where to write. Its name does not end as `path` does, so say the format of a picture.

    Raises:
        OSError: `path` is a folder, or cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
