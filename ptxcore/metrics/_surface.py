"""Distances between outlines in millimetres, measured once per case where pixels have a size.

They need the outline itself, so they cannot be derived from the histograms: a table holds them for
the one rule that they were measured under.

Distances come from MONAI: marching squares for the length of outlines (without it a pixel of a
slanted outline weighs as much as one of a straight one), k-d trees between outlines (0.05 to
0.6 s for a pair of discs at 1024 x 1024 px, more where outlines are ragged), and it is in use here
already. Its answers to empty masks, NaN and infinity, are replaced: means would lose exactly the
misses.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import MaskError, SettingsError
from ptxcore.types import CaseTable

#: Outlines at most this far apart agree: our choice, not a measured distance between readers.
TOLERANCE_MM = 2.0
#: Pixels around both masks that are looked at; MONAI pads by one more.
_MARGIN_PX = 2


def measure_surface(
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: tuple[float, float] | None,
    *,
    tolerance_mm: float = TOLERANCE_MM,
) -> tuple[float, float, float]:
    """Distance of the outlines of one case.

    The 95% Hausdorff distance is the larger of both directions' 95th percentiles of the distances
    from edge pixels to the other mask's edge pixels (Huttenlocher et al. 1993; Taha and Hanbury
    2015). Surface Dice is the share of both outlines' length that lies within the tolerance of the
    other (Nikolov et al. 2018, arXiv:1809.04430).

    Args:
        predicted: Shape (H, W), bool.
        truth: Shape (H, W), bool, on the same grid.
        spacing_mm: Height and width of a pixel, above 0; None where unknown.
        tolerance_mm: 0 or more.

    Returns:
        Hausdorff distance in mm, surface Dice in [0, 1], and the diagonal of the image in mm. Both
        masks empty: 0 and 1. One of them empty, a miss or a false alarm: the diagonal and 0. All
        NaN without spacing.

    Raises:
        MaskError: The shapes differ, or a mask is not bool.
        SettingsError: The tolerance or the spacing is out of its range.
    """
    if predicted.shape != truth.shape or {predicted.dtype, truth.dtype} != {np.dtype(np.bool_)}:
        raise MaskError(
            f"masks: found {predicted.dtype} of shape {predicted.shape} and {truth.dtype} of shape "
            f"{truth.shape}, expected bool of one shape"
        )
    if not 0 <= tolerance_mm < math.inf:
        raise SettingsError(f"tolerance_mm: found {tolerance_mm}, expected 0 or more")
    if spacing_mm is None:
        return math.nan, math.nan, math.nan
    if not all(0 < side < math.inf for side in spacing_mm):
        raise SettingsError(f"spacing_mm: found {spacing_mm}, expected two sizes above 0")
    height, width = truth.shape
    diagonal = math.hypot(height * spacing_mm[0], width * spacing_mm[1])
    if not predicted.any() or not truth.any():
        is_same = not predicted.any() and not truth.any()
        return (0.0 if is_same else diagonal), float(is_same), diagonal
    distance, dice = _outlines(*_crop(predicted, truth), spacing_mm, tolerance_mm)
    return distance, dice, diagonal


def summarize_surfaces(table: CaseTable) -> dict[str, float]:
    """Means of what `measure_surface` gave, under the rule that the table was measured with.

    Args:
        table: Table of N cases; those without spacing are left out, and `num_with_spacing` says how
            many are in.

    Returns:
        Values by the names of `CONVENTIONS`; empty for a table without distances.
    """
    if table.surfaces is None:
        return {}
    known = ~np.isnan(table.surfaces[:, 2])
    distance, dice, diagonal = table.surfaces[known].T
    positive = table.truth[known].sum(1) > 0
    return {
        "surface_dice": _mean(dice),
        "surface_dice_positive": _mean(dice[positive]),
        "hausdorff95_mm": _mean(distance),
        "hausdorff95_positive_mm": _mean(distance[positive]),
        "surface_dice_all_empty": _mean((~positive).astype(np.float64)),
        "surface_dice_positive_all_empty": 0.0,
        "hausdorff95_mm_all_empty": _mean(np.where(positive, diagonal, 0.0)),
        "hausdorff95_positive_mm_all_empty": _mean(diagonal[positive]),
        "num_with_spacing": float(np.count_nonzero(known)),
    }


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _crop(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Both masks around what is in either: edges and distances are the same, the work is not."""
    either = predicted | truth
    part = []
    for axis in (1, 0):
        (places,) = np.nonzero(either.any(axis))
        part.append(slice(max(0, places[0] - _MARGIN_PX), places[-1] + 1 + _MARGIN_PX))
    # The frame keeps the image's border an edge like any other.
    return np.pad(predicted[tuple(part)], _MARGIN_PX), np.pad(truth[tuple(part)], _MARGIN_PX)


def load_distances() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """MONAI's Hausdorff distance and surface Dice; importing it takes seconds."""
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_dice import compute_surface_dice

    return compute_hausdorff_distance, compute_surface_dice


def _outlines(
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    tolerance_mm: float,
) -> tuple[float, float]:
    import torch

    compute_hausdorff_distance, compute_surface_dice = load_distances()
    found, expected = (
        torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (predicted, truth)
    )
    options: dict[str, Any] = {"include_background": True, "spacing": list(spacing_mm)}
    with warnings.catch_warnings():  # MONAI 1.6 warns of its own call
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        distance = compute_hausdorff_distance(found, expected, percentile=95, **options)
        dice = compute_surface_dice(found, expected, [tolerance_mm], use_subvoxels=True, **options)
    return float(distance), float(dice)
