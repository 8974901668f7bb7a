"""Attention maps as a picture: the image, its mask, and one map a gate beside them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from ptxcore.errors import SettingsError

PANEL_PX = 320
MASK_RGB = (255, 150, 0)
_GAP_PX = 6
_LINE_PX = 18


def attention_sheet(
    image: NDArray[np.generic],
    mask: NDArray[np.bool_],
    maps: NDArray[np.float32],
    *,
    panel_px: int = PANEL_PX,
) -> Image.Image:
    """Draw an image with its mask outlined, then every map.

    Colours of a map (viridis, dark is low) span its own 1st to 99th percentile, because gates
    rarely use all of [0, 1]; the caption says which values those are.

    Args:
        image: Shape (H, W), bright = dense.
        mask: Same shape.
        maps: Shape (G, H, W) in [0, 1], the finest grid first, at least one.
        panel_px: Longer side of each panel, at least 64.

    Returns:
        An RGB picture of one row of G + 1 panels, without any metadata.

    Raises:
        SettingsError: The shapes differ, or there is no map.
    """
    height, width = np.shape(image)
    if mask.shape != (height, width) or maps.shape[1:] != (height, width) or not len(maps):
        raise SettingsError(
            f"attention: found maps of shape {maps.shape} and a mask of shape {mask.shape}, "
            f"expected (G, {height}, {width}) with G of 1 or more and ({height}, {width})"
        )
    scale = panel_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    panels = [(_radiograph(image, mask, size), "image and mask")]
    for level, gate in enumerate(maps):
        low, high = (float(value) for value in np.percentile(gate, (1, 99)))
        text = f"gate {level + 1}, grid / {2 ** (level + 1)}" if len(maps) > 1 else "gate"
        panels.append((_coloured(gate, low, high, size), f"{text}: {low:.2f} to {high:.2f}"))
    step = size[0] + _GAP_PX
    sheet = Image.new("RGB", (len(panels) * step - _GAP_PX, size[1] + _LINE_PX), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, (picture, text) in enumerate(panels):
        sheet.paste(Image.fromarray(picture), (column * step, 0))
        pen.text((column * step + 2, size[1] + 1), text, fill="black", font=font)
    return sheet


def _radiograph(
    image: NDArray[np.generic], mask: NDArray[np.bool_], size: tuple[int, int]
) -> NDArray[np.uint8]:
    values = np.asarray(image, np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    grey = _resized(np.clip((values - low) / max(float(high - low), 1e-6), 0, 1), size)
    picture = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    inside = _resized(mask.astype(np.float32), size) >= 0.5
    picture[inside & ~binary_erosion(inside)] = MASK_RGB
    return picture


def _coloured(
    values: NDArray[np.float32], low: float, high: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    share = _resized(np.clip((values - low) / max(high - low, 1e-6), 0, 1), size)
    grey = np.rint(share * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1])


def _resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    resized = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized)
