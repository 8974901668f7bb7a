"""What a compressed image says of itself, against the header around it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless
from tiny_dicom import write_dicom

from ptxcore.data.formats.codestream import Codestream, is_endless, read_codestream
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.errors import DicomError

PICTURE = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint16) * 30
SMALL = (PICTURE >> 5).astype(np.uint8)


def saved(kind: str, **options: bool) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(SMALL).save(stream, kind, **options)
    return stream.getvalue()


def replace_frame(path: Path, frame: bytes) -> Path:
    """Put another image into a file that keeps its header."""
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([frame])
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("no_jp2", [True, False])
def test_jpeg_2000(no_jp2: bool) -> None:
    frame = saved("JPEG2000", no_jp2=no_jp2)
    assert read_codestream(frame) == Codestream(
        kind="JPEG 2000", height=40, width=60, precision=8, num_components=1, is_signed=False
    )
    assert not is_endless(frame)
    assert read_codestream(frame[: frame.index(b"\xff\x4f") + 40]) is None


@pytest.mark.parametrize("progressive", [True, False])
def test_jpeg(progressive: bool) -> None:
    frame = saved("JPEG", progressive=progressive)
    expected = Codestream(
        kind="JPEG", height=40, width=60, precision=8, num_components=1, is_signed=None
    )
    assert read_codestream(frame) == expected
    assert read_codestream(frame[:2] + b"\xff\xff\xff" + frame[2:]) == expected  # fill bytes
    assert read_codestream(frame[:60]) is None


@pytest.mark.parametrize("frame", [b"", b"\0" * 64, b"\xff\xd8", b"\xff\xd8" + b"\0" * 90])
def test_what_is_none_of_them(frame: bytes) -> None:
    assert read_codestream(frame) is None


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Rows": 41}, "PixelData: found an image of 40 x 60 px, expected one of 41 x 60 px"),
        ({"Columns": 30}, "PixelData: found an image of 40 x 60 px, expected one of 40 x 30 px"),
    ],
)
def test_another_size_is_refused(
    syntax: str, elements: dict[str, int], message: str, tmp_path: Path
) -> None:
    path = write_dicom(tmp_path / "a.dcm", PICTURE, syntax=syntax)
    dataset = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    with pytest.raises(DicomError, match=re.escape(f"a.dcm: {message}")):
        read_dicom(path)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_another_depth_is_refused(syntax: str, sign: int, tmp_path: Path) -> None:
    donor = write_dicom(tmp_path / "b.dcm", SMALL, syntax=syntax, PixelRepresentation=sign)
    path = write_dicom(tmp_path / "a.dcm", PICTURE, syntax=syntax, PixelRepresentation=sign)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = pydicom.dcmread(donor).PixelData
    dataset.save_as(path)
    message = r"a\.dcm: BitsStored: found 16, expected 8, as the JPEG(-LS| 2000) codestream has"
    with pytest.raises(DicomError, match=message):
        read_dicom(path)


@pytest.mark.parametrize("sign", [0, 1])
def test_another_sign_is_refused(sign: int, tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", SMALL, syntax=JPEG2000Lossless, PixelRepresentation=1 - sign
    )
    dataset = pydicom.dcmread(path)
    dataset.PixelRepresentation = sign
    dataset.save_as(path)
    message = f"PixelRepresentation: found {sign}, expected {1 - sign}, as the JPEG 2000 codestream"
    with pytest.raises(DicomError, match=rf"a\.dcm: {message} is"):
        read_dicom(path)


def test_a_codestream_of_colours_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", SMALL, syntax=JPEG2000Lossless)
    stream = io.BytesIO()
    Image.fromarray(np.dstack([SMALL] * 3)).save(stream, "JPEG2000")
    replace_frame(path, stream.getvalue())
    with pytest.raises(DicomError, match=r"a\.dcm: SamplesPerPixel: found 1, expected 3, as the"):
        read_dicom(path)


def test_jpeg_baseline_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", SMALL[:, :50], syntax=JPEGBaseline8Bit)
    replace_frame(path, saved("JPEG"))
    with pytest.raises(DicomError, match=r"a\.dcm: PixelData: found a JPEG image of mode L, 40 x"):
        read_dicom(path)
