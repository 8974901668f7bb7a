"""Bring an image or a mask to another grid.

Pillow, because its filters widen with the factor: of what a 4x decimation should remove, its
Lanczos passes 7%, OpenCV's Lanczos 99% (measured at 1.3 times the new Nyquist frequency).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ptxcore.errors import SettingsError

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
METHODS = (*_FILTERS, "area")


def target_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Shape (h, w) whose longer side is `size` px; 0 keeps the shape."""
    if size == 0:
        return height, width
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(
    image: NDArray[np.generic], shape: tuple[int, int], method: str = "lanczos"
) -> NDArray[np.float32]:
    """Resample an image.

    Args:
        image: Shape (H, W), any real type; a mask counts as 0 and 1.
        shape: New height and width in pixels, at least 1.
        method: One of `METHODS`.

    Returns:
        Float32 array of the new shape in the values of the source. Lanczos and bicubic ring
        beyond its range; whoever needs the range clips.

    Raises:
        SettingsError: No such method.
    """
    if method not in METHODS:
        raise SettingsError(f"method: found {method!r}, expected one of {METHODS}")
    source = np.asarray(image, dtype=np.float32)
    if source.shape == shape:
        return source.copy()
    if method == "area":
        rows = _area(source, shape[0])
        return np.ascontiguousarray(_area(rows.T, shape[1]).T, dtype=np.float32)
    resized = Image.fromarray(source).resize((shape[1], shape[0]), _FILTERS[method])
    return np.asarray(resized, dtype=np.float32)


def _area(values: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Mean over each of `length` equal intervals of the rows, pixels cut by an edge in part.

    Not Pillow's BOX, which counts such a pixel wholly in one interval or not at all.
    """
    num_rows = values.shape[0]
    total = np.zeros((num_rows + 1, values.shape[1]))
    np.cumsum(values, axis=0, dtype=np.float64, out=total[1:])
    edges = np.linspace(0, num_rows, length + 1)
    whole = np.minimum(edges.astype(np.int64), num_rows - 1)
    part = (edges - whole)[:, None]
    until = total[whole] * (1 - part) + total[whole + 1] * part
    means: NDArray[np.float64] = np.diff(until, axis=0) * (length / num_rows)
    return means


def resize_image(pixels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """An image on another grid by Lanczos, in its own type; ringing is clipped to its range.

    Whatever a network is given, in training, scoring or prediction, goes through here.

    Args:
        pixels: Shape (H, W), uint8 or uint16.
        shape: New height and width in pixels.
    """
    if pixels.shape == shape:
        return np.array(pixels)
    if pixels.dtype == np.uint8:  # Pillow rounds and clips eight bits itself, in less time
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.array(image.resize((shape[1], shape[0]), Image.Resampling.LANCZOS))
    top = np.iinfo(pixels.dtype).max
    return np.clip(np.round(resize(pixels, shape)), 0, top).astype(pixels.dtype)


def resize_mask(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask on another grid, as the share of each pixel that it covers times 255.

    Area averaging where the grid is coarser, because it keeps the mask's size and does not ring;
    bilinear where it is finer.

    Args:
        mask: Shape (H, W).
        shape: New height and width in pixels.
    """
    if mask.shape == shape:
        return mask.astype(np.uint8) * np.uint8(255)
    if not mask.any():
        return np.zeros(shape, dtype=np.uint8)
    method = "area" if shape[0] <= mask.shape[0] and shape[1] <= mask.shape[1] else "bilinear"
    return np.clip(np.round(resize(mask, shape, method) * 255), 0, 255).astype(np.uint8)
