"""The image on which an export is compared with the networks it was made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Sides that are multiples of nothing.
_SHAPE = (151, 233)


def trial_image() -> NDArray[np.uint8]:
    """Noise with a bright disc, shape (151, 233)."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[: _SHAPE[0], : _SHAPE[1]]
    image = rng.normal(100, 20, _SHAPE) + 60 * (np.hypot(rows - 70, columns - 120) < 30)
    pixels: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return pixels
