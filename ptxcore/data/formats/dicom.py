"""Read a chest X-ray from DICOM: check the header, decode (`decoding`), take the samples out of
their words (`samples`), and show them as a viewer does (`grayscale`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from pathlib import Path

import pydicom
from pydicom.config import IGNORE
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from ptxcore.data.formats.decoding import decode
from ptxcore.data.formats.elements import int_of, refusal, text_of
from ptxcore.data.formats.functional_groups import bring_up
from ptxcore.data.formats.grayscale import displayed
from ptxcore.data.formats.object_kind import kind_of
from ptxcore.data.formats.radiograph import Header, Radiograph
from ptxcore.data.formats.samples import read_bits, to_samples
from ptxcore.data.formats.size_limits import SizeLimitedFile, inflates_beyond
from ptxcore.data.formats.spacing import read_spacing
from ptxcore.data.formats.subject import Subject, is_image, subject_of
from ptxcore.errors import DicomError, NoImageError

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


def read_header(
    path: Path,
    wanted: Container[str] | None = None,
    judge: Callable[[Subject], None] | None = None,
) -> Header | None:
    """Read and check a header, without the pixels.

    Args:
        path: A DICOM file.
        wanted: Ids of interest; None takes any.
        judge: Called with what the picture is of before anything else is checked: an ultrasound in
            colour is an ultrasound first. What it raises passes through.

    Returns:
        None where the id is not wanted: whatever else such a file holds is none of our business.

    Raises:
        NoImageError: Its SOP class is that of no image, wanted or not.
        DicomError: Not DICOM, or not one greyscale image of a sensible size. The message names
            the file, the field, what was found and what was expected.
    """
    dataset = _parse(path, stop_before_pixels=True)
    if wanted is not None and text_of(dataset, "SOPInstanceUID") not in wanted:
        return None
    if judge is not None:
        judge(_subject(dataset))
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
    bits = read_bits(path, dataset)
    frame = decode(path, dataset, bits)
    if frame.shape != header.shape:
        raise refusal(path, "PixelData", f"an image of {frame.shape}", f"one of {header.shape}")
    samples = to_samples(path, dataset, frame, bits)
    return Radiograph(
        pixels=displayed(path, dataset, samples, eight_bit=header.is_eight_bit),
        uid=header.uid,
        patient_id=header.patient_id,
        view=header.view,
        pixel_spacing_mm=header.spacing.mm,
        is_phantom=header.is_phantom,
        subject=header.subject,
        bits_stored=header.bits_stored,
    )


def _parse(path: Path, *, stop_before_pixels: bool) -> FileDataset:
    try:
        with SizeLimitedFile(path) as file:
            _check_deflated(path, file)
            dataset: FileDataset = pydicom.dcmread(file, stop_before_pixels=stop_before_pixels)
            bring_up(dataset)
    except DicomError:
        raise
    except InvalidDicomError:
        raise refusal(path, "preamble", "no 'DICM' at byte 128", "a DICOM file") from None
    except OSError as error:
        reason = error.strerror or "an early end"
        raise refusal(path, "file", reason, "a readable DICOM file") from error
    except Exception as error:  # a damaged header raises nearly anything inside the parser
        # Its text is left out: it can quote values.
        raise refusal(path, "header", f"damage ({type(error).__name__})", "DICOM") from error
    if len(dataset) == 0:  # what pydicom gives for a file that ends early
        raise refusal(path, "file", "an early end", "a whole DICOM file")
    sop_class = _sop_class(dataset)
    if not is_image(sop_class):
        found = UID(sop_class, validation_mode=IGNORE).name
        raise NoImageError(f"{path.name}: SOPClassUID: found {found}, expected an image")
    if "DirectoryRecordSequence" in dataset or not (_is_known(sop_class) or "Rows" in dataset):
        raise NoImageError(f"{path.name}: Rows: found none and no SOP class, expected an image")
    return dataset


def _check_deflated(path: Path, file: SizeLimitedFile) -> None:
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
            syntax = text_of(meta, "TransferSyntaxUID")
    is_deflated = syntax == DeflatedExplicitVRLittleEndian
    if is_deflated and inflates_beyond(file, MAX_INFLATED_BYTES):
        limit = f"at most {MAX_INFLATED_BYTES / 2**20:.0f} MiB"
        raise refusal(path, "file", "more than one image once it is inflated", limit)
    file.seek(0)


def _subject(dataset: FileDataset) -> Subject:
    return subject_of(
        sop_class=_sop_class(dataset),
        modality=text_of(dataset, "Modality"),
        view=text_of(dataset, "ViewPosition"),
        body_part=text_of(dataset, "BodyPartExamined"),
    )


def _is_known(sop_class: str) -> bool:
    return UID(sop_class, validation_mode=IGNORE).type == "SOP Class"


def _sop_class(dataset: FileDataset) -> str:
    return text_of(dataset, "SOPClassUID") or text_of(dataset.file_meta, "MediaStorageSOPClassUID")


def _uid(path: Path, dataset: Dataset) -> str:
    uid = text_of(dataset, "SOPInstanceUID")
    if not uid:
        raise refusal(path, "SOPInstanceUID", "none", "one")
    return uid


def _header(path: Path, dataset: FileDataset) -> Header:
    side = f"1 to {MAX_SIDE_PX}"
    single = "1 (a single greyscale image)"
    checks: tuple[tuple[str, int | None, Callable[[int], bool], str], ...] = (
        ("Rows", None, lambda value: 1 <= value <= MAX_SIDE_PX, side),
        ("Columns", None, lambda value: 1 <= value <= MAX_SIDE_PX, side),
        ("SamplesPerPixel", None, lambda value: value == 1, single),
        ("NumberOfFrames", 1, lambda value: value == 1, single),
        ("BitsAllocated", None, lambda value: value in (8, 16), "8 or 16"),
        ("BitsStored", None, lambda value: 1 <= value <= 16, "1 to 16"),
    )
    numbers: dict[str, int] = {}
    for name, default, accepted, expected in checks:
        value = int_of(dataset, name, default)
        if value is None or not accepted(value):
            raise refusal(path, name, "none" if value is None else value, expected)
        numbers[name] = value
    read_bits(path, dataset)
    photometric = text_of(dataset, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        expected = "MONOCHROME1 or MONOCHROME2"
        # Shown if it is a word of the standard: elsewhere a field can hold anything.
        found = photometric if photometric in _PHOTOMETRIC else "another" if photometric else "none"
        raise refusal(path, "PhotometricInterpretation", found, expected)
    drawn = text_of(dataset, "SyntheticData") == "YES"
    return Header(
        uid=_uid(path, dataset),
        patient_id=text_of(dataset, "PatientID") or None,
        view=text_of(dataset, "ViewPosition").upper() or None,
        spacing=read_spacing(dataset),
        shape=(numbers["Rows"], numbers["Columns"]),
        is_eight_bit=numbers["BitsStored"] <= 8,
        is_phantom=drawn or "PHANTOM" in text_of(dataset, "ImageComments").upper(),
        subject=_subject(dataset),
        kind=kind_of(dataset, _sop_class(dataset)),
        bits_stored=numbers["BitsStored"],
    )
