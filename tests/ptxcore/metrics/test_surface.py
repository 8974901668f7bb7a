"""Distances between outlines in closed form, by an independent count, and what a miss costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from ptxcore.errors import MaskError, SettingsError
from ptxcore.metrics import build_table, measure_surface, summarize_surfaces

ROW, COLUMN = np.mgrid[:96, :128]
EMPTY = np.zeros((96, 128), dtype=np.bool_)


def square(y: int, x: int, side: int = 20) -> NDArray[np.bool_]:
    mask = EMPTY.copy()
    mask[y : y + side, x : x + side] = True
    return mask


def disk(y: int, x: int, radius: float) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (ROW - y) ** 2 + (COLUMN - x) ** 2 <= radius**2
    return found


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.5), (0.2, 0.7)])
def test_a_shifted_square_is_off_by_its_shift_times_the_spacing(
    spacing: tuple[float, float],
) -> None:
    down = measure_surface(square(35, 30), square(30, 30), spacing)
    across = measure_surface(square(30, 35), square(30, 30), spacing)
    assert down[0] == pytest.approx(5 * spacing[0])
    assert across[0] == pytest.approx(5 * spacing[1])
    assert down[2] == pytest.approx(math.hypot(96 * spacing[0], 128 * spacing[1]))


def test_disks_about_one_centre_are_apart_by_their_radii() -> None:
    outer, inner = disk(48, 60, 30), disk(48, 60, 20)
    distance, _, _ = measure_surface(outer, inner, (0.3, 0.3))
    assert distance == pytest.approx(3.0, abs=0.3)
    for tolerance, expected in ((2.5, 0.0), (3.5, 1.0)):
        assert measure_surface(outer, inner, (0.3, 0.3), tolerance_mm=tolerance)[1] == expected


def test_the_same_mask_is_right_at_no_tolerance() -> None:
    assert measure_surface(disk(40, 40, 9), disk(40, 40, 9), (0.1, 0.2), tolerance_mm=0)[:2] == (
        0,
        1,
    )


def test_equal_to_dense_distance_maps_of_the_whole_image() -> None:
    rng = np.random.default_rng(7)
    for _ in range(5):
        y, x = (int(value) for value in rng.integers(0, 90, 2))
        one, other = disk(y, x, 14), disk(50, 60, 25) | disk(95, 127, 6)
        edges = [mask & ~binary_erosion(mask) for mask in (one, other)]
        maps = [distance_transform_edt(~edge, sampling=(0.4, 0.9)) for edge in edges]
        ways = [np.percentile(maps[1][edges[0]], 95), np.percentile(maps[0][edges[1]], 95)]
        assert measure_surface(one, other, (0.4, 0.9))[0] == pytest.approx(max(ways), rel=1e-5)


def test_a_miss_and_a_false_alarm_stay_in_the_mean() -> None:
    spacing, diagonal = (0.5, 0.5), 80.0  # 0.5 * hypot(96, 128)
    pairs = [(EMPTY, square(9, 9)), (square(9, 9), EMPTY), (EMPTY, EMPTY), (square(9, 9),) * 2]
    found = [measure_surface(*pair, spacing) for pair in pairs]
    assert found == [(diagonal, 0, diagonal)] * 2 + [(0, 1, diagonal)] * 2
    unknown = measure_surface(EMPTY, square(9, 9), None)
    assert all(map(math.isnan, unknown))
    counts = np.zeros(256, dtype=np.int64)
    rows = [(counts + truth.any(), counts + 1) for _, truth in [*pairs, pairs[0]]]
    table = build_table([*"abcde"], rows, surfaces=[*found, unknown])
    assert summarize_surfaces(table) == pytest.approx(
        {
            "surface_dice": 0.5,
            "surface_dice_positive": 0.5,
            "hausdorff95_mm": 40.0,
            "hausdorff95_positive_mm": 40.0,
            "surface_dice_all_empty": 0.5,
            "surface_dice_positive_all_empty": 0.0,
            "hausdorff95_mm_all_empty": 40.0,
            "hausdorff95_positive_mm_all_empty": 80.0,
            "num_with_spacing": 4,
        }
    )


def test_bad_input_is_refused() -> None:
    with pytest.raises(MaskError, match="expected bool of one shape"):
        measure_surface(EMPTY, EMPTY[:5], (1, 1))
    with pytest.raises(SettingsError, match="tolerance_mm: found -1"):
        measure_surface(EMPTY, EMPTY, (1, 1), tolerance_mm=-1)
    with pytest.raises(SettingsError, match="spacing_mm: found"):
        measure_surface(EMPTY, EMPTY, (0, 1))
