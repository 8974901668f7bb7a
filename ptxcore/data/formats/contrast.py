"""Pictures without a picture: what is left of one behind a window beside its values, a rescale by
0, or a detector that saw nothing. No network finds anything in them, which is no finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Share of the pixels that the two commonest grey values have at most in a picture. A border that
#: is still seen, or a marker, makes two values of one; real radiographs stay below a half.
MOST_OF_TWO_VALUES = 0.99
_NUM_SEEN = 2**16
_PART_OF_ROWS = 16
_MAX_LISTED = 5


def has_contrast(pixels: NDArray[Any]) -> bool:
    """Whether an image shows anything.

    Args:
        pixels: Shape (H, W), of any real type; of large images every so manieth row and column is
            looked at, some 65,536 pixels.

    Returns:
        False where nearly all pixels have one of two values, see `MOST_OF_TWO_VALUES`.
    """
    step = max(1, math.isqrt(pixels.size // _NUM_SEEN))
    seen = pixels[::step, ::step]
    # Whatever the two values of the whole are, of a part no more pixels can have them than have its
    # own two. So a part tells already of nearly every picture.
    few = seen[::_PART_OF_ROWS]
    return any(
        _num_of_two(some) + seen.size - some.size < MOST_OF_TWO_VALUES * seen.size
        for some in (few, seen)
    )


def _num_of_two(pixels: NDArray[Any]) -> int:
    """How many have one of the two commonest values."""
    flat = pixels.ravel()
    if flat.dtype in (np.uint8, np.uint16):
        counts = np.bincount(flat)
    else:
        counts = np.unique(flat, return_counts=True)[1]
    return int(np.sort(counts)[-2:].sum())


def doubts_about_contrast(number: int, labels: Sequence[str] = ()) -> Iterator[str]:
    """A sentence about images without contrast, if there are any.

    Args:
        number: How many.
        labels: What messages call them, if that is known.
    """
    if not number:
        return
    listed = ", ".join(labels[:_MAX_LISTED]) + (", ..." if len(labels) > _MAX_LISTED else "")
    yield (
        f"{number} {'image has' if number == 1 else 'images have'} no contrast"
        f"{f' ({listed})' if listed else ''}: nearly all pixels have one of two values, as behind "
        "a window beside the data; such cases teach nothing, and count as healthy without a mask"
    )
