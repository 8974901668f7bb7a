"""A sheet of imported cases with the outlines of their masks: shifted or mirrored masks are seen.

It names nobody and no case: what stands under a picture is counted or measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from ptxcore.data.resample import resize, target_shape, threshold_mask
from ptxcore.data.store.case_store import Case, CaseStore

NUM_CASES, _COLUMNS = 12, 4
#: Of these, so that outlines are what is mostly seen.
_NUM_WITHOUT = 3
TILE_PX = 320
OUTLINE_RGB = (255, 150, 0)
_GAP_PX, _LINE_PX, _TEXT_PX = 6, 18, 13
_LEGEND = (
    "orange: outline of the mask; cases with one from the smallest to the largest, then without"
)


def draw_import_sheet(store: CaseStore) -> Image.Image:
    """Draw twelve cases, or as many as there are.

    Those with a mask are spread over the sizes of the masks; a quarter are cases without.

    Args:
        store: An open one.

    Returns:
        An RGB picture without any metadata.
    """
    chosen = _chosen(store)
    rows = -(-len(chosen) // _COLUMNS)
    step = TILE_PX + _GAP_PX
    sheet = Image.new(
        "RGB",
        (_COLUMNS * step + _GAP_PX, 2 * _LINE_PX + rows * (step + _LINE_PX)),
        "white",
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_PX)
    pen.text((_GAP_PX, 4), f"{len(chosen)} of {len(store)} cases. {_LEGEND}", "black", font)
    for number, index in enumerate(chosen):
        left = _GAP_PX + number % _COLUMNS * step
        top = 2 * _LINE_PX + number // _COLUMNS * (step + _LINE_PX)
        picture = _picture(store.image(index), store.mask(index))
        sheet.paste(Image.fromarray(picture), (left, top))
        pen.text((left, top + TILE_PX), _caption(store.cases[index]), "black", font)
    return sheet


def _chosen(store: CaseStore) -> list[int]:
    order = sorted(range(len(store)), key=lambda index: store.cases[index].mask_px)
    without = [index for index in order if not store.cases[index].is_positive]
    positive = order[len(without) :]
    num_without = min(len(without), max(_NUM_WITHOUT, NUM_CASES - len(positive)))
    return [*_spread(positive, NUM_CASES - num_without), *_spread(without, num_without)]


def _spread(items: list[int], number: int) -> list[int]:
    if len(items) <= number:
        return items
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, number).round()]


def _caption(case: Case) -> str:
    mask = f"mask {case.mask_px:,} px ({case.mask_px / case.num_pixels:.1%})"
    view = f", {case.view}" if case.view else ""
    return f"{case.height} x {case.width} px{view}, {mask if case.is_positive else 'no mask'}"


def _picture(image: NDArray[np.generic], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Shape (h, w, 3), the longer side TILE_PX."""
    height, width = image.shape
    shape = target_shape(height, width, TILE_PX)
    small = resize(image, shape, "area")
    low, high = np.percentile(small, (0.5, 99.5))
    grey = np.clip((small - low) / max(high - low, 1e-6), 0, 1)
    picture = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    inside = threshold_mask(mask, shape, "area")
    if mask.any() and not inside.any():  # smaller than a pixel of the sheet
        inside = resize(mask, shape, "area") > 0
    picture[inside & ~binary_erosion(inside)] = OUTLINE_RGB
    return picture
