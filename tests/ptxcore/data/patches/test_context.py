from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxcore.data.patches.augment import Augmentation
from ptxcore.data.patches.context import mirrored, positions, surroundings
from ptxcore.errors import SettingsError
from ptxcore.settings import FoldSettings


@given(st.integers(1, 12), st.integers(0, 30), st.integers(1, 30))
def test_indices_outside_are_those_of_a_padding_by_reflection(
    length: int, before: int, number: int
) -> None:
    padded = np.pad(np.arange(length), (before, number), mode="reflect")
    assert mirrored(-before, number, length).tolist() == padded[:number].tolist()


def test_positions_by_hand() -> None:
    found = positions(-1, 2, 3, (4, 4))
    assert found.shape == (3, 3, 2)
    assert found[:, 0, 0].tolist() == [-0.25, -0.75, -0.25]  # row 1 mirrored, then 0, 1
    assert found[0, :, 1].tolist() == [0.25, 0.75, 0.25]  # columns 2, 3, then 2 mirrored


def test_surroundings_by_hand() -> None:
    """2 x 2 px at (2, 2) of 6 x 6 seen twice as wide: rows and columns 1 to 4, in blocks of 2."""
    image = np.arange(36, dtype=np.uint8).reshape(6, 6)
    found = surroundings(image, 2, 2, 2, 2)
    assert found.tolist() == [[10.5, 12.5], [22.5, 24.5]]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(2, 5))
def test_the_view_is_centred_and_keeps_the_scale(top: int, left: int, factor: int) -> None:
    """Over a ramp the mean of the view is the value at its centre, half a pixel at most off."""
    image = np.add.outer(100.0 * np.arange(400), np.arange(400.0)).astype(np.float32)
    top, left, side = top + 150, left + 150, 16
    found = surroundings(image, top, left, side, factor)
    rows, columns = found.mean(axis=1), found.mean(axis=0)
    assert np.diff(rows) == pytest.approx(100 * factor, rel=1e-3)
    assert np.diff(columns) == pytest.approx(factor, rel=1e-2)
    centre = 100 * (top + (side - 1) / 2) + left + (side - 1) / 2
    assert found.mean() == pytest.approx(centre, abs=0.5 * 101 + 1)


def test_channels_move_with_the_mask() -> None:
    change = Augmentation(1.0, patch_px=48, image_px=96)
    side = 48 + 2 * change.margin_px
    columns = np.tile(np.arange(side, dtype=np.float32), (side, 1))
    mask = columns.astype(np.uint8)
    places = np.stack([columns.T, columns], axis=2)
    image = np.zeros((side, side), dtype=np.uint8)
    falls = 0
    for seed in range(12):
        _, changed, _, moved = change.together(image, mask, None, places, seed=seed)
        assert moved is not None
        assert moved.shape == (48, 48, 2)
        assert np.abs(moved[..., 1] - changed).max() <= 0.6  # the mask is rounded
        falls += bool(moved[24, 40, 1] < moved[24, 8, 1])
    assert 0 < falls < 12  # some are mirrored, others not


def test_companions_do_not_change_what_is_drawn() -> None:
    change = Augmentation(1.0, patch_px=32, image_px=64)
    side = 32 + 2 * change.margin_px
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (side, side), dtype=np.uint8)
    mask = rng.integers(0, 256, (side, side), dtype=np.uint8)
    for seed in range(8):
        alone = change(image, mask, seed=seed)
        places = np.zeros((side, side, 2), dtype=np.float32)
        both = change.together(image, mask, image.astype(np.float32), places, seed=seed)
        np.testing.assert_array_equal(alone[0], both[0])
        np.testing.assert_array_equal(alone[1], both[1])
        np.testing.assert_array_equal(both[0], both[2])  # the same pixels change alike


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"context_factor": 1}, "context_factor: found 1, expected 0"),
        ({"context_factor": 17}, "context_factor: found 17"),
        ({"context_factor": 4, "patch_size": 0}, "found 4 with whole images"),
        ({"context_factor": 4, "patch_size": 512, "image_size": 512}, "nothing around them"),
    ],
)
def test_refusals(values: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FoldSettings(**values)


def test_number_of_channels() -> None:
    assert FoldSettings().num_channels == 1
    assert FoldSettings(position_channels=True).num_channels == 3
    assert FoldSettings(context_factor=4).num_channels == 2
    assert FoldSettings(context_factor=4, position_channels=True).num_channels == 4
