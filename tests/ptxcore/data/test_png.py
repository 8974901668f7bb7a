from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptxcore.data.png import read_png, read_png_header, read_png_mask
from ptxcore.errors import DicomError

RAMP = np.arange(0, 240, 5, dtype=np.uint8).reshape(6, 8)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_images_pass_untouched(depth: type, tmp_path: Path) -> None:
    pixels = RAMP.astype(depth) * depth(np.iinfo(depth).max // 255)
    path = tmp_path / "1.2.3.png"
    Image.fromarray(pixels).save(path)
    image, header = read_png(path), read_png_header(path)
    assert image.pixels.dtype == depth
    assert np.array_equal(image.pixels, pixels)
    assert image.uid == header.uid == "1.2.3"
    assert header.shape == (6, 8)
    assert header.is_eight_bit == (depth is np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_grey_in_colour_clothes(mode: str, tmp_path: Path) -> None:
    Image.fromarray(RAMP).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(read_png(tmp_path / "a.png").pixels, RAMP)


def test_colours_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "a.png")
    with pytest.raises(DicomError, match=r"a\.png: channels: found colours, expected a greyscale"):
        read_png(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB"])
def test_masks_of_any_mode(mode: str, tmp_path: Path) -> None:
    mask = RAMP > 100
    Image.fromarray(mask.astype(np.uint8) * 255).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(read_png_mask(tmp_path / "a.png"), mask)


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_damage_is_refused(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DicomError, match=r"a\.png: found damage \(.*\), expected a PNG image"):
        read_png(path)


def test_a_header_of_60000_pixels_a_side_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RAMP).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    path.write_bytes(bytes(content))
    with pytest.raises(DicomError, match=r"a\.png"):
        read_png(path)
