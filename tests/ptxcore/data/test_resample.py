from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from strategies import masks

from ptxcore.data.resample import (
    METHODS,
    resize,
    resize_image,
    resize_mask,
    target_shape,
    threshold_mask,
)
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


def gain(method: str, cycles_per_new_pixel: float, factor: int = 4) -> float:
    """Amplitude of a unit wave after decimation, from its mean square away from the borders."""
    wave = np.sin(2 * np.pi * cycles_per_new_pixel / factor * np.arange(1024) + 0.3)
    small = resize(np.tile(wave, (64, 1)), (64 // factor, 1024 // factor), method)
    return float(np.sqrt(2 * np.mean(small[8, 16:-16].astype(np.float64) ** 2)))


@pytest.mark.parametrize(
    ("method", "alias", "passed"),
    [
        ("nearest", 1.00, 1.00),
        ("area", 0.46, 0.80),
        ("bicubic", 0.18, 0.77),
        ("lanczos", 0.074, 0.88),
        ("bspline", 0.125, 0.50),
        ("windowed_sinc", 0.125, 0.50),
    ],
)
def test_alias_and_pass_gains(method: str, alias: float, passed: float) -> None:
    """At 1.3 and 0.75 times the new Nyquist frequency, which is half a cycle per new pixel."""
    assert gain(method, 0.5 * 1.3) == pytest.approx(alias, abs=0.01)
    assert gain(method, 0.5 * 0.75) == pytest.approx(passed, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(12, 15), (96, 120)])
def test_a_ramp_stays_where_it_is(method: str, shape: tuple[int, int]) -> None:
    """Pixels are areas: a new centre lies at (i + 0.5) * factor - 0.5 of the old grid."""
    ramp = np.add.outer(3.0 * np.arange(48), np.arange(60.0))
    rows, columns = (
        (np.arange(n) + 0.5) * old / n - 0.5 for n, old in zip(shape, (48, 60), strict=True)
    )
    expected = np.add.outer(3.0 * rows, columns)
    inner = (slice(shape[0] // 3, -shape[0] // 3), slice(shape[1] // 3, -shape[1] // 3))
    # Nearest, and area on a finer grid, take a neighbour: half an old pixel off on either axis.
    off = 2.01 if method in ("nearest", "area") else 0.1
    assert np.abs(resize(ramp, shape, method) - expected)[inner].max() <= off


@pytest.mark.parametrize("factor", [2, 4])
def test_area_is_the_box_of_pillow_where_no_edge_cuts_a_pixel(
    factor: int, rng: np.random.Generator
) -> None:
    image = rng.random((32, 48), dtype=np.float32)
    shape = (32 // factor, 48 // factor)
    box = Image.fromarray(image).resize((shape[1], shape[0]), Image.Resampling.BOX)
    np.testing.assert_allclose(resize(image, shape, "area"), np.asarray(box), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_is_cut_at_one_half(method: str) -> None:
    """A square whose edges are edges of the new grid; an empty and a full mask stay so."""
    square = np.zeros((64, 64), dtype=np.bool_)
    square[16:48, 24:56] = True
    small = np.zeros((16, 16), dtype=np.bool_)
    small[4:12, 6:14] = True
    found = threshold_mask(square, (16, 16), method)
    assert found.dtype == np.bool_
    corners = np.zeros_like(small)
    corners[np.ix_([4, 11], [6, 13])] = True  # a low-pass rounds them off
    assert np.array_equal(found | corners, small)
    assert not threshold_mask(np.zeros_like(square), (16, 16), method).any()
    assert threshold_mask(np.ones_like(square), (16, 16), method).all()


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


@pytest.mark.parametrize("bring", [resize, resize_image, resize_mask])
@pytest.mark.parametrize("shape", [(0, 2), (2, -1)])
def test_a_shape_without_pixels_is_refused(
    bring: Callable[..., NDArray[Any]], shape: tuple[int, int]
) -> None:
    with pytest.raises(SettingsError, match=r"shape: found \(.*\), expected at least 1 px"):
        bring(np.zeros((4, 4), dtype=np.uint8), shape)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_makes_a_shape_without_pixels(method: str) -> None:
    with pytest.raises(SettingsError, match="shape: found"):
        resize(np.ones((4, 4)), (0, 2), method)


@pytest.mark.parametrize("kind", ["float64", "int16", "bool"])
@pytest.mark.parametrize("shape", [(4, 4), (2, 2)])
def test_an_image_of_another_type_is_refused(kind: str, shape: tuple[int, int]) -> None:
    with pytest.raises(SettingsError, match=f"pixels: found type {kind}, expected uint8 or uint16"):
        resize_image(np.zeros((4, 4), dtype=kind), shape)


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
