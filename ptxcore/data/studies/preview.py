"""A sheet that shows what training makes of patches: one row a case, one column a draw.

The pictures are the arrays that `PatchSampler` hands to the network, not a copy of its steps, so
the sheet cannot differ from training. A sheet names no case: rows are numbered as they come.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from ptxcore.data.patches.sampler import PatchSampler
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings

#: Strengths that every sheet shows beside the one of the settings.
STRENGTHS = (0.5, 1.0)
TILE_PX = 192
OUTLINE_RGB = (255, 150, 0)
#: How to read a sheet.
LEGEND = (
    "orange: outline of the true mask; a row is one place in one case, in the same shades of grey"
)
_GAP_PX = 4
_LINE_PX = 16
_TEXT_PX = 12
#: Places to look for a mask in; at the default half of the crops of a positive case are centred on
#: it. A sheet at a `foreground_share` of 0 may show none.
_TRIES = 20
#: The settings that decide what a patch looks like.
_SHOWN = (
    "image_size",
    "resampling",
    "patch_size",
    "augmentation_strength",
    "elastic_px",
    "grid_distortion_px",
)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One patch of a sheet.

    Attributes:
        row: Zero-based; a row is a case.
        strength: Strength of the augmentation; 0 is the plain patch.
        is_positive: Whether the whole case has a mask.
        image: Image, as the network gets it, float32 of shape (P, P).
        target: Covered share of each pixel in [0, 1], same shape.
    """

    row: int
    strength: float
    is_positive: bool
    image: NDArray[np.float32]
    target: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """All patches of a sheet.

    Attributes:
        rows: Rows by case; the plain patch first, then every draw at every strength, weaker first.
        captions: Lines above the pictures: the settings, what each strength does, how to read it.
    """

    rows: tuple[tuple[Tile, ...], ...]
    captions: tuple[str, ...]


def preview(
    store: CaseStore, settings: FoldSettings, *, seed: int, num_cases: int = 4, num_draws: int = 2
) -> Preview:
    """Draw the patches of a sheet; half of the cases, rounded up, are positive where there are any.

    Args:
        store: Where the cases are.
        settings: Settings of training; their `augmentation_strength` is shown beside `STRENGTHS`.
        seed: 0 to 2^63 - 1; same seed, same sheet.
        num_cases: Number of cases, at least 1; fewer where the store has fewer.
        num_draws: Augmented draws at each strength, at least 1. Strengths share their seeds: a
            column at half strength shows what its twin at full strength shows.

    Raises:
        StoreError: The store is damaged, or the grid of the settings cannot be made.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    names = [case.case_id for case in store.cases]
    own = settings.augmentation_strength
    strengths = sorted({*STRENGTHS, own} - {0.0})
    samplers = [
        PatchSampler(
            store,
            names,
            dataclasses.replace(settings, augmentation_strength=strength, hard_negative_share=0.0),
            seed=seed,
        )
        for strength in (0.0, *strengths)
    ]
    rows = []
    for row, case in enumerate(_chosen(store, num_cases, rng)):
        corner = _corner(samplers[0], case, rng)
        seeds = [int(number) for number in rng.integers(2**63, size=num_draws)]
        tiles = []
        for sampler in samplers:
            strength = sampler.augmentation.strength
            for draw in seeds if strength else seeds[:1]:
                channels, target = sampler.patch(case, corner, seed=draw)
                tiles.append(
                    Tile(
                        row=row,
                        strength=strength,
                        is_positive=store.cases[case].is_positive,
                        image=channels[0],
                        target=target,
                    )
                )
        rows.append(tuple(tiles))
    return Preview(rows=tuple(rows), captions=_captions(settings, samplers))


def _chosen(store: CaseStore, number: int, rng: np.random.Generator) -> list[int]:
    positive = [i for i, case in enumerate(store.cases) if case.is_positive]
    negative = [i for i, case in enumerate(store.cases) if not case.is_positive]
    rng.shuffle(positive)
    rng.shuffle(negative)
    half = max((number + 1) // 2, number - len(negative))
    first = positive[:half]
    return first + negative[: number - len(first)]


def _corner(plain: PatchSampler, case: int, rng: np.random.Generator) -> tuple[int, int]:
    """A place that training could draw; of a positive case one that shows some of its mask."""
    for _ in range(_TRIES):
        corner = plain.corner(case, rng)
        if plain.patch(case, corner, seed=0)[1].any():
            break
    return corner


def _captions(settings: FoldSettings, samplers: Sequence[PatchSampler]) -> tuple[str, ...]:
    values = ", ".join(f"{name} {getattr(settings, name)}" for name in _SHOWN)
    marks = [
        sampler.augmentation.describe()
        + (" (these settings)" if sampler.augmentation.strength == own else "")
        for sampler in samplers
        for own in (settings.augmentation_strength,)
    ]
    return (values, *marks, LEGEND)


def draw_sheet(found: Preview, *, tile_px: int = TILE_PX) -> Image.Image:
    """The patches as one picture with the masks outlined, grey values alike within a row.

    Args:
        found: Result from `preview`.
        tile_px: Side of one patch on the sheet, at least 32.

    Returns:
        An RGB picture without any metadata.
    """
    first = found.rows[0]
    head = _LINE_PX * (len(found.captions) + 1) + 2 * _GAP_PX
    step = tile_px + _GAP_PX
    pen_font = ImageFont.load_default(_TEXT_PX)
    widest = max(pen_font.getlength(line) for line in found.captions)
    size = (
        max(len(first) * step, int(widest) + 2 * _GAP_PX),
        head + len(found.rows) * (step + _LINE_PX),
    )
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(found.captions):
        pen.text((_GAP_PX, _GAP_PX + number * _LINE_PX), line, fill="black", font=pen_font)
    for column, tile in enumerate(first):
        text = f"strength {tile.strength:g}" if tile.strength else "plain"
        pen.text((column * step + 2, head - _LINE_PX), text, fill="black", font=pen_font)
    for row, tiles in enumerate(found.rows):
        top = head + row * (step + _LINE_PX)
        kind = "positive" if tiles[0].is_positive else "negative"
        pen.text((2, top + tile_px), f"row {row + 1}, {kind} case", fill="black", font=pen_font)
        low, high = _window(tiles)
        for column, tile in enumerate(tiles):
            picture = outlined(tile.image, tile.target, low=low, high=high, side_px=tile_px)
            sheet.paste(Image.fromarray(picture), (column * step, top))
    return sheet


def _window(tiles: Sequence[Tile]) -> tuple[float, float]:
    """Values drawn black and white: those of the darkest and the brightest patch of a row, so that
    white is never an artefact of the drawing.
    """
    spans = np.array([np.percentile(tile.image, (1, 99)) for tile in tiles])
    return float(spans[:, 0].min()), float(spans[:, 1].max())


def outlined(
    image: NDArray[np.float32],
    target: NDArray[np.float32],
    *,
    low: float,
    high: float,
    side_px: int,
) -> NDArray[np.uint8]:
    """A patch in grey with the border of its mask in colour.

    Args:
        image: Shape (P, P), in any unit.
        target: Covered share of each pixel in [0, 1], same shape; from one half on it counts.
        low: Value that is drawn black.
        high: Value that is drawn white.
        side_px: Side of the picture.

    Returns:
        RGB, uint8 of shape (side_px, side_px, 3).
    """
    size = (side_px, side_px)
    span = max(high - low, 1e-6)
    grey = np.clip((image - low) / span, 0, 1).astype(np.float32)
    shown = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
    share = np.asarray(Image.fromarray(target).resize(size, Image.Resampling.BILINEAR))
    picture = np.repeat(np.rint(shown * 255).astype(np.uint8)[..., None], 3, axis=2)
    inside = share >= 0.5
    picture[inside & ~binary_erosion(inside)] = OUTLINE_RGB
    return picture
