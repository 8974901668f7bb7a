"""Read a chest X-ray from DICOM: check the header, decode, normalise.

Pixels go through the modality rescale (PS3.3 C.11.1) and the VOI window or table (C.11.2), as a
viewer shows them, then MONOCHROME1 is inverted so that dense is bright in every file. The
Presentation LUT Shape is not applied on top: for radiographs it repeats what MONOCHROME1 says
(PS3.3 C.8.11.3). Eight-bit data without a transform is passed on untouched.

Decoders: JPEG Baseline and JPEG 2000 by Pillow, uncompressed and RLE by pydicom itself. Others
(JPEG Lossless, JPEG-LS) need `python-gdcm` (BSD) or `pyjpegls` (MIT), which are used when they are
installed. pylibjpeg's JPEG plugin is GPL, so it is no dependency, and comes last where somebody
installed it: it also decodes some pixels by one grey value differently, and the same files must
give the same data hash everywhere.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from ptxcore.data.bounded import BoundedFile, inflates_beyond
from ptxcore.data.radiograph import Header, Radiograph
from ptxcore.errors import DicomError

#: Larger images are refused before anything is allocated; detectors end near 5,000 px.
MAX_SIDE_PX = 16_384
#: A deflated file holds no more than the largest image of 16 bits and a generous header.
MAX_INFLATED_BYTES = 2 * MAX_SIDE_PX**2 + 2**26
#: pydicom logs tracebacks, and values that stand in files; what matters is in our errors.
logging.getLogger("pydicom").disabled = True
_PHOTOMETRIC = (
    "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420",
    "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT", "XYB",
)  # fmt: skip
_DECODER_ORDER = ("pydicom", "pillow", "gdcm", "pyjpegls", "pylibjpeg")


def read_header(path: Path, wanted: Container[str] | None = None) -> Header | None:
    """Read and check a header, without the pixels.

    Args:
        path: A DICOM file.
        wanted: Ids of interest; None takes any.

    Returns:
        None where the id is not wanted: whatever else such a file holds is none of our business.

    Raises:
        DicomError: Not DICOM, or not one greyscale image of a sensible size. The message names
            the file, the field, what was found and what was expected.
    """
    dataset = _parse(path, stop_before_pixels=True)
    if wanted is not None and _uid(path, dataset) not in wanted:
        return None
    return _header(path, dataset)


def read_dicom(path: Path) -> Radiograph:
    """Read one file.

    Args:
        path: A DICOM file with one greyscale image of at most 16 bits.

    Returns:
        Its pixels as uint8 where at most 8 bits are stored, else uint16 over the full range of
        the displayed values.

    Raises:
        DicomError: As `read_header`, and pixels that are missing or cannot be decoded.
    """
    dataset = _parse(path, stop_before_pixels=False)
    header = _header(path, dataset)
    raw = _decode(path, dataset)
    if raw.shape != header.shape:
        raise _refusal(path, "PixelData", f"an image of {raw.shape}", f"one of {header.shape}")
    return Radiograph(
        pixels=_displayed(path, dataset, raw, eight_bit=header.is_eight_bit),
        uid=header.uid,
        patient_id=header.patient_id,
        view=header.view,
        pixel_spacing_mm=header.pixel_spacing_mm,
        is_phantom=header.is_phantom,
    )


def _refusal(path: Path, field: str, found: object, expected: str) -> DicomError:
    return DicomError(f"{path.name}: {field}: found {found}, expected {expected}")


def _parse(path: Path, *, stop_before_pixels: bool) -> FileDataset:
    try:
        with BoundedFile(path) as file:
            _check_deflated(path, file)
            dataset: FileDataset = pydicom.dcmread(file, stop_before_pixels=stop_before_pixels)
    except DicomError:
        raise
    except InvalidDicomError:
        raise _refusal(path, "preamble", "no 'DICM' at byte 128", "a DICOM file") from None
    except OSError as error:
        reason = error.strerror or "an early end"
        raise _refusal(path, "file", reason, "a readable DICOM file") from error
    except Exception as error:  # a damaged header raises nearly anything inside the parser
        # Its text is left out: it can quote values.
        raise _refusal(path, "header", f"damage ({type(error).__name__})", "DICOM") from error
    if len(dataset) == 0:  # what pydicom gives for a file that ends early
        raise _refusal(path, "file", "an early end", "a whole DICOM file")
    return dataset


def _check_deflated(path: Path, file: BoundedFile) -> None:
    """Measure a deflated file, which pydicom would inflate whole; leaves the file at its begin."""
    read_preamble(file, force=False)
    start, syntax = file.tell(), ""
    for implicit in (False, True):  # explicit by the standard; pydicom tries the other as well
        if not syntax:
            file.seek(start)
            meta = read_dataset(
                file,
                is_implicit_VR=implicit,
                is_little_endian=True,
                stop_when=lambda tag, vr, length: tag >> 16 != 2,
            )
            syntax = _text(meta, "TransferSyntaxUID")
    is_deflated = syntax == DeflatedExplicitVRLittleEndian
    if is_deflated and inflates_beyond(file, MAX_INFLATED_BYTES):
        limit = f"at most {MAX_INFLATED_BYTES / 2**20:.0f} MiB"
        raise _refusal(path, "file", "more than one image once it is inflated", limit)
    file.seek(0)


def _uid(path: Path, dataset: Dataset) -> str:
    uid = _text(dataset, "SOPInstanceUID")
    if not uid:
        raise _refusal(path, "SOPInstanceUID", "none", "one")
    return uid


def _header(path: Path, dataset: Dataset) -> Header:
    side = f"1 to {MAX_SIDE_PX}"
    one = "1 (a single greyscale image)"
    checks: tuple[tuple[str, int | None, Callable[[int], bool], str], ...] = (
        ("Rows", None, lambda value: 1 <= value <= MAX_SIDE_PX, side),
        ("Columns", None, lambda value: 1 <= value <= MAX_SIDE_PX, side),
        ("SamplesPerPixel", None, lambda value: value == 1, one),
        ("NumberOfFrames", 1, lambda value: value == 1, one),
        ("BitsAllocated", None, lambda value: value in (8, 16), "8 or 16"),
        ("BitsStored", None, lambda value: 1 <= value <= 16, "1 to 16"),
    )
    numbers: dict[str, int] = {}
    for name, default, accepted, expected in checks:
        value = _number(dataset, name, default)
        if value is None or not accepted(value):
            raise _refusal(path, name, "none" if value is None else value, expected)
        numbers[name] = value
    photometric = _text(dataset, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        expected = "MONOCHROME1 or MONOCHROME2"
        # Shown if it is a word of the standard: elsewhere a field can hold anything.
        found = photometric if photometric in _PHOTOMETRIC else "another" if photometric else "none"
        raise _refusal(path, "PhotometricInterpretation", found, expected)
    drawn = _text(dataset, "SyntheticData") == "YES"
    return Header(
        uid=_uid(path, dataset),
        patient_id=_text(dataset, "PatientID") or None,
        view=_text(dataset, "ViewPosition").upper() or None,
        pixel_spacing_mm=_spacing(dataset),
        shape=(numbers["Rows"], numbers["Columns"]),
        is_eight_bit=numbers["BitsStored"] <= 8,
        is_phantom=drawn or "PHANTOM" in _text(dataset, "ImageComments").upper(),
    )


def _text(dataset: Dataset, keyword: str) -> str:
    """A value before pydicom judges it: it would warn at every id that breaks the standard."""
    if keyword not in dataset:
        return ""
    value = dataset.get_item(keyword).value
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0\t\r\n")


def _number(dataset: Dataset, keyword: str, default: int | None) -> int | None:
    try:
        value = dataset.get(keyword)
        return default if value is None else int(value)
    except Exception:  # what pydicom raises for a value that is no number, and it raises much
        return None


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        words = _text(dataset, name).strip("[]").replace(",", "\\").split("\\")
        try:
            height, width = (float(word) for word in words)
        except ValueError:
            continue
        if 0 < height < 10 and 0 < width < 10:
            return height, width
    return None


def _decode(path: Path, dataset: FileDataset) -> NDArray[Any]:
    """Stored values, always by the same decoder where several are installed."""
    if "PixelData" not in dataset:
        raise _refusal(path, "PixelData", "none", "an image")
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if syntax == JPEGBaseline8Bit:
        return _decode_jpeg(path, dataset)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        # An id that the standard does not know has no name but itself.
        found = ("another" if syntax.name == str(syntax) else syntax.name) if syntax else "none"
        raise _refusal(path, "TransferSyntaxUID", found, "one that can be decoded") from None
    plugins = sorted(decoder.available_plugins, key=_DECODER_ORDER.index)
    if not decoder.is_native and not plugins:
        raise DicomError(
            f"{path.name}: TransferSyntaxUID: found {syntax.name}, for which no decoder is "
            "installed; `pip install python-gdcm` brings one"
        )
    if not decoder.is_native:
        _check_frame(path, dataset)
    problem: Exception | None = None
    for plugin in plugins or [""]:
        try:
            pixels: NDArray[Any] = decoder.as_array(dataset, decoding_plugin=plugin, raw=True)[0]
            return pixels
        except Exception as error:  # decoders raise whatever they like; the next one may do
            problem = error
    raise DicomError(
        f"{path.name}: PixelData: cannot be decoded as {syntax.name}: {problem}"
    ) from problem


def _check_frame(path: Path, dataset: FileDataset) -> None:
    """Refuse a compressed image of another size than the header says, before it is decoded."""
    size = dataset.Columns, dataset.Rows
    expected = f"one of {dataset.Rows} x {dataset.Columns} px, as the header says"
    try:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        alone = encapsulate([frame])
    except Exception as error:  # items that do not fit together raise nearly anything
        found = f"items that hold no frame ({type(error).__name__})"
        raise _refusal(path, "PixelData", found, "one frame") from error
    # From here on this is the only frame, by whatever table of offsets pydicom would go.
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    dataset.PixelData = alone
    if _is_endless(frame):
        raise _refusal(path, "PixelData", "a JPEG 2000 box of length 0", "boxes up to the image")
    try:
        with Image.open(io.BytesIO(frame), formats=["JPEG", "JPEG2000"]) as image:
            height, width = image.height, image.width
    except Image.DecompressionBombError:
        raise _refusal(path, "PixelData", "a larger image", expected) from None
    except Exception:  # not for Pillow: the decoder will say what is wrong with it
        return
    if (width, height) != size:
        raise _refusal(path, "PixelData", f"an image of {height} x {width} px", expected)


def _is_endless(frame: bytes) -> bool:
    """Whether pydicom would look for the image for ever: it steps from box to box by their lengths.

    The boxes of a JP2 file are those of ISO/IEC 15444-1 I.4.
    """
    at = 12
    if not frame.startswith(b"\0\0\0\x0cjP  "):
        return False
    while at < len(frame) and frame[at + 4 : at + 8] != b"jp2c":
        length = int.from_bytes(frame[at : at + 4], "big")
        if length == 0:
            return True
        at += length
    return False


def _decode_jpeg(path: Path, dataset: FileDataset) -> NDArray[np.uint8]:
    """What pydicom does with Pillow, without its copies: they take as long as the decoding."""
    try:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        with Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
            if image.mode == "L" and image.size == (dataset.Columns, dataset.Rows):
                return np.asarray(image)
            found = f"a JPEG image of mode {image.mode}, {image.height} x {image.width} px"
    except Exception as error:  # as in `_decode`
        found = f"what cannot be decoded as JPEG Baseline ({type(error).__name__})"
    expected = f"one of mode L, {dataset.Rows} x {dataset.Columns} px"
    raise _refusal(path, "PixelData", found, expected)


def _displayed(
    path: Path, dataset: FileDataset, raw: NDArray[Any], *, eight_bit: bool
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    inverted = _text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    padding = _number(dataset, "PixelPaddingValue", None)
    try:
        as_it_is = dataset.BitsStored == 8 and padding is None and not _has_transform(dataset)
        if as_it_is and raw.dtype.kind == "u" and raw.max() <= 255:
            return np.asarray(255 - raw if inverted else raw, dtype=np.uint8)
        values = apply_voi_lut(apply_modality_lut(raw, dataset), dataset).astype(np.float64)
    except Exception as error:  # tables of a wrong length, windows of no width
        kind = type(error).__name__
        raise _refusal(
            path, "rescale or VOI", f"what cannot be applied ({kind})", "one that can"
        ) from error
    # Padding is no part of the picture (PS3.3 C.7.5.1.1.2): it must not set the range.
    picture = np.ones(raw.shape, dtype=np.bool_) if padding is None else raw != padding
    if not picture.any():
        return np.zeros(raw.shape, dtype=np.uint8 if eight_bit else np.uint16)
    low, high = float(values[picture].min()), float(values[picture].max())
    if not np.isfinite([low, high, high - low]).all():
        raise _refusal(path, "rescale or VOI", "values that are not finite", "finite ones")
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    share = np.where(picture, 1.0 - share if inverted else share, 0.0)
    if eight_bit:
        return np.round(share * 255).astype(np.uint8)
    return np.round(share * 65_535).astype(np.uint16)


def _has_transform(dataset: Dataset) -> bool:
    tables = ("ModalityLUTSequence", "VOILUTSequence", "WindowCenter")
    if any(name in dataset and dataset.get(name) for name in tables):
        return True
    return _text(dataset, "RescaleSlope") not in ("", "1", "1.0") or _text(
        dataset, "RescaleIntercept"
    ) not in ("", "0", "0.0")
