"""SIIM-ACR run-length encoding: relative gaps, column by column.

"20 3 5 2" skips 20 pixels and marks 3, skips 5 more and marks 2, counting down the first column,
then the second. An image may have several rows; their union is its mask; "-1" marks none.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.size_limits import read_gzip
from ptxcore.errors import MaskError

#: A first line is a header if its last cell is a name: no mask is.
_HEADER = re.compile(r"[A-Za-z_]+( [A-Za-z_]+)*")


#: A table is read whole; that of SIIM-ACR has a few megabytes.
MAX_CSV_BYTES = 2**28


def decode(rows: Sequence[str], height: int, width: int) -> NDArray[np.bool_]:
    """The union of an image's rows.

    Args:
        rows: Encodings; none at all, or "-1", is an empty mask.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Bool array of shape (height, width).

    Raises:
        MaskError: A row is not whole numbers, has an odd count, or runs past the image.
    """
    mask = np.zeros(height * width, dtype=np.bool_)
    texts = [text for text in (row.strip() for row in rows) if text not in ("", "-1")]
    if not texts:
        return mask.reshape(height, width)
    for text in texts:
        for start, stop in zip(*_runs(text, mask.size), strict=True):
            mask[start:stop] = True
    return np.ascontiguousarray(mask.reshape(width, height).T)


def _runs(text: str, num_pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Every second pixel a run of its own: two characters a pixel. Beyond that no mask goes.
    if len(text) > 4 * num_pixels + 64:
        raise MaskError(
            f"run-length encoding: found {len(text)} characters, more than a mask of {num_pixels} "
            "pixels can need; is it of another size?"
        )
    words = text.split()
    if len(words) % 2:
        raise MaskError(
            f"run-length encoding: found {len(words)} numbers, expected pairs of gap and length"
        )
    try:
        values = np.array([int(word) for word in words], dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError):
        raise MaskError(
            "run-length encoding: found a word that is no whole number, expected 'gap length ...'"
        ) from None
    if (values < 0).any() or (values > num_pixels).any():
        raise MaskError(
            "run-length encoding: found a number below 0 or above the number of pixels "
            f"({num_pixels}), expected gaps and lengths inside the image"
        )
    stops = np.cumsum(values.ravel())[1::2]
    if stops[-1] > num_pixels:
        raise MaskError(
            f"run-length encoding: the last run ends at pixel {stops[-1]}, "
            f"the image has {num_pixels}; is it of another size, or are the starts absolute?"
        )
    return stops - values[:, 1], stops


def encode(mask: NDArray[np.bool_]) -> str:
    """The row that `decode` reads: relative, column by column.

    Args:
        mask: Shape (H, W), bool.

    Returns:
        Pairs of gap and length in pixels, parted by spaces; "-1" for an empty mask.
    """
    flat = np.concatenate([[False], mask.T.ravel(), [False]]).astype(np.int8)
    edges = np.diff(flat)
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if starts.size == 0:
        return "-1"
    gaps = starts - np.concatenate([[0], stops[:-1]])
    return " ".join(map(str, np.stack([gaps, stops - starts], axis=1).ravel()))


@dataclass(kw_only=True)
class Table:
    """A table of masks, and where in it each encoding stands.

    Attributes:
        name: Name of the file.
        num_rows: Without a header and empty lines.
        rows: Non-empty encodings of each image, in the order of the file.
        places: Line and row of each of these, both from 1.
    """

    name: str
    num_rows: int = 0
    rows: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def decode(self, image_id: str, height: int, width: int) -> NDArray[np.bool_]:
        """The mask of an image, as `decode` gives it.

        Args:
            image_id: One of `rows`.
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Raises:
            MaskError: A row is no encoding of that size; says which, but not of which image.
        """
        try:
            return decode(self.rows[image_id], height, width)
        except MaskError:
            for text, (line, row) in zip(self.rows[image_id], self.places[image_id], strict=True):
                try:
                    decode([text], height, width)
                except MaskError as error:
                    place = f"{self.name}:{line} (row {row} of {self.num_rows})"
                    raise MaskError(f"{place}: {error}") from None
            raise


def read_csv(path: Path) -> dict[str, list[str]]:
    """Encodings by image id, in the order of the file: the `rows` of `read_table`."""
    return read_table(path).rows


def read_table(path: Path) -> Table:
    """Encodings by image id, and where they stand.

    With or without a header, a byte-order mark, carriage returns, spaces around names and values.

    Args:
        path: A file of two columns, image id and encoding; compressed if its name ends in `.gz`.

    Returns:
        For each image its non-empty rows; an image marked "-1" has none.

    Raises:
        MaskError: The file is no such table, or calls an image both empty and not.
    """
    table = Table(name=path.name)
    empty: set[str] = set()
    for number, line in enumerate(_lines(path), start=1):
        cells = [cell.strip(' "\t') for cell in line.split(",")]
        if not any(cells) or (number == 1 and _HEADER.fullmatch(cells[-1])):
            continue
        if len(cells) != 2 or not cells[0]:
            raise MaskError(
                f"{path.name}:{number}: found {len(cells)} columns, expected ImageId and "
                "EncodedPixels"
            )
        table.num_rows += 1
        rows = table.rows.setdefault(cells[0], [])
        if cells[1] in ("", "-1"):
            empty.add(cells[0])
        else:
            rows.append(cells[1])
            table.places.setdefault(cells[0], []).append((number, table.num_rows))
        if rows and cells[0] in empty:
            raise MaskError(f"{path.name}:{number}: found an image both with and without a mask")
    if not table.rows:
        raise MaskError(f"{path.name}: found no rows, expected 'ImageId,EncodedPixels'")
    return table


def _lines(path: Path) -> list[str]:
    try:
        # Not the csv module: it refuses fields over 128 KiB, which one large mask can reach.
        return _content(path).decode("utf-8-sig").splitlines()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        kind = type(error).__name__
        raise MaskError(f"{path.name}: not a readable gzip file ({kind})") from error
    except UnicodeDecodeError as error:
        raise MaskError(f"{path.name}: not a csv file in UTF-8: {error.reason}") from error
    except OSError as error:
        raise MaskError(f"{path}: found no readable file ({error.strerror})") from error


def _content(path: Path) -> bytes:
    limit = f"expected at most {MAX_CSV_BYTES / 2**20:.0f} MiB; import the images in parts"
    if path.stat().st_size > MAX_CSV_BYTES:
        raise MaskError(f"{path.name}: found {path.stat().st_size / 2**20:.0f} MiB, {limit}")
    if path.suffix != ".gz":
        return path.read_bytes()
    content = read_gzip(path, MAX_CSV_BYTES)
    if content is None:
        raise MaskError(f"{path.name}: found more than that once it is inflated, {limit}")
    return content
