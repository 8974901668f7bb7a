"""Read a mask from PNG: two values, or a threshold if it was asked for.

A mask that was blurred, resampled or saved as JPEG holds values between, and several classes have
one each. Taking all that is not 0 makes a mask of 200 px one of 324 to 1,096, so nothing is taken
that was not meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.png import Layers, read_layers
from ptxcore.errors import MaskError

_MAX_SHOWN = 5


def read_png_mask(path: Path, threshold: float | None = None) -> NDArray[np.bool_]:
    """Read a mask: of two values, 0 and any other, every pixel that is not 0.

    Args:
        path: Path of the file.
        threshold: What to do with a mask of more values: every pixel that reaches this share of
            the largest value of the file's depth (255 or 65,535), in (0, 1); None refuses them.

    Returns:
        Bool array of shape (H, W).

    Raises:
        DicomError: Not a greyscale image; the message names the file, likewise below.
        MaskError: Other values than 0 and one more without a threshold, or none that reaches it;
            a palette or an alpha channel that says something else than the grey values.
    """
    layers = read_layers(path)
    _check_palette(path, layers)
    _check_alpha(path, layers)
    grey = layers.grey
    highest = grey.max()
    if not ((grey != 0) & (grey != highest)).any():
        return np.asarray(grey != 0)
    if threshold is None:
        raise MaskError(
            f"{path.name}: values: found {_shown(grey)}, expected 0 and one other; several classes "
            "need a mask of one, and soft edges --mask-threshold 0.5"
        )
    level = threshold * np.iinfo(grey.dtype).max
    if highest < level:
        raise MaskError(
            f"{path.name}: values: found {_shown(grey)}, none of which reaches {threshold:g} of "
            f"{np.iinfo(grey.dtype).max}; expected a soft mask, are they classes?"
        )
    return np.asarray(grey >= level)


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


def _shown(grey: NDArray[Any]) -> str:
    values = np.unique(grey).tolist()
    if len(values) > _MAX_SHOWN:
        return f"{len(values)} values from {values[0]} to {values[-1]}"
    return f"{', '.join(map(str, values[:-1]))} and {values[-1]}"
