"""The one place that turns stored pixels into what a network sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def moments(pixels: NDArray[np.generic]) -> tuple[np.float32, np.float32]:
    """Mean and standard deviation of an image.

    Args:
        pixels: Shape (H, W), any real type.

    Returns:
        Two float32 scalars in grey values, summed in float64; the second is at least 0 and divides
        by the number of pixels, not by one less.
    """
    values = np.asarray(pixels, dtype=np.float32)
    return np.float32(values.mean(dtype=np.float64)), np.float32(values.std(dtype=np.float64))


def normalise(
    pixels: NDArray[np.generic], of: tuple[np.float32, np.float32] | None = None
) -> NDArray[np.float32]:
    """Zero mean and unit variance over the image.

    Per image, because exposure and display range differ between devices and say nothing about
    the lung; the same function serves training, scoring and prediction.

    Args:
        pixels: Shape (H, W), any real type.
        of: `moments` of the whole image that the pixels were cut from; without, their own.

    Returns:
        Float32 array of that shape; all zeros for a constant image.
    """
    values = np.asarray(pixels, dtype=np.float32)
    mean, sd = moments(values) if of is None else of
    if sd < 1e-6:
        return np.zeros_like(values)
    return (values - mean) / sd
