"""A probability map, a mask, and the outlines of two masks, as PNG."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from ptxcore.atomic_file import whole_file

#: What a probability of 1 is in a 16-bit PNG.
FULL_SCALE = 65_535
#: Of the first mask, of the second, and of both where they coincide: orange, blue, white.
OUTLINES_RGB = ((255, 150, 0), (60, 160, 255), (255, 255, 255))


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


def write_outlines(
    path: Path,
    image: NDArray[np.generic],
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
) -> None:
    """Write an image with the outlines of two masks, in `OUTLINES_RGB`.

    Args:
        path: Path of the file; one that is there is replaced.
        image: Shape (H, W), bright = dense.
        first: Same shape.
        second: Same shape.
    """
    values = np.asarray(image, np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    grey = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    picture = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    width_px = max(1, round(max(values.shape) / 512))  # seen when it is shown smaller
    one, other = (mask & ~binary_erosion(mask, iterations=width_px) for mask in (first, second))
    for outline, colour in zip(
        (one & ~other, other & ~one, one & other), OUTLINES_RGB, strict=True
    ):
        picture[outline] = colour
    _write(path, picture)


def _write(path: Path, pixels: NDArray[Any]) -> None:
    with whole_file(path) as draft:
        # Runs alone are looked for: Pillow's default takes seven times as long and saves a sixth.
        Image.fromarray(pixels).save(
            draft, format="PNG", compress_level=1, compress_type=zlib.Z_RLE
        )
