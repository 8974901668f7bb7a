"""Read a chest X-ray from DICOM: check the header, decode, normalise.

Pixels go through the modality rescale (PS3.3 C.11.1) and the VOI window or table (C.11.2), as a
viewer shows them, then MONOCHROME1 is inverted so that dense is bright in every file. Eight-bit
data without such a transform is passed on untouched. JPEG Baseline is decoded by Pillow through
pydicom (pylibjpeg's JPEG plugin is GPL and not used).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from ptxcore.data.radiograph import Radiograph
from ptxcore.errors import DicomError

#: Larger images are refused before anything is allocated; detectors end near 5,000 px.
MAX_SIDE_PX = 16_384
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2")


def read_dicom(path: Path) -> Radiograph:
    """Read one file.

    Args:
        path: A DICOM file with one greyscale image of 8 to 16 bits.

    Returns:
        Its pixels as uint8 where the source has 8 bits and no transform, else uint16 over the
        full range of the displayed values.

    Raises:
        DicomError: Not DICOM, not such an image, or not decodable. The message names the file
            and the field.
    """
    dataset = read_header(path, stop_before_pixels=False)
    _check(path, dataset)
    try:
        raw = dataset.pixel_array
    except Exception as error:  # decoders raise whatever they like; each is a bad file to us
        raise DicomError(f"{path.name}: PixelData: cannot be decoded ({error})") from error
    if raw.shape != (dataset.Rows, dataset.Columns):
        raise DicomError(
            f"{path.name}: PixelData: found shape {raw.shape}, "
            f"expected {(int(dataset.Rows), int(dataset.Columns))}"
        )
    return Radiograph(
        pixels=_displayed(path, dataset, raw),
        uid=str(dataset.SOPInstanceUID),
        patient_id=str(dataset.get("PatientID") or "") or None,
        view=str(dataset.get("ViewPosition") or "").strip().upper() or None,
        pixel_spacing_mm=_spacing(dataset),
        is_phantom="PHANTOM" in str(dataset.get("ImageComments", "")).upper(),
    )


def read_header(path: Path, *, stop_before_pixels: bool = True) -> FileDataset:
    """The data set of a file, without its pixels unless asked for.

    Raises:
        DicomError: The file is not DICOM, or lacks a SOPInstanceUID.
    """
    try:
        dataset: FileDataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except (InvalidDicomError, EOFError, OSError, ValueError, AttributeError, KeyError) as error:
        raise DicomError(f"{path.name}: not a readable DICOM file ({error})") from error
    except Exception as error:  # a damaged header can raise nearly anything inside the parser
        kind = type(error).__name__
        raise DicomError(f"{path.name}: damaged DICOM header ({kind})") from error
    if not str(dataset.get("SOPInstanceUID", "")).strip():
        raise DicomError(f"{path.name}: SOPInstanceUID: found none, expected one")
    return dataset


def _check(path: Path, dataset: FileDataset) -> None:
    for name, accepted, expected in (
        ("Rows", lambda v: 1 <= v <= MAX_SIDE_PX, f"1 to {MAX_SIDE_PX}"),
        ("Columns", lambda v: 1 <= v <= MAX_SIDE_PX, f"1 to {MAX_SIDE_PX}"),
        ("SamplesPerPixel", lambda v: v == 1, "1 (greyscale)"),
        ("BitsStored", lambda v: 1 <= v <= 16, "1 to 16"),
    ):
        value = dataset.get(name)
        if not isinstance(value, int) or not accepted(value):
            raise DicomError(f"{path.name}: {name}: found {value}, expected {expected}")
    frames = dataset.get("NumberOfFrames", 1)
    if frames not in (None, 1):
        raise DicomError(f"{path.name}: NumberOfFrames: found {frames}, expected 1")
    photometric = dataset.get("PhotometricInterpretation")
    if photometric not in _PHOTOMETRIC:
        raise DicomError(
            f"{path.name}: PhotometricInterpretation: found {photometric}, "
            f"expected one of {_PHOTOMETRIC}"
        )
    if "PixelData" not in dataset:
        raise DicomError(f"{path.name}: PixelData: found none, expected an image")


def _displayed(
    path: Path, dataset: FileDataset, raw: NDArray[Any]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if is_plain_eight_bit(dataset) and raw.dtype == np.uint8:
        return np.asarray(255 - raw if inverted else raw, dtype=np.uint8)
    try:
        values = apply_voi_lut(apply_modality_lut(raw, dataset), dataset).astype(np.float64)
    except Exception as error:  # tables of a wrong length and the like
        raise DicomError(f"{path.name}: rescale or VOI: cannot be applied ({error})") from error
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise DicomError(f"{path.name}: rescale or VOI: gives values that are not finite")
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.round((1.0 - share if inverted else share) * 65_535).astype(np.uint16)


def is_plain_eight_bit(dataset: FileDataset) -> bool:
    """Whether `read_dicom` will give uint8: eight bits stored, shown as they are."""
    return int(dataset.get("BitsAllocated", 16)) == 8 and not _has_transform(dataset)


def _has_transform(dataset: FileDataset) -> bool:
    slope = float(dataset.get("RescaleSlope") or 1.0)
    intercept = float(dataset.get("RescaleIntercept") or 0.0)
    tables = ("ModalityLUTSequence", "VOILUTSequence", "WindowCenter")
    return slope != 1.0 or intercept != 0.0 or any(dataset.get(name) for name in tables)


def _spacing(dataset: FileDataset) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        value = dataset.get(name)
        if value is not None and len(value) == 2:
            height, width = float(value[0]), float(value[1])
            if height > 0 and width > 0:
                return height, width
    return None
