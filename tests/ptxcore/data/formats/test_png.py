from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptxcore.data.formats.png import read_png, read_png_header
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


def write_deep(path: Path, colour_type: int, channels: np.ndarray) -> Path:
    """A PNG of 16 bits a channel as ISO/IEC 15948 lays it out; Pillow writes none with colours."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    height, width = channels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(name + data))
        content += struct.pack(">I", len(data)) + name + data + check
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("colour_type", "num_channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_in_colour_clothes_stay_sixteen(
    colour_type: int, num_channels: int, tmp_path: Path
) -> None:
    pixels = RAMP.astype(np.uint16) * 257 + 3
    path = write_deep(tmp_path / "a.png", colour_type, np.stack([pixels] * num_channels, axis=-1))
    assert read_png(path).pixels.dtype == np.uint16
    assert np.array_equal(read_png(path).pixels, pixels)
    assert not read_png_header(path).is_eight_bit
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(DicomError, match=r"a\.png: found damage"):
        read_png(path)


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1].copy())]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DicomError, match=r"a\.png: frames: found 2, expected a single one"):
        read_png(tmp_path / "a.png")


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
