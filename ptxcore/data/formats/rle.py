"""Run-length encodings: those of SIIM-ACR, and their relatives.

"20 3 5 2" skips 20 pixels and marks 3, skips 5 more and marks 2, counting down the first column,
then the second. An image may have several rows; their union is its mask; "-1" marks none. Other
tables count along rows, from 1, or say where each run begins in the whole image (`Dialect`).
`rle_table` reads tables, `rle_fit` tells which dialect one is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.resample import threshold_mask
from ptxcore.errors import MaskError


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the numbers of an encoding are meant.

    Attributes:
        grid: Height and width in pixels of the grid that the runs are counted on; None is that of
            the image.
        by_row: Whether pixels are counted along rows, rather than down columns.
        base: Number of the first pixel, 0 or 1.
        is_absolute: Whether a run begins at its first number, rather than that far behind the
            end of the run before.
    """

    grid: tuple[int, int] | None = None
    by_row: bool = False
    base: int = 0
    is_absolute: bool = False

    def describe(self) -> str:
        """In words, for the user of an import."""
        order = "along rows" if self.by_row else "down columns"
        starts = "absolute starts" if self.is_absolute else "relative gaps"
        grid = "each image's own grid"
        if self.grid is not None:
            grid = f"a grid of {self.grid[0]} x {self.grid[1]} px, brought to that of each image"
        return f"{starts}, {order}, from {self.base}, on {grid}"


SIIM = Dialect()


def decode(
    rows: Sequence[str], height: int, width: int, dialect: Dialect = SIIM
) -> NDArray[np.bool_]:
    """The union of an image's rows.

    Args:
        rows: Encodings; none at all, or "-1", is an empty mask.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        dialect: How their numbers are meant. A mask on another grid is resampled and cut
            at one half.

    Returns:
        Bool array of shape (height, width).

    Raises:
        MaskError: A row is not whole numbers, has an odd count, or runs past the image.
    """
    texts = [text for text in (row.strip() for row in rows) if text not in ("", "-1")]
    if not texts:
        return np.zeros((height, width), dtype=np.bool_)
    own_height, own_width = dialect.grid or (height, width)
    flat = np.zeros(own_height * own_width, dtype=np.bool_)
    runs = [_runs(text, flat.size, dialect) for text in texts]
    for starts, stops in runs:
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            flat[start:stop] = True
    if dialect.by_row:
        mask = flat.reshape(own_height, own_width)
    else:  # turned where there is something: the whole of it takes as long as to decode an image
        first = min(int(starts[0]) for starts, _ in runs) // own_height
        behind = -(-max(int(stops[-1]) for _, stops in runs) // own_height)
        mask = np.zeros((own_height, own_width), dtype=np.bool_)
        mask[:, first:behind] = flat.reshape(own_width, own_height)[first:behind].T
    is_own = mask.shape == (height, width)
    return mask if is_own else threshold_mask(mask, (height, width), "bilinear")


def _runs(
    text: str, num_pixels: int, dialect: Dialect
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the runs of an encoding begin and end, checked."""
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
        if "_" in text:
            raise ValueError("Python's int reads 1_0 as 10")
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
    starts, stops = runs_of(values, dialect)
    if stops[-1] > num_pixels:
        hint = "" if dialect.is_absolute else ", or are the starts absolute?"
        raise MaskError(
            f"run-length encoding: the last run ends at pixel {stops[-1]}, the image has "
            f"{num_pixels}; is it of another size (--rle-size){hint}"
        )
    if starts[0] < 0 or (starts[1:] < stops[:-1]).any():
        raise MaskError(
            "run-length encoding: found a run that begins before the one before it ends, or before "
            "the first pixel; expected runs one after another, are the starts relative?"
        )
    return starts, stops


def runs_of(
    values: NDArray[np.int64], dialect: Dialect
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixel of each run, and the one behind its last, both counted from 0.

    Args:
        values: Pairs of numbers, int64 of shape (N, 2).
        dialect: How they are meant; order and grid do not matter.
    """
    if dialect.is_absolute:
        starts = values[:, 0] - dialect.base
        return starts, starts + values[:, 1]
    stops = np.cumsum(values.ravel())[1::2] - dialect.base
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
