"""The one place that turns stored pixels into what a network sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normalise(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    """Zero mean and unit variance over the image.

    Per image, because exposure and display range differ between devices and say nothing about
    the lung; the same function serves training, scoring and prediction.

    Args:
        pixels: Shape (H, W), any real type.

    Returns:
        Float32 array of that shape; all zeros for a constant image.
    """
    values = np.asarray(pixels, dtype=np.float32)
    mean, sd = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    if sd < 1e-6:
        return np.zeros_like(values)
    return ((values - np.float32(mean)) / np.float32(sd)).astype(np.float32, copy=False)
