"""One case as a picture: truth outlined green, prediction outlined orange.

The two outlines differ in more than colour (the prediction's is dashed) and lie just outside the
regions, so that neither hides what it encloses. Pure functions of arrays.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRUTH_RGB = (0, 200, 130)
PREDICTION_RGB = (255, 150, 0)
_DASH_PX = 5
#: White between the whole image and the close-up.
GAP_PX = 6


def thumbnail(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    size: int = 360,
) -> NDArray[np.uint8]:
    """The whole image and, beside it, a close-up of what matters.

    Args:
        image: Grey values, bright is dense, shape (H, W).
        truth: True mask, shape (H, W).
        prediction: Predicted mask, shape (H, W).
        size: Side of each of the two pictures in pixels.

    Returns:
        RGB, shape (size, 2 * size + GAP_PX, 3). Without any region the close-up
        repeats the whole image.
    """
    whole = _square((0, 0, *image.shape))
    left, right = (
        _picture(image, truth, prediction, box, size)
        for box in (whole, _close_up(truth | prediction))
    )
    gap = np.full((size, GAP_PX, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def _picture(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    box: tuple[int, int, int, int],
    size: int,
) -> NDArray[np.uint8]:
    grey = _resized(_crop(_eight_bit(image), box), size)
    rgb = np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    rows, columns = np.indices((size, size))
    dashes = (rows + columns) // _DASH_PX % 2 == 0
    rgb[_outline(_shrunk(truth, box, size))] = TRUTH_RGB
    rgb[_outline(_shrunk(prediction, box, size)) & dashes] = PREDICTION_RGB
    return rgb


def _eight_bit(image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
    values = image.astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    scaled: NDArray[np.float32] = np.clip((values - low) / max(float(high - low), 1.0), 0, 1)
    return scaled * np.float32(255)


def _square(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The smallest square around a box (top, left, bottom, right), it may leave the image."""
    top, left, bottom, right = box
    side = max(bottom - top, right - left)
    top -= (side - (bottom - top)) // 2
    left -= (side - (right - left)) // 2
    return top, left, top + side, left + side


def _close_up(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """A square around the region with a margin, at least a quarter of the image wide."""
    height, width = region.shape
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if rows.size == 0:
        return _square((0, 0, height, width))
    margin = max(height, width) // 32
    top, bottom = int(rows[0]) - margin, int(rows[-1]) + 1 + margin
    left, right = int(columns[0]) - margin, int(columns[-1]) + 1 + margin
    short = max(0, max(height, width) // 4 - max(bottom - top, right - left))
    return _square((top - short // 2, left - short // 2, bottom + short // 2, right + short // 2))


def _crop(values: NDArray[np.float32], box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """A box of an image; black where it leaves the image."""
    top, left, bottom, right = box
    height, width = values.shape
    cropped = np.zeros((bottom - top, right - left), np.float32)
    part = values[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    y, x = max(0, -top), max(0, -left)
    cropped[y : y + part.shape[0], x : x + part.shape[1]] = part
    return cropped


def _resized(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    method = Image.Resampling.LANCZOS if size < len(values) else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(values).resize((size, size), method))


def _shrunk(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int], size: int
) -> NDArray[np.bool_]:
    """A mask in a picture; a region too small for a pixel keeps its largest one."""
    share = np.asarray(
        Image.fromarray(_crop(mask.astype(np.float32), box)).resize(
            (size, size), Image.Resampling.BOX
        )
    )
    return share >= min(0.5, float(share.max())) if share.max() > 0 else np.zeros_like(share, bool)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Two pixels wide, just outside the region."""
    return _grown(_grown(mask)) & ~mask


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def data_uri(picture: NDArray[np.uint8]) -> str:
    """An RGB picture as a JPEG inside an address, for a page without files beside it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
