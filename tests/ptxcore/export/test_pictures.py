"""Pictures hold every pixel as it was, and are written in the fastest way that keeps them small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from ptxcore.export.pictures import FULL_SCALE, write_mask, write_probability

#: First bytes of a zlib stream that was made in the fastest way (RFC 1950, FLEVEL 0).
FASTEST = b"\x78\x01"


@pytest.fixture
def probability() -> NDArray[np.float32]:
    """A smooth map, nearly 0 in most places."""
    noise = np.random.default_rng(0).standard_normal((200, 240))
    return (1 / (1 + np.exp(6 - 60 * gaussian_filter(noise, 8)))).astype(np.float32)


def stream(path: Path) -> bytes:
    """The compressed data of a PNG file of one chunk, or the beginning of it."""
    data = path.read_bytes()
    return data[data.index(b"IDAT") + 4 :]


def default_bytes(pixels: NDArray[np.generic]) -> int:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, format="PNG")
    return len(made.getvalue())


def test_a_probability_keeps_its_sixteen_bits(
    tmp_path: Path, probability: NDArray[np.float32]
) -> None:
    path = tmp_path / "one.png"
    write_probability(path, probability)
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, np.round(probability * FULL_SCALE))
    assert stream(path).startswith(FASTEST)
    assert path.stat().st_size <= 1.35 * default_bytes(pixels)


def test_a_mask_is_black_and_white(tmp_path: Path, probability: NDArray[np.float32]) -> None:
    path, mask = tmp_path / "one.png", probability > 0.5
    assert 100 < mask.sum() < mask.size // 5
    write_mask(path, mask)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.where(mask, 255, 0))
    assert stream(path).startswith(FASTEST)
    assert path.stat().st_size <= mask.size / 20
