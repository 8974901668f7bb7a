"""A probability map and a mask as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ptxcore.atomic_file import whole_file

#: What a probability of 1 is in a 16-bit PNG.
FULL_SCALE = 65_535


def write_probability(path: Path, probability: NDArray[np.float32]) -> None:
    """Write 16 bits a pixel, `FULL_SCALE` is a probability of 1.

    Args:
        path: Path of the file; one that is there is replaced.
        probability: Shape (H, W), in [0, 1].
    """
    _write(path, np.round(probability * FULL_SCALE).astype(np.uint16))


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write 8 bits a pixel, 0 or 255.

    Args:
        path: Path of the file; one that is there is replaced.
        mask: Shape (H, W).
    """
    _write(path, mask.astype(np.uint8) * 255)


def _write(path: Path, pixels: NDArray[Any]) -> None:
    with whole_file(path) as draft:
        Image.fromarray(pixels).save(draft, format="PNG")
