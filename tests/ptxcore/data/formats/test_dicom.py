from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless
from tiny_dicom import write_dicom

from ptxcore.data.formats.dicom import read_dicom, read_header
from ptxcore.errors import DicomError

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8)


def test_eight_bits_pass_untouched_with_what_the_header_knows(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        RAMP,
        uid="1.2.3",
        PatientID="p",
        ViewPosition="PA",
        PixelSpacing=[0.2, 0.1],
    )
    image = read_dicom(path)
    assert image.pixels.dtype == np.uint8
    assert np.array_equal(image.pixels, RAMP)
    assert (image.uid, image.patient_id, image.view) == ("1.2.3", "p", "PA")
    assert image.pixel_spacing_mm == (0.2, 0.1)
    assert not image.is_phantom


def test_header_says_what_the_pixels_will_be(tmp_path: Path) -> None:
    for number, (pixels, bits) in enumerate([(RAMP, 8), (RAMP.astype(np.uint16), 12)]):
        path = write_dicom(tmp_path / f"{number}.dcm", pixels, BitsStored=bits)
        header, image = read_header(path), read_dicom(path)
        assert header is not None
        assert header.shape == image.pixels.shape == (6, 8)
        assert header.is_eight_bit == (image.pixels.dtype == np.uint8)


def test_a_header_that_is_not_wanted_is_not_checked(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, uid="1.2.3", NumberOfFrames=7)
    assert read_header(path, wanted={"1.2.4"}) is None
    with pytest.raises(DicomError, match=r"a\.dcm: NumberOfFrames: found 7, expected 1"):
        read_header(path, wanted={"1.2.3"})


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_eight_bits_in_words_of_sixteen(photometric: str, tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        RAMP.astype(np.uint16),
        BitsStored=8,
        PhotometricInterpretation=photometric,
    )
    pixels = read_dicom(path).pixels
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, 255 - RAMP if photometric == "MONOCHROME1" else RAMP)


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_dicom(path).pixels, 255 - RAMP)


def test_monochrome1_is_inverted_once_when_a_presentation_shape_says_so_too(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        RAMP.astype(np.uint16) * 10,
        BitsStored=12,
        PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE",
    )
    pixels = read_dicom(path).pixels
    assert (pixels[0, 0], pixels[-1, -1]) == (65_535, 0)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_deeper_images_span_sixteen_bits(bits: int, tmp_path: Path) -> None:
    raw = np.linspace(5, 2**bits - 9, 64).astype(np.uint16).reshape(8, 8)
    pixels = read_dicom(write_dicom(tmp_path / "a.dcm", raw, BitsStored=bits)).pixels
    assert pixels.dtype == np.uint16
    assert (pixels.min(), pixels.max()) == (0, 65_535)
    expected = (raw - raw.min()) / (raw.max() - raw.min()) * 65_535
    assert np.abs(pixels - expected).max() <= 0.5


def test_signed_values_keep_their_order(tmp_path: Path) -> None:
    raw = np.array([[-500, -1], [0, 700]], dtype=np.int16)
    pixels = read_dicom(write_dicom(tmp_path / "a.dcm", raw)).pixels
    assert np.array_equal(np.argsort(pixels.ravel()), np.arange(4))


def test_window_clips_as_a_viewer_does(tmp_path: Path) -> None:
    raw = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    path = write_dicom(tmp_path / "a.dcm", raw, BitsStored=12, WindowCenter=2048, WindowWidth=1024)
    pixels = read_dicom(path).pixels
    # PS3.3 C.11.2.1.2.1: black up to c - 0.5 - (w - 1) / 2, white above c - 0.5 + (w - 1) / 2.
    assert (pixels[raw <= 2048 - 512] == 0).all()
    assert (pixels[raw > 2048 + 511] == 65_535).all()
    inside = (raw > 2048 - 512) & (raw <= 2048 + 511)
    expected = ((raw[inside] - 2047.5) / 1023 + 0.5) * 65_535
    assert np.abs(pixels[inside] - expected).max() <= 1


def test_first_of_several_windows(tmp_path: Path) -> None:
    raw = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    one = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 1024}
    two = {"BitsStored": 12, "WindowCenter": [2048, 100], "WindowWidth": [1024, 50]}
    first = read_dicom(write_dicom(tmp_path / "a.dcm", raw, **one)).pixels
    assert np.array_equal(first, read_dicom(write_dicom(tmp_path / "b.dcm", raw, **two)).pixels)


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    raw = np.arange(64, dtype=np.uint16).reshape(8, 8)
    elements = {"RescaleSlope": 2, "RescaleIntercept": -20, "WindowWidth": 21}
    pixels = read_dicom(write_dicom(tmp_path / "a.dcm", raw, WindowCenter=0.5, **elements)).pixels
    assert (pixels[2 * raw.astype(int) - 20 <= -10] == 0).all()
    assert (pixels[2 * raw.astype(int) - 20 > 10] == 65_535).all()


def test_negative_slope_inverts_and_eight_bits_stay_eight(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, RescaleSlope=-1, RescaleIntercept=255)
    pixels = read_dicom(path).pixels
    assert pixels.dtype == np.uint8
    assert (pixels[0, 0], pixels[-1, -1]) == (255, 0)


def test_a_negative_slope_does_not_turn_the_window_round(tmp_path: Path) -> None:
    # pydicom 3.0 takes the ends of the output in the order of the input's.
    elements = {"RescaleSlope": -1, "RescaleIntercept": 4095, "BitsStored": 12}
    raw = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    window = {"WindowCenter": 2048, "WindowWidth": 1024}
    pixels = read_dicom(write_dicom(tmp_path / "a.dcm", raw, **elements, **window)).pixels
    assert (pixels[0, 0], pixels[-1, -1]) == (65_535, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "empty",
    [
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": None},
        {"WindowCenter": "40", "WindowWidth": None},
        {"PixelPaddingValue": None, "PixelPaddingRangeLimit": None, "HighBit": None},
        {"VOILUTSequence": [], "ModalityLUTSequence": []},
        {"RescaleSlope": "1.000", "RescaleIntercept": "0.0000"},
    ],
)
def test_an_empty_element_is_an_absent_one(
    empty: dict[str, Any], dtype: type, tmp_path: Path
) -> None:
    raw = RAMP.astype(dtype)
    expected = read_dicom(write_dicom(tmp_path / "a.dcm", raw)).pixels
    pixels = read_dicom(write_dicom(tmp_path / "b.dcm", raw, **empty)).pixels
    assert np.array_equal(pixels, expected)


def test_an_empty_function_is_a_linear_window(tmp_path: Path) -> None:
    window = {"WindowCenter": 20, "WindowWidth": 15}
    expected = read_dicom(write_dicom(tmp_path / "a.dcm", RAMP, **window)).pixels
    path = write_dicom(tmp_path / "b.dcm", RAMP, VOILUTFunction="", **window)
    assert np.array_equal(read_dicom(path).pixels, expected)


def test_table_of_values_of_interest(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.LUTData = np.array([0, 10_000, 50_000, 65_535], dtype="<u2").tobytes()
    raw = np.array([[0, 1], [2, 3]], dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", raw, VOILUTSequence=[table])
    assert read_dicom(path).pixels.ravel().tolist() == [0, 10_000, 50_000, 65_535]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_sets_no_range(photometric: str, tmp_path: Path) -> None:
    raw = np.array([[100, 200], [4095, 4095]], dtype=np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm", raw, PixelPaddingValue=4095, PhotometricInterpretation=photometric
    )
    first = {"MONOCHROME1": [65_535, 0], "MONOCHROME2": [0, 65_535]}[photometric]
    assert read_dicom(path).pixels.tolist() == [first, [0, 0]]


@pytest.mark.parametrize("value", [0, 77])
def test_constant_images(value: int, tmp_path: Path) -> None:
    raw = np.full((4, 4), value, dtype=np.uint16)
    assert (read_dicom(write_dicom(tmp_path / "a.dcm", raw)).pixels == 0).all()
    padded = write_dicom(tmp_path / "b.dcm", raw, PixelPaddingValue=value)
    assert (read_dicom(padded).pixels == 0).all()


@pytest.mark.parametrize(
    ("syntax", "error"), [(JPEGBaseline8Bit, 6), (JPEG2000Lossless, 0), (JPEGLSLossless, 0)]
)
def test_compressed_pixels(syntax: str, error: int, tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)
    pixels = read_dicom(write_dicom(tmp_path / "a.dcm", smooth, syntax=syntax)).pixels
    assert np.abs(pixels.astype(int) - smooth).max() <= error


def test_jpeg_baseline_is_decoded_as_pydicom_does_with_pillow(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (75, 130), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", noise, syntax=JPEGBaseline8Bit)
    expected = pixel_array(pydicom.dcmread(path), decoding_plugin="pillow")
    assert np.array_equal(read_dicom(path).pixels, expected)


@pytest.mark.parametrize("uid", ["ID_0a4f3c934", "1.2.3.04.5.6", "not any uid!"])
def test_ids_that_break_the_standard_are_taken_as_they_stand(uid: str, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, uid="1.2.3.44.5.6")
    path.write_bytes(path.read_bytes().replace(b"1.2.3.44.5.6", uid.encode()))
    assert read_dicom(path).uid == uid


@pytest.mark.parametrize("words", ["0\\0 ", "a\\b ", "0.1 ", "-1\\1", "nan\\1 ", "1e9\\1 "])
def test_spacing_that_makes_no_sense_is_unknown(words: str, tmp_path: Path) -> None:
    place = "9" * len(words)
    path = write_dicom(tmp_path / "a.dcm", RAMP, PixelSpacing=place.encode())
    content = path.read_bytes()
    assert content.count(place.encode()) == 1
    path.write_bytes(content.replace(place.encode(), words.encode()))
    assert read_dicom(path).pixel_spacing_mm is None


def test_spacing_at_the_detector_stands_in(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, ImagerPixelSpacing=[0.3, 0.4])
    assert read_dicom(path).pixel_spacing_mm == (0.3, 0.4)


def test_drawn_images_say_so(tmp_path: Path) -> None:
    by_standard = write_dicom(tmp_path / "a.dcm", RAMP, SyntheticData="YES")
    by_comment = write_dicom(tmp_path / "b.dcm", RAMP, ImageComments="chest phantom")
    assert read_dicom(by_standard).is_phantom
    assert read_dicom(by_comment).is_phantom


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfFrames": 3}, "NumberOfFrames: found 3, expected 1 (a single greyscale image)"),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel: found 3, expected 1 (a single greyscale image)"),
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "PhotometricInterpretation: found PALETTE COLOR, expected MONOCHROME1 or MONOCHROME2",
        ),
        ({"BitsAllocated": 32}, "BitsAllocated: found 32, expected 8 or 16"),
        ({"BitsStored": 17}, "BitsStored: found 17, expected 1 to 16"),
        ({"Rows": 0}, "Rows: found 0, expected 1 to 16384"),
        ({"Rows": 60_000, "Columns": 60_000}, "Rows: found 60000, expected 1 to 16384"),
        ({"Columns": 60_000}, "Columns: found 60000, expected 1 to 16384"),
        ({"remove": ("Rows",)}, "Rows: found none, expected 1 to 16384"),
        ({"remove": ("PixelData",)}, "PixelData: found none, expected an image"),
        ({"uid": None}, "SOPInstanceUID: found none, expected one"),
        ({"uid": ""}, "SOPInstanceUID: found none, expected one"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "WindowWidth: found 0, expected at least 1"),
        (
            {"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "VENDOR"},
            "VOILUTFunction: found VENDOR, expected one of LINEAR, LINEAR_EXACT, SIGMOID",
        ),
        (
            {"RescaleSlope": [1, 2], "RescaleIntercept": 0},
            "RescaleSlope: found 2 values, expected one",
        ),
        ({"Rows": 16_000, "Columns": 16_000}, "PixelData: cannot be decoded"),
    ],
)
def test_refusals_name_file_field_found_and_expected(
    elements: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_dicom(tmp_path / "bad.dcm", RAMP, **elements)
    tracemalloc.start()
    try:
        with pytest.raises(DicomError, match=re.escape(f"bad.dcm: {message}")):
            read_dicom(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000, "allocated for a header's claim"
    finally:
        tracemalloc.stop()


def test_a_codestream_larger_than_its_header_is_refused(tmp_path: Path) -> None:
    large = np.zeros((512, 512), dtype=np.uint8)
    path = write_dicom(tmp_path / "bad.dcm", large, syntax=JPEGBaseline8Bit, Rows=16, Columns=16)
    with pytest.raises(DicomError, match=r"bad\.dcm: PixelData"):
        read_dicom(path)


@pytest.mark.filterwarnings("ignore:End of file reached")
@pytest.mark.parametrize("missing", [10, 500, 2000])
def test_a_file_that_ends_early_is_refused(missing: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = write_dicom(tmp_path / "bad.dcm", noise, syntax=JPEGBaseline8Bit)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(DicomError, match=r"bad\.dcm: file: found an early end, expected a whole"):
        read_dicom(path)


def test_a_codestream_that_is_nonsense_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "bad.dcm", RAMP, syntax=JPEGBaseline8Bit)
    path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff", b"\xff\x00\xff"))
    with pytest.raises(DicomError, match=r"bad\.dcm: PixelData: found what cannot be decoded"):
        read_dicom(path)


def test_a_compression_without_decoder_says_how_to_get_one(tmp_path: Path) -> None:
    # A retired one, which nothing decodes.
    path = write_dicom(tmp_path / "bad.dcm", RAMP, syntax=JPEGBaseline8Bit)
    old, new = b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.66"
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(DicomError, match=r"bad\.dcm: (TransferSyntaxUID: found|PixelData)"):
        read_dicom(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\0" * 128 + b"DICX" + b"\0" * 99])
def test_not_dicom(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.dcm"
    path.write_bytes(content)
    with pytest.raises(DicomError, match=r"bad\.dcm: (preamble|file): found .*, expected a"):
        read_dicom(path)


def test_headers_cut_anywhere_are_refused_without_a_traceback_of_another_kind(
    tmp_path: Path,
) -> None:
    path = write_dicom(tmp_path / "whole.dcm", RAMP, PatientName="Doe^Jane", PatientID="secret")
    content = path.read_bytes()
    for end in range(0, len(content) - 1, 7):
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(content[:end])
        with pytest.raises(DicomError, match=r"^cut\.dcm: ") as caught:
            read_dicom(cut)
        assert "secret" not in str(caught.value)
        assert "Doe" not in str(caught.value)


@pytest.mark.siim
def test_real_oddities(siim: Path) -> None:
    odd = siim / "oddities"
    invalid = [read_dicom(path) for path in sorted(odd.glob("stage2_test_image*.dcm"))]
    assert len(invalid) == 10
    assert all(image.uid.startswith("ID_") for image in invalid)
    inverted = read_dicom(odd / "fake_MONOCHROME1.dcm").pixels
    assert inverted.shape == (1024, 1024)
    with pytest.raises(DicomError, match="preamble: found no 'DICM'"):
        read_dicom(odd / "._AppleDouble_not_a_dicom.dcm")


@pytest.mark.parametrize(
    "boxes",
    [
        b"\0" * 60,
        # A last box up to the end of an odd item: the byte of padding begins another.
        b"\0\0\0\x09free\0",
    ],
)
def test_a_jpeg_2000_box_without_length_ends(boxes: bytes, tmp_path: Path) -> None:
    # pydicom 3.0 steps over it for ever; found by fuzzing.
    path = write_dicom(tmp_path / "bad.dcm", RAMP, syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    frame = b"\0\0\0\x0cjP  \r\n\x87\n" + boxes
    item = b"\xfe\xff\x00\xe0"
    dataset.PixelData = item + bytes(4) + item + len(frame).to_bytes(4, "little") + frame
    dataset.save_as(path)
    with pytest.raises(DicomError, match=r"bad\.dcm: PixelData: found a JPEG 2000 box of length 0"):
        read_dicom(path)


def test_an_empty_frame_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "bad.dcm", RAMP, syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 2 + b"\xfe\xff\xdd\xe0\0\0\0\0"
    dataset.PixelData = items
    dataset.save_as(path)
    with pytest.raises(DicomError, match=r"bad\.dcm: PixelData: found items that hold no frame"):
        read_dicom(path)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless, RLELossless, "extended table"]
)
def test_two_frames_under_a_header_of_one_are_refused(
    syntax: str, has_table: bool, tmp_path: Path
) -> None:
    is_extended = syntax == "extended table"
    path = write_dicom(tmp_path / "a.dcm", RAMP, syntax=JPEGBaseline8Bit if is_extended else syntax)
    dataset = pydicom.dcmread(path)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if is_extended:
        dataset.PixelData, table, lengths = encapsulate_extended([frame, frame])
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = table, lengths
    else:
        dataset.PixelData = encapsulate([frame, frame], has_bot=has_table)
    dataset.save_as(path)
    with pytest.raises(DicomError, match=r"PixelData: found 2 frames, expected one, as the header"):
        read_dicom(path)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, RLELossless])
def test_a_frame_in_many_fragments(syntax: str, has_table: bool, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RAMP, syntax=syntax)
    whole = read_dicom(path).pixels
    dataset = pydicom.dcmread(path)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame], fragments_per_frame=5, has_bot=has_table)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).pixels, whole)
