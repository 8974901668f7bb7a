"""Every transfer syntax is read, or refused with its name and what would read it."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    HTJ2K,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tiny_dicom import DEFLATED_FRAME, rename_syntax, write_dicom

from ptxcore.data.formats.codecs import SYNTAXES, name_of, readers_of
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.errors import DicomError

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
#: A ramp of 12 x 16 px by OpenJPH 0.32 (high-throughput JPEG 2000, reversible), 16 bits coded.
HIGH_THROUGHPUT = (
    "/0//UQApQAAAAAAQAAAADAAAAAAAAAAAAAAAEAAAAAwAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBE"
    "AB/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4zMi4wLv+QAAoAAAAAAIIAAf+TwAAmx/UF"
    "B3QAAMAAE0AAEwC0+gMHdAAI+gMHdADAABPAABMAWGH1AoJ0ANPpACI0AMAAFVAABViiRIn6oIIyAnYAoooqqqjAQg"
    "G+tgDAACtgABaYKioqKioq54p6cYJ3ACpVVFRUVFRU/voMYHv2MYHsugD/2Q=="
)
GPL = "`pip install pylibjpeg pylibjpeg-libjpeg` brings one under the GPL"
JPEG_XL = "1.2.840.10008.1.2.4.110"


@pytest.mark.parametrize(
    ("syntax", "first"),
    [
        (ExplicitVRLittleEndian, "pydicom"),
        (RLELossless, "pydicom"),
        (DEFLATED_FRAME, "ptxsweep"),
        (JPEGBaseline8Bit, "pillow"),
        (JPEG2000Lossless, "pillow"),
        (JPEGLSLossless, "pyjpegls"),
    ],
)
def test_the_decoder_is_the_same_whatever_else_is_installed(syntax: str, first: str) -> None:
    readers = readers_of(UID(syntax))
    assert readers.plugins[0] == first
    assert readers.is_known


def test_each_syntax_of_single_images_has_a_name_and_a_way() -> None:
    assert len({*SYNTAXES}) == len(SYNTAXES)
    for syntax in SYNTAXES:
        assert name_of(syntax) not in ("another", "none")
        readers = readers_of(syntax)
        assert readers.is_known == ("JPEG XL" not in name_of(syntax))
        assert readers.plugins or readers.remedy or not readers.is_known


def test_what_is_missing_is_named_by_its_package() -> None:
    lossless, twelve = readers_of(JPEGLosslessSV1), readers_of(JPEGExtended12Bit, bits_stored=12)
    assert "gdcm" in lossless.plugins or "python-gdcm" in str(lossless.remedy)
    assert {*twelve.plugins} <= {"pylibjpeg"}, "Pillow and GDCM read 8 bits alone"
    if not twelve.plugins:
        assert twelve.missing == ("pylibjpeg-libjpeg",)
        assert str(twelve.remedy) == GPL


def test_jpeg_extended_of_twelve_bits_names_what_reads_it() -> None:
    path = Path(str(get_testdata_file("JPGExtended.dcm", download=False)))
    if readers_of(JPEGExtended12Bit, bits_stored=12).plugins:
        assert read_dicom(path).pixels.dtype == np.uint16
        return
    message = (
        "JPGExtended.dcm: TransferSyntaxUID: found JPEG Extended (Process 2 and 4) with samples of "
        f"12 bits, for which no decoder is installed; {GPL}"
    )
    with pytest.raises(DicomError, match=re.escape(message)):
        read_dicom(path)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
def test_high_throughput_jpeg_2000(syntax: UID, tmp_path: Path) -> None:
    ramp = (np.add.outer(np.arange(12), np.arange(16)) * 150).astype(np.uint16)
    path = write_dicom(tmp_path / "a.dcm", ramp, syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([base64.b64decode(HIGH_THROUGHPUT)])
    dataset.save_as(path)
    if readers_of(syntax).plugins:
        assert np.abs(read_dicom(path).pixels - ramp / 3900 * 65_535).max() <= 0.5
        return
    message = (
        r"found High-Throughput .* no decoder is installed; `pip install 'ptxsweep\[codecs\]'`"
    )
    with pytest.raises(DicomError, match=message):
        read_dicom(path)


def test_what_nothing_decodes_is_refused_by_name(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, syntax=JPEG2000Lossless)
    for new, name in (
        (JPEG_XL[:-1] + "1", "JPEG XL JPEG Recompression"),
        (JPEG_XL, "JPEG XL Loss"),
    ):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = HTJ2K
        dataset.save_as(tmp_path / "b.dcm")
        rename_syntax(tmp_path / "b.dcm", HTJ2K, new)
        with pytest.raises(DicomError, match=rf"b\.dcm: TransferSyntaxUID: found {name}"):
            read_dicom(tmp_path / "b.dcm")


def test_a_decoder_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, syntax=JPEGLSLossless)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([get_frame(dataset.PixelData, 0, number_of_frames=1)[:30]])
    dataset.save_as(path)
    with pytest.raises(DicomError, match=r"cannot be decoded as JPEG-LS .* by pyjpegls \(.+\)"):
        read_dicom(path)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (zlib.compress(b"abcd")[2:-4], "found 4 bytes once it is inflated, expected 8192 bytes"),
        (b"\xff" * 40, "found what cannot be inflated, expected a deflated frame"),
    ],
)
def test_a_deflated_frame_of_another_size_is_refused(
    frame: bytes, message: str, tmp_path: Path
) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([frame])
    dataset.save_as(path)
    rename_syntax(path, JPEG2000Lossless, DEFLATED_FRAME)
    with pytest.raises(DicomError, match=rf"a\.dcm: PixelData: {message}"):
        read_dicom(path)


def test_a_deflated_frame_that_holds_more_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, syntax=DEFLATED_FRAME, Rows=16)
    with pytest.raises(DicomError, match=re.escape("found more bytes once it is inflated")):
        read_dicom(path)
