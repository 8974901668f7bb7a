from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import masks

from ptxcore.data.resample import METHODS, resize, resize_image, resize_mask, target_shape
from ptxcore.errors import SettingsError


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((1024, 1024), 256, (256, 256)),
        ((2000, 1000), 500, (500, 250)),
        ((1000, 2000), 500, (250, 500)),
        ((30, 40), 80, (60, 80)),
        ((5000, 3), 100, (100, 1)),
        ((30, 40), 0, (30, 40)),
    ],
)
def test_longer_side(shape: tuple[int, int], size: int, expected: tuple[int, int]) -> None:
    assert target_shape(*shape, size) == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_stays_constant(method: str) -> None:
    assert np.allclose(resize(np.full((40, 60), 7.5), (13, 17), method), 7.5, atol=1e-4)


def test_area_averages_blocks() -> None:
    grid = np.array([[0, 4, 1, 1], [8, 0, 1, 1], [2, 2, 9, 9], [2, 2, 9, 9]])
    assert resize(grid, (2, 2), "area").tolist() == [[3, 1], [2, 9]]


def test_lanczos_removes_what_the_new_grid_cannot_hold() -> None:
    # 0.65 of a cycle per new pixel, 1.3 times the Nyquist frequency after 4x decimation.
    wave = np.sin(2 * np.pi * 0.65 / 4 * np.arange(512))
    image = np.tile(wave, (512, 1)).astype(np.float32)
    assert np.abs(resize(image, (128, 128))[:, 8:-8]).max() < 0.1
    slow = np.tile(np.sin(2 * np.pi * 0.1 / 4 * np.arange(512)), (512, 1)).astype(np.float32)
    assert np.abs(resize(slow, (128, 128))[:, 8:-8]).max() > 0.97


def test_unknown_method() -> None:
    with pytest.raises(SettingsError, match="method: found 'cubist', expected one of"):
        resize(np.zeros((4, 4)), (2, 2), "cubist")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_images_keep_type_and_range(depth: type, rng: np.random.Generator) -> None:
    edge = np.where(np.arange(64) < 32, 0, np.iinfo(depth).max).astype(depth)
    image = np.tile(edge, (64, 1))
    small = resize_image(image, (20, 20))
    assert small.dtype == depth
    exact = np.clip(resize(image, (20, 20)), 0, np.iinfo(depth).max)
    assert np.abs(small - exact).max() <= 1, "rounded and clipped, not wrapped around"
    same = resize_image(image, (64, 64))
    assert np.array_equal(same, image)
    assert same is not image


@given(masks(), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_soft_masks(mask: NDArray[np.bool_], shape: tuple[int, int]) -> None:
    soft = resize_mask(mask, shape)
    assert soft.shape == shape
    assert soft.dtype == np.uint8
    if not mask.any():
        assert not soft.any()
    if mask.all():
        assert (soft == 255).all()
    if shape[0] <= mask.shape[0] and shape[1] <= mask.shape[1]:
        # Area averaging keeps the covered share of the image, up to rounding to 1/255.
        assert abs(soft.mean() / 255 - mask.mean()) <= 0.5 / 255 + 1e-6


def test_a_mask_on_its_own_grid_is_0_or_255() -> None:
    mask = np.eye(5, dtype=np.bool_)
    assert np.array_equal(resize_mask(mask, (5, 5)), mask * np.uint8(255))
