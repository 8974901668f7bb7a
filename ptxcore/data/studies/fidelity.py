"""What a mask loses on a coarser grid: the best Dice that a network working there can reach.

A network that sees an image at n pixels answers at n pixels, and its answer goes back to the grid
of the mask. Even a perfect one, which answers with the mask itself on the coarse grid, has then
lost what that grid cannot hold. This is its score: a ceiling that no training passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.parallel import in_order, num_processors
from ptxcore.data.resample import METHODS, resize, target_shape
from ptxcore.errors import DataError, SettingsError

#: Longer sides in pixels: 1024 decimated by 2, 4 and 8.
SIZES = (512, 256, 128)
#: How the answer returns: as shares between pixels, or block by block.
RETURNS = ("bilinear", "nearest")
#: Coarse pixels kept around a mask: all filters end sooner but the spline, which has decayed.
_MARGIN = 8

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """What a perfect network reaches with one filter at one size.

    Attributes:
        method: Filter on the way down.
        size: Longer side of the coarse grid in pixels.
        back: On the way up: "bilinear" (shares, cut at 0.5) or "nearest".
        dice_positive: Mean Dice over cases with a mask.
        dice: Mean over all cases; truth and answer both empty = 1.
        dice_quartiles: Mean Dice over each quarter of the cases with a mask, the smallest masks
            first; NaN for a quarter without a case.
        lowest_twentieth: 5th percentile of Dice over cases with a mask.
        vanished: Share of the cases with a mask of which nothing comes back.
    """

    method: str
    size: int
    back: str
    dice_positive: float
    dice: float
    dice_quartiles: tuple[float, float, float, float]
    lowest_twentieth: float
    vanished: float


@dataclass(frozen=True, kw_only=True)
class Study:
    """All filters at all sizes.

    Attributes:
        num_cases: Masks, the empty ones included.
        num_positive: Masks with any pixel.
        quartile_edges_px: Mask sizes between the four quarters.
        rows: Rows by size, then method, then return.
    """

    num_cases: int
    num_positive: int
    quartile_edges_px: tuple[float, float, float]
    rows: tuple[Fidelity, ...]

    def best(self, size: int) -> Fidelity:
        """The row with the highest mean Dice over cases with a mask at a size."""
        return max(
            (row for row in self.rows if row.size == size), key=lambda row: row.dice_positive
        )


def round_trip(
    mask: NDArray[np.bool_], size: int, method: str, backs: Sequence[str] = RETURNS
) -> list[NDArray[np.bool_]]:
    """A mask after it went to a coarser grid and came back.

    Args:
        mask: Shape (H, W), bool.
        size: Longer side of the coarse grid in pixels.
        method: Filter on the way down, one of `METHODS`.
        backs: Filters on the way up.

    Returns:
        For each of `backs` a bool array of shape (H, W), cut at 0.5.
    """
    small = resize(mask, target_shape(mask.shape[0], mask.shape[1], size), method)
    return [resize(small, mask.shape, back) >= 0.5 for back in backs]


def dice_after_round_trip(mask: NDArray[np.bool_], size: int, method: str) -> tuple[float, ...]:
    """Dice between a mask and what comes back of it, for each of `RETURNS`.

    Args:
        mask: Shape (H, W), bool, with at least one pixel.
        size: Longer side of the coarse grid in pixels.
        method: One of `METHODS`.
    """
    part, part_size = _around(mask, size)
    total = np.count_nonzero(part)
    return tuple(
        2 * float(np.count_nonzero(part & back)) / float(total + np.count_nonzero(back))
        for back in round_trip(part, part_size, method)
    )


def study(
    masks: Iterable[Callable[[], NDArray[np.bool_]]],
    *,
    sizes: Sequence[int] = SIZES,
    methods: Sequence[str] = METHODS,
    workers: int | None = None,
    on_case: Callable[[int], None] = lambda done: None,
) -> Study:
    """Send every mask through every filter and size.

    Args:
        masks: Each gives one mask of shape (H, W) when called, in any thread.
        sizes: Longer sides in pixels, at least 1.
        methods: Names from `METHODS`.
        workers: Threads; one per core by default.
        on_case: Called with the number of masks done.

    Raises:
        SettingsError: No such method, or a size below 1.
        DataError: No mask has a pixel, or a size is not below that of a mask.
    """
    for method in methods:
        if method not in METHODS:
            raise SettingsError(f"method: found {method!r}, expected one of {METHODS}")
    if not sizes or not methods or min(sizes) < 1:
        raise SettingsError("sizes: expected at least one size of 1 px or more, and one method")
    grid = [(size, method) for size in sizes for method in methods]

    def measure(load: Callable[[], NDArray[np.bool_]]) -> tuple[int, Floats]:
        mask = load()
        if max(mask.shape) <= max(sizes):
            raise DataError(
                f"found a mask of {mask.shape[1]} x {mask.shape[0]} px, expected more than "
                f"{max(sizes)} px: there is no coarser grid of that size; give smaller sizes "
                "(--size)"
            )
        if not mask.any():
            return 0, np.ones((len(grid), len(RETURNS)))
        found = [dice_after_round_trip(mask, size, method) for size, method in grid]
        return int(np.count_nonzero(mask)), np.array(found)

    pixels, scores = [], []
    for px, dice in in_order(measure, masks, workers or num_processors()):
        pixels.append(px)
        scores.append(dice)
        on_case(len(pixels))
    sizes_px = np.array(pixels)
    positive = sizes_px > 0
    if not positive.any():
        raise DataError("masks: found none with a pixel, expected at least one")
    every = np.stack(scores)
    edges = np.quantile(sizes_px[positive], [0.25, 0.5, 0.75])
    quarter = np.searchsorted(edges, sizes_px[positive], side="left")
    return Study(
        num_cases=len(pixels),
        num_positive=int(np.count_nonzero(positive)),
        quartile_edges_px=(float(edges[0]), float(edges[1]), float(edges[2])),
        rows=tuple(
            _row(size, method, back, every[:, place, side], positive, quarter)
            for place, (size, method) in enumerate(grid)
            for side, back in enumerate(RETURNS)
        ),
    )


def _row(
    size: int,
    method: str,
    back: str,
    dice: Floats,
    positive: NDArray[np.bool_],
    quarter: NDArray[np.int64],
) -> Fidelity:
    of_positive = dice[positive]
    quartiles = [_mean(of_positive[quarter == number]) for number in range(4)]
    return Fidelity(
        method=method,
        size=size,
        back=back,
        dice_positive=_mean(of_positive),
        dice=_mean(dice),
        dice_quartiles=(quartiles[0], quartiles[1], quartiles[2], quartiles[3]),
        lowest_twentieth=float(np.quantile(of_positive, 0.05)),
        vanished=_mean(of_positive == 0),
    )


def _mean(values: Floats | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _around(mask: NDArray[np.bool_], size: int) -> tuple[NDArray[np.bool_], int]:
    """The part of a mask where anything happens, and the size that keeps its scale.

    Cut along edges of coarse pixels, so that the filters meet the same pixels at the same places. A
    mask with sides that are no multiple of the factor stays whole.
    """
    factor, rest = divmod(max(mask.shape), size)
    if rest or mask.shape[0] % factor or mask.shape[1] % factor:
        return mask, size
    cuts = []
    for axis in (1, 0):
        found = np.flatnonzero(mask.any(axis=axis))
        first = max(0, int(found[0]) // factor - _MARGIN) * factor
        last = (int(found[-1]) // factor + 1 + _MARGIN) * factor
        cuts.append(slice(first, last))
    part = np.ascontiguousarray(mask[cuts[0], cuts[1]])
    return part, max(part.shape) // factor
