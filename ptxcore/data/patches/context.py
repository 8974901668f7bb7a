"""Context channels: position in the image, and a wider view around the patch.

A patch of full resolution has lost the chest it was cut from. Two kinds of channels give some of it
back: the position of each pixel (as CoordConv, Liu et al. 2018, arXiv:1807.03247), and a wider view
about the same centre at lower resolution. Training and inference both take them from here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mirrored(first: int, number: int, length: int) -> NDArray[np.int64]:
    """Indices from `first` on; those outside [0, length) are mirrored at the border pixels.

    Args:
        first: First pixel of the axis, may be negative.
        number: How many, 0 or more; may go round the axis several times.
        length: Length of the axis in pixels, at least 1.

    Returns:
        Int64 of shape (number,) in [0, length). The border pixel is not repeated: beyond the last
        index L comes L - 1, as NumPy's "reflect" pads.
    """
    period = max(1, 2 * (length - 1))
    folded = np.mod(np.arange(first, first + number), period)
    indices: NDArray[np.int64] = np.minimum(folded, period - folded)
    return indices


def positions(top: int, left: int, side: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Where the pixels of a square lie in their image.

    Args:
        top: First row, may be negative.
        left: First column, may be negative.
        side: Side of the square in pixels.
        shape: Height and width of the image.

    Returns:
        Float32 of shape (side, side, 2): rows, then columns; the centres of the image's pixels
        spread over (-1, 1). Mirrored pixels keep the position of those they mirror.
    """
    rows, columns = (
        (2 * mirrored(first, side, length) + 1) / length - 1
        for first, length in zip((top, left), shape, strict=True)
    )
    found = np.empty((side, side, 2), dtype=np.float32)
    found[..., 0], found[..., 1] = rows[:, None], columns[None, :]
    return found


def context_corner(first: int, side: int, factor: int) -> int:
    """First row or column of the view about a square that begins at `first`.

    Args:
        first: First row or column of the square in pixels, may be negative.
        side: Side of the square in pixels.
        factor: Sides of the square that the view spans, at least 1.

    Returns:
        In pixels of the image, below 0 where the view begins outside it. The centres of square
        and view differ by half a pixel where both sides cannot be even.
    """
    return first - (factor - 1) * side // 2


def surroundings(
    image: NDArray[np.generic], top: int, left: int, side: int, factor: int
) -> NDArray[np.float32]:
    """A wider view about a square's centre, on as many pixels.

    Args:
        image: Shape (H, W), any real type.
        top: First row of the square, may be negative.
        left: First column, may be negative.
        side: Side of the square in pixels.
        factor: Sides of the square that the view spans, at least 1.

    Returns:
        Float32 of shape (side, side): means over blocks of `factor` x `factor` pixels; outside
        the image they are mirrored.
    """
    height, width = image.shape
    rows = mirrored(context_corner(top, side, factor), side * factor, height)
    columns = mirrored(context_corner(left, side, factor), side * factor, width)
    down = _block_means(image, rows, factor)
    # Turned, as adding up whole rows is several times faster than parts of them.
    across = _block_means(np.ascontiguousarray(down.T), columns, factor)
    return np.ascontiguousarray(across.T)


def _block_means(
    values: NDArray[np.generic], rows: NDArray[np.int64], factor: int
) -> NDArray[np.float32]:
    """Means over every `factor` of the chosen rows."""
    total = values[rows[::factor]].astype(np.float32)
    for offset in range(1, factor):
        total += values[rows[offset::factor]].astype(np.float32)
    total /= np.float32(factor)
    return total
