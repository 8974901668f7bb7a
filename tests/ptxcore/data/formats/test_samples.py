"""Where samples are in their words, whoever decoded them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from tiny_dicom import DEFLATED_FRAME, write_dicom

from ptxcore.data.formats.dicom import read_dicom, read_header
from ptxcore.errors import DicomError

SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
    DEFLATED_FRAME,
]
_ROWS, _COLUMNS = np.mgrid[0:48, 0:64]
_NOISE = np.random.default_rng(3)
#: A picture of 12 bits: waves and a little noise.
PICTURE = np.round(
    2000 + 1800 * np.sin(_COLUMNS / 9) * np.cos(_ROWS / 7) + _NOISE.normal(0, 20, _ROWS.shape)
).astype(np.uint16)
DISC = (np.hypot(_ROWS - 20, _COLUMNS - 30) < 12).astype(np.uint16)
JUNK = _NOISE.integers(0, 16, PICTURE.shape).astype(np.uint16)


def spread(values: NDArray[Any]) -> NDArray[np.float64]:
    return (values - values.min()) / (values.max() - values.min()) * 65_535


def assert_shows(path: Path, expected: NDArray[Any]) -> None:
    assert np.abs(read_dicom(path).pixels - spread(expected)).max() <= 0.5


def is_codestream(syntax: str) -> bool:
    return syntax in (JPEG2000Lossless, JPEGLSLossless)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("words", "elements"),
    [
        (PICTURE, {}),
        (PICTURE | DISC << 12, {"overlay_bits": [12]}),
        (PICTURE | DISC << 12, {}),
        (PICTURE | JUNK << 12, {}),
        (PICTURE | np.uint16(0xF000), {}),
        (PICTURE << 4, {"HighBit": 15}),
        (PICTURE << 4 | JUNK, {"HighBit": 15}),
        (PICTURE << 2 | DISC << 15, {"HighBit": 13}),
    ],
    ids=["plain", "overlay", "undeclared", "noise", "ones", "high", "high noise", "middle"],
)
def test_samples_are_taken_out_of_their_words(
    words: NDArray[np.uint16], elements: dict[str, Any], syntax: str, tmp_path: Path
) -> None:
    path = write_dicom(tmp_path / "a.dcm", words, syntax=syntax, BitsStored=12, **elements)
    if is_codestream(syntax) and "HighBit" in elements:
        with pytest.raises(DicomError, match=r"a\.dcm: HighBit: found 1[35], expected 11"):
            read_dicom(path)
    else:
        assert_shows(path, PICTURE)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("is_extended", [True, False])
def test_the_sign_is_that_of_the_sample(is_extended: bool, syntax: str, tmp_path: Path) -> None:
    signed = PICTURE.astype(np.int16) - 2048
    words = signed.view(np.uint16) & (0xFFFF if is_extended else 0x0FFF)
    path = write_dicom(
        tmp_path / "a.dcm", words, syntax=syntax, BitsStored=12, PixelRepresentation=1
    )
    assert_shows(path, signed)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless])
@pytest.mark.parametrize(
    ("words", "elements", "message"),
    [
        (PICTURE, {"BitsStored": 8}, "BitsStored: found 8, expected 12"),
        (PICTURE, {"BitsStored": 11}, "BitsStored: found 11, expected 12"),
        (PICTURE << 4, {"BitsStored": 12}, "BitsStored: found 12, expected 16"),
        (PICTURE << 4 | JUNK, {"BitsStored": 8}, "BitsStored: found 8, expected 16"),
        (
            PICTURE,
            {"BitsStored": 12, "PixelRepresentation": 1},
            "BitsStored: found 12, expected 13",
        ),
        (PICTURE, {"BitsStored": 12, "HighBit": 15}, "HighBit: found 15, expected 11"),
        (PICTURE, {"BitsStored": 12, "HighBit": 7}, "HighBit: found 7, expected 11"),
        (PICTURE, {"BitsStored": 12, "HighBit": 16}, "HighBit: found 16, expected 11"),
        (PICTURE, {"PixelRepresentation": 2}, "PixelRepresentation: found 2, expected 0 or 1"),
    ],
)
def test_a_header_that_its_pixels_contradict_is_refused(
    words: NDArray[np.uint16],
    elements: dict[str, Any],
    message: str,
    syntax: str,
    tmp_path: Path,
) -> None:
    path = write_dicom(tmp_path / "a.dcm", words, syntax=syntax, **elements)
    with pytest.raises(DicomError, match=re.escape(f"a.dcm: {message}")):
        read_dicom(path)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"BitsStored": 12}, "BitsStored: found 12, expected at most the 8 bits allocated"),
        ({"HighBit": 15}, "HighBit: found 15, expected 7"),
        ({"syntax": JPEGBaseline8Bit, "BitsStored": 7}, "BitsStored: found 7, expected 8 in JPEG"),
        (
            {"syntax": JPEGBaseline8Bit, "PixelRepresentation": 1},
            "PixelRepresentation: found 1, expected 0 in JPEG Baseline",
        ),
    ],
)
def test_contradictions_are_seen_in_the_header_alone(
    elements: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_dicom(tmp_path / "a.dcm", (PICTURE >> 4).astype(np.uint8), **elements)
    with pytest.raises(DicomError, match=re.escape(f"a.dcm: {message}")):
        read_header(path)


def test_a_signed_codestream_under_an_unsigned_header_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PICTURE, syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    # The sign and precision of the first component, ISO/IEC 15444-1 A.5.1.
    before = bytes([0x0F, 1, 1])
    assert dataset.PixelData.count(before) == 1
    dataset.PixelData = dataset.PixelData.replace(before, bytes([0x8F, 1, 1]))
    dataset.save_as(path)
    with pytest.raises(DicomError, match=r"a\.dcm: PixelRepresentation: found 0, expected 1"):
        read_dicom(path)


def test_elements_that_may_be_absent(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PICTURE, BitsStored=12, remove=("HighBit",))
    assert_shows(path, PICTURE)
    assert_shows(write_dicom(tmp_path / "b.dcm", PICTURE, BitsStored=12, HighBit=None), PICTURE)


@pytest.mark.parametrize(
    ("first", "last"), [(4000, 4095), (4095, 4000), (4000, None)], ids=["up", "down", "one"]
)
def test_padding_is_a_range(first: int, last: int | None, tmp_path: Path) -> None:
    raw = PICTURE.copy()
    raw[:, :5] = 4000 + (np.arange(5) if last is not None else 0)
    path = write_dicom(
        tmp_path / "a.dcm",
        raw,
        BitsStored=12,
        PixelPaddingValue=first,
        PixelPaddingRangeLimit=last,
    )
    pixels = read_dicom(path).pixels
    assert (pixels[:, :5] == 0).all()
    assert np.abs(pixels[:, 5:] - spread(PICTURE[:, 5:])).max() <= 0.5


def test_padding_may_be_signed_whatever_its_element_says(tmp_path: Path) -> None:
    raw = PICTURE.astype(np.int16) - 2048
    raw[:, :5] = -2000
    path = write_dicom(tmp_path / "a.dcm", raw, PixelPaddingValue=-2000)
    dataset = pydicom.dcmread(path)
    dataset["PixelPaddingValue"].VR = "US"
    dataset["PixelPaddingValue"].value = 65_536 - 2000
    dataset.save_as(path)
    assert pydicom.dcmread(path).PixelPaddingValue == 63_536
    pixels = read_dicom(path).pixels
    assert (pixels[:, :5] == 0).all()
    assert np.abs(pixels[:, 5:] - spread(raw[:, 5:])).max() <= 0.5


def test_padding_that_does_not_fit_into_the_sample(tmp_path: Path) -> None:
    raw = PICTURE.copy()
    raw[20:, 40:] = 4095  # as bright as can be, and no padding
    raw[:, :5] = 65_535
    path = write_dicom(tmp_path / "a.dcm", raw, BitsStored=12, PixelPaddingValue=65_535)
    pixels = read_dicom(path).pixels
    assert (pixels[:, :5] == 0).all()
    assert (pixels[20:, 40:] == 65_535).all()


def test_padding_just_above_the_sample_is_no_picture(tmp_path: Path) -> None:
    raw = (PICTURE // 2 + 2000).clip(0, 4095)  # bright up to its border, where 4096 follows
    raw[:, :5] = 4096
    path = write_dicom(tmp_path / "a.dcm", raw, BitsStored=12, PixelPaddingValue=4096)
    pixels = read_dicom(path).pixels
    assert (pixels[:, :5] == 0).all()
    assert np.abs(pixels[:, 5:] - spread(raw[:, 5:])).max() <= 0.5
