from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxcore.data.formats import rle_table
from ptxcore.data.resample import METHODS
from ptxcore.data.studies.fidelity import RETURNS, dice_after_round_trip, round_trip, study
from ptxcore.errors import DataError, MaskError, SettingsError


def block(first: int, last: int, size: int = 64) -> np.ndarray:
    """A square from `first` up to `last` on both axes."""
    mask = np.zeros((size, size), dtype=np.bool_)
    mask[first:last, first:last] = True
    return mask


def test_blocks_along_the_coarse_grid_lose_nothing_by_area_and_nearest() -> None:
    mask = block(16, 32)
    assert dice_after_round_trip(mask, 16, "area")[RETURNS.index("nearest")] == 1.0
    assert dice_after_round_trip(mask, 16, "nearest")[RETURNS.index("nearest")] == 1.0


def test_a_square_by_hand() -> None:
    """Of 6 x 6 px at 1..7 each of four 4 x 4 blocks holds 9 of 16, so that 8 x 8 px return."""
    found = dice_after_round_trip(block(1, 7), 16, "area")[RETURNS.index("nearest")]
    assert found == pytest.approx(2 * 36 / (36 + 64))


def test_what_is_smaller_than_half_a_pixel_vanishes() -> None:
    assert dice_after_round_trip(block(16, 18), 8, "area") == (0.0, 0.0)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_part_around_a_mask_gives_what_the_whole_gives(data: st.DataObject) -> None:
    top, left = data.draw(st.integers(0, 200)), data.draw(st.integers(0, 200))
    height, width = data.draw(st.integers(1, 56)), data.draw(st.integers(1, 56))
    size, method = data.draw(st.sampled_from([128, 64, 32])), data.draw(st.sampled_from(METHODS))
    mask = np.zeros((256, 256), dtype=np.bool_)
    mask[top : top + height, left : left + width] = True
    whole = tuple(
        2 * np.count_nonzero(mask & back) / (mask.sum() + np.count_nonzero(back))
        for back in round_trip(mask, size, method)
    )
    assert dice_after_round_trip(mask, size, method) == pytest.approx(whole, abs=0.01)


def test_quarters_vanished_and_both_means() -> None:
    masks = [block(8, 8 + side) for side in (1, 4, 8, 40)] + [np.zeros((64, 64), dtype=np.bool_)]
    found = study([lambda m=m: m for m in masks], sizes=[8], methods=["area"])
    assert (found.num_cases, found.num_positive) == (5, 4)
    nearest = next(row for row in found.rows if row.back == "nearest")
    # One pixel of 64 is gone; 4 x 4 of 8 x 8 is a quarter, gone too; the others fit the grid.
    assert nearest.dice_quartiles == (0.0, 0.0, 1.0, 1.0)
    assert nearest.vanished == 0.5
    assert nearest.dice_positive == 0.5
    assert nearest.dice == pytest.approx(3 / 5)
    assert found.best(8) in found.rows


def test_sides_that_are_no_multiple_are_taken_whole() -> None:
    mask = np.zeros((100, 70), dtype=np.bool_)
    mask[20:60, 10:50] = True
    for dice in dice_after_round_trip(mask, 33, "lanczos"):
        assert 0.9 < dice < 1


def test_refusals() -> None:
    empty = [lambda: np.zeros((64, 64), dtype=np.bool_)]
    with pytest.raises(DataError, match="found none with a pixel"):
        study(empty, sizes=[8])
    with pytest.raises(DataError, match="expected more than 64 px"):
        study(empty, sizes=[64])
    with pytest.raises(SettingsError, match="found 'cubic'"):
        study(empty, methods=["cubic"])
    with pytest.raises(SettingsError, match="at least one size"):
        study(empty, sizes=[])


def test_compressed_csv(tmp_path: Path) -> None:
    file = tmp_path / "masks.csv.gz"
    file.write_bytes(gzip.compress(b"ImageId, EncodedPixels\na, 2 3\nb, -1\n"))
    assert rle_table.read_csv(file) == {"a": ["2 3"], "b": []}
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(MaskError, match="not a readable gzip file"):
        rle_table.read_csv(file)
