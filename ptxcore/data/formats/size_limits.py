"""Files that claim more than they hold.

A header may promise four gigabytes in a file of one kilobyte, and a compressed file of one megabyte
may hold a thousand. Here reads end where the file ends, and what is compressed is measured, a piece
at a time, before any of it is kept.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from typing import BinaryIO

_PIECE = 2**20
_SMALL = 2**16


class SizeLimitedFile(io.BufferedReader):
    """A file that allocates no more for a read than is left; plain ones allocate what is asked."""

    def __init__(self, path: Path) -> None:
        """Open for reading.

        Args:
            path: Path of an existing file.

        Raises:
            OSError: It cannot be opened.
        """
        super().__init__(io.FileIO(str(path)))
        self._end = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file.

        Args:
            size: Bytes at most; None or -1 reads to the end.

        Returns:
            That many bytes or what is left; none at the end.

        Raises:
            OSError: The file cannot be read.
            ValueError: The size is below -1.
        """
        if size is not None and size > _SMALL:
            size = min(size, max(0, self._end - self.tell()))
        return super().read(size)


def inflates_beyond(file: BinaryIO, limit: int) -> bool:
    """Whether the rest of a file, raw deflate data, holds more than `limit` bytes.

    Args:
        file: Open where the data begin; read on from there.
        limit: Bytes after inflating, 0 or more.

    Raises:
        OSError: The file cannot be read.
        zlib.error: It is no such data.
    """
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while piece := file.read(_SMALL):
        while piece:
            size += len(inflater.decompress(piece, _PIECE))
            if size > limit:
                return True
            piece = inflater.unconsumed_tail
    return False


def read_gzip(path: Path, limit: int) -> bytes | None:
    """What a gzip file holds; None where that is more than `limit` bytes.

    Args:
        path: Path of the file.
        limit: Bytes after inflating, 0 or more.

    Raises:
        OSError: It cannot be read, or is no gzip file.
        EOFError: It ends early.
        zlib.error: It is damaged.
    """
    size = 0
    with gzip.open(path) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            if size > limit:
                return None
    with gzip.open(path) as file:
        return file.read(size)
