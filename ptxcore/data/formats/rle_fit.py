"""Which dialect a table of run-length encodings is in, told by what fits its images.

A mask is of one piece, so each line of it lies beside the line before: shifted by the length of a
line, nearly all of it meets itself. At the true length that share is 0.98 over the masks of
SIIM-ACR, 0.93 at one that is 4 px off, and at most 0.7 at one 2% off. So a table that was made at
another resolution, or along rows, shows it, although its numbers fit the images. Where two
readings fit, the user is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.rle import SIIM, Dialect, runs_of
from ptxcore.data.formats.rle_table import Table
from ptxcore.errors import MaskError

#: Lines that tables of resized images have.
_USUAL_SIDES = (
    128, 224, 256, 299, 300, 320, 384, 400, 448, 480, 500, 512, 600, 640, 768, 800, 896, 960, 1000,
    1024, 1200, 1280, 1500, 1536, 1600, 1920, 2000, 2048, 2500, 3000, 3072, 4096,
)  # fmt: skip
#: Share of a mask that meets itself one line on: what a true length reaches, and by how much it
#: beats a false one.
_LINED_UP, _CLEARLY = 0.8, 0.05
#: Encodings that are looked at, and runs without which nothing can be told.
_MOST, _FEWEST_RUNS = 300, 12
#: More than any line has.
_APART = 2**16
#: Lengths nearer than that to an image's own are not told apart.
_NEAR = 0.02

_BOTH_ORDERS = (
    "; and --rle-order column (as these) or row, which images that are squares do not tell"
)

Runs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a user says of a table; None leaves it to what fits.

    Attributes:
        grid: See `Dialect`, likewise the rest.
        by_row: Along rows.
        base: Number of the first pixel.
        is_absolute: Absolute starts.
    """

    grid: tuple[int, int] | None = None
    by_row: bool | None = None
    base: int | None = None
    is_absolute: bool | None = None


@dataclass(frozen=True, kw_only=True)
class _Encoding:
    """Pairs of one row, and the grid that they are counted on."""

    values: NDArray[np.int64]
    grid: tuple[int, int]

    def fits(self, dialect: Dialect) -> bool:
        starts, stops = runs_of(self.values, dialect)
        is_inside = starts[0] >= 0 and stops[-1] <= self.grid[0] * self.grid[1]
        return bool(is_inside and (starts[1:] >= stops[:-1]).all())


def dialect_of(table: Table, shapes: Mapping[str, tuple[int, int]], asked: Asked) -> Dialect:
    """The dialect of a table.

    Args:
        table: Its rows.
        shapes: Height and width of the images, by the ids of the table.
        asked: What is known of it.

    Raises:
        MaskError: Two dialects fit and give other masks, or the masks line up on another grid than
            that of their images.
    """
    sample = list(_sample(table, shapes, asked.grid))
    dialect = _with_starts(table.name, sample, asked)
    runs = [(runs_of(encoding.values, dialect), encoding.grid) for encoding in sample]
    dialect = replace(dialect, by_row=_is_by_row(table.name, runs, dialect, asked))
    _refuse_other_grids(table.name, runs, dialect)
    return dialect


def _sample(
    table: Table, shapes: Mapping[str, tuple[int, int]], grid: tuple[int, int] | None
) -> Iterable[_Encoding]:
    number = 0
    for image_id, shape in shapes.items():
        for text in table.rows.get(image_id, ()):
            try:
                values = np.array(text.split(), dtype=np.int64).reshape(-1, 2)
            except (ValueError, OverflowError):
                continue  # decoding says what is wrong with it, and where
            if not len(values) or values.min() < 0 or values.max() > 2**31:
                continue
            yield _Encoding(values=values, grid=grid or shape)
            number += 1
            if number == _MOST:
                return


def _with_starts(name: str, sample: list[_Encoding], asked: Asked) -> Dialect:
    """Relative or absolute, from 0 or from 1."""
    readings = [
        Dialect(grid=asked.grid, base=base, is_absolute=is_absolute)
        for is_absolute in (False, True)
        # Gaps are counted from the first pixel unless somebody says otherwise.
        for base in ((0, 1) if is_absolute else (asked.base or 0,))
        if asked.is_absolute in (None, is_absolute) and asked.base in (None, base)
    ]
    fitting = [d for d in readings if all(encoding.fits(d) for encoding in sample)]
    if not fitting:  # decoding says which row does not fit
        return readings[0] if asked.is_absolute is not None else replace(SIIM, grid=asked.grid)
    first, *others = fitting
    # One run alone is where it is, whether it is called a gap or a start.
    if not others or (not first.is_absolute and not _differ(first, others[0], sample)):
        return first
    if not first.is_absolute:
        # Read wrongly, the runs of a mask do not lie beside each other.
        relative, absolute = _own_score(first, sample), _own_score(others[0], sample)
        if relative >= _LINED_UP and relative > absolute + _CLEARLY:
            return first
        if absolute < _LINED_UP or absolute < relative + _CLEARLY:
            raise MaskError(
                f"{name}: found numbers that fit as gaps behind the run before and as starts in "
                "the whole image, expected one of the two; give --rle-starts relative (SIIM-ACR) "
                "or --rle-starts absolute"
            )
        fitting = others
    if len(fitting) > 1:
        raise MaskError(
            f"{name}: found absolute starts that fit when the first pixel is number 0 and when it "
            "is number 1, expected one of the two; give --rle-base 0, or --rle-base 1 as Kaggle's "
            "tables have" + (_BOTH_ORDERS if asked.by_row is None and _are_square(sample) else "")
        )
    return fitting[0]


def _are_square(sample: list[_Encoding]) -> bool:
    return all(abs(e.grid[0] - e.grid[1]) <= _NEAR * min(e.grid) for e in sample)


def _differ(one: Dialect, other: Dialect, sample: list[_Encoding]) -> bool:
    return any(
        not np.array_equal(runs_of(e.values, one)[0], runs_of(e.values, other)[0]) for e in sample
    )


def _own_score(dialect: Dialect, sample: list[_Encoding]) -> float:
    runs = [(runs_of(encoding.values, dialect), encoding.grid) for encoding in sample]
    return max(
        _score([own for own, _ in runs], [grid[axis] for _, grid in runs]) for axis in (0, 1)
    )


def _is_by_row(
    name: str, runs: list[tuple[Runs, tuple[int, int]]], dialect: Dialect, asked: Asked
) -> bool:
    if asked.by_row is not None:
        return asked.by_row
    if not runs or all(len(starts) == 1 and starts[0] == 0 for (starts, _), _ in runs):
        return False
    uneven = [(own, grid) for own, grid in runs if abs(grid[0] - grid[1]) > _NEAR * min(grid)]
    if _is_enough([own for own, _ in uneven]):
        down, along = (
            _score([own for own, _ in uneven], [grid[axis] for _, grid in uneven])
            for axis in (0, 1)
        )
        if max(down, along) >= _LINED_UP and abs(down - along) > _CLEARLY:
            return along > down
    if not dialect.is_absolute:
        return False  # relative gaps are SIIM-ACR's, down columns
    raise MaskError(
        f"{name}: found absolute starts that fit down columns and along rows, expected one of the "
        "two; give --rle-order column (as Kaggle's tables have) or --rle-order row"
    )


def _refuse_other_grids(
    name: str, runs: list[tuple[Runs, tuple[int, int]]], dialect: Dialect
) -> None:
    known = [
        (own, grid[1 if dialect.by_row else 0])
        for own, grid in runs
        if 2 * (own[1] - own[0]).sum() <= grid[0] * grid[1]  # inverted masks meet themselves anyhow
    ]
    if not _is_enough([own for own, _ in known]):
        return
    masks, lengths = [own for own, _ in known], [length for _, length in known]
    longest = max(int((stops - starts).max()) for starts, stops in masks)
    joined, num_masks = _joined(masks), len(masks)
    mine = _share_met(joined, np.array(lengths))
    parts = {min(lengths) // part for part in (2, 3, 4)} if len(set(lengths)) == 1 else set()
    for side in sorted({*_USUAL_SIDES, *parts}):
        is_near = any(abs(side - length) <= max(3, _NEAR * length) for length in lengths)
        if side < longest or is_near:
            continue
        # One line on in two is one line in four, nearly as good: the shorter one is the true one.
        margin = 0.0 if any(length % side == 0 for length in lengths) else _CLEARLY
        score = _share_met(joined, np.full(num_masks, side))
        if score >= _LINED_UP and score > mine + margin:
            line, lines = ("row", "columns") if dialect.by_row else ("column", "rows")
            shown = f"{min(lengths)}" if len(set(lengths)) == 1 else "those of the images"
            raise MaskError(
                f"{name}: found masks whose runs lie beside each other where a {line} has {side} "
                f"px, not {shown}: the table was made on a grid of {side} {lines}, and would land "
                f"elsewhere in these images; give that grid, as with --rle-size {side}, or "
                "--rle-size HEIGHTxWIDTH where it was no square"
            )


def _is_enough(masks: list[Runs]) -> bool:
    return sum(len(starts) for starts, _ in masks) >= _FEWEST_RUNS


def _score(masks: list[Runs], lengths: list[int]) -> float:
    """Share of all masked pixels that are masked one line further on as well."""
    return _share_met(_joined(masks), np.array(lengths))


def _joined(masks: list[Runs]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Starts and stops of all masks in a row, and which mask each is of; none of runs that overlap.

    They are so far apart that no line of one reaches into the next.
    """
    known = [
        (number, starts, stops)
        for number, (starts, stops) in enumerate(masks)
        if not (starts[1:] < stops[:-1]).any()
    ]
    if not known:
        return (np.zeros(0, dtype=np.int64),) * 3
    begins = np.cumsum([0, *(int(stops[-1]) + _APART for _, _, stops in known[:-1])])
    starts, stops = (
        np.concatenate([own[which] + begin for own, begin in zip(known, begins, strict=True)])
        for which in (1, 2)
    )
    return starts, stops, np.repeat([own[0] for own in known], [len(own[1]) for own in known])


def _share_met(
    joined: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    lengths: NDArray[np.int64],
) -> float:
    """As `_score`, with a line's length for each mask."""
    starts, stops, which = joined
    if not len(starts):
        return 0.0
    ends = np.cumsum(stops - starts)
    places = np.column_stack([starts, stops]).ravel()
    inside = np.column_stack([ends - (stops - starts), ends]).ravel()
    shifts = lengths[which]
    until = np.interp(stops + shifts, places, inside)
    met = float((until - np.interp(starts + shifts, places, inside)).sum())
    return met / float(ends[-1]) if ends[-1] else 0.0
