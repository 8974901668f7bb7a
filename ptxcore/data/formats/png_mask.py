"""Read a mask from PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.mask_values import Reading, mask_of_values
from ptxcore.data.formats.png import Layers, read_layers
from ptxcore.errors import MaskError


def read_png_mask(
    path: Path, threshold: float | None = None, classes: tuple[str, ...] = ()
) -> NDArray[np.bool_]:
    """Read a mask: of two values, 0 and any other, every pixel that is not 0.

    Args:
        path: Path of the file.
        threshold: What to do with a mask of more values: every pixel that reaches this share of
            the largest value of the file's depth (255 or 65,535), in (0, 1); None refuses them.
        classes: Values that are united instead, see `Reading`.

    Returns:
        Bool array of shape (H, W).

    Raises:
        DicomError: Not a greyscale image; the message names the file, likewise below.
        MaskError: Other values than 0 and one more without a threshold or a class; a palette or
            an alpha channel that says something else than the grey values.
    """
    layers = read_layers(path)
    _check_palette(path, layers)
    _check_alpha(path, layers)
    grey = layers.grey
    reading = Reading(threshold=threshold, classes=classes)
    return mask_of_values(path.name, grey, reading, np.iinfo(grey.dtype).max)


def _check_palette(path: Path, layers: Layers) -> None:
    if layers.palette is None:
        return
    num_used = len(np.unique(layers.palette))
    num_shown = len(np.unique(layers.grey))
    if num_used != num_shown:
        raise MaskError(
            f"{path.name}: palette: found {num_used} places with {num_shown} colours, expected a "
            "colour for each; write the mask in grey values"
        )


def _check_alpha(path: Path, layers: Layers) -> None:
    """Refuse a mask that stands in its alpha channel, unless the grey values repeat it."""
    if layers.alpha is None:
        return
    is_even = layers.alpha.min() == layers.alpha.max() > 0
    if not is_even and not np.array_equal(layers.alpha > 0, layers.grey > 0):
        raise MaskError(
            f"{path.name}: alpha: found transparency that differs from the grey values, expected "
            "none; write the mask without it"
        )
