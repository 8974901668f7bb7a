"""Write a phantom data set as a radiology archive would hand it over: DICOM files and a csv."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from ptxcore.data.formats.rle import encode
from ptxcore.data.parallel import in_order, num_processors
from ptxcore.data.phantom._cohort import Order, order_cases
from ptxcore.data.phantom._draw import draw
from ptxcore.errors import DataError

SMALLEST_SIZE_PX = 64
#: Detector of 43 cm, whatever the number of pixels.
_FIELD_MM = 430.0
_COMMENT = "PHANTOM: drawn by ptxsweep, not a patient"
_NOTE = (
    "PHANTOM. Every image in this folder is drawn by a program (ptxsweep); none shows a patient.\n"
    "Scores on it say nothing about scores on radiographs.\n"
)


@dataclass(frozen=True, kw_only=True)
class PhantomFiles:
    """Where the files are.

    Attributes:
        dicom: Folder of DICOM files.
        rle: Masks in the SIIM-ACR dialect: `ImageId, EncodedPixels`.
    """

    dicom: Path
    rle: Path


def write_phantom(
    folder: Path, *, num_cases: int, size: int = 512, prevalence: float = 0.22, seed: int
) -> PhantomFiles:
    """Draw a data set.

    Args:
        folder: New or empty.
        num_cases: Images, about 1.5 per patient.
        size: Side of an image in pixels, at least 64.
        prevalence: Share of images with a pneumothorax, in [0, 1].
        seed: Decides everything; the same arguments write the same bytes.

    Raises:
        DataError: The folder holds something, or an argument is out of its range.
    """
    _check(folder, num_cases, size, prevalence, seed)
    dicom, rle = folder / "dicom", folder / "phantom-rle.csv"
    dicom.mkdir(parents=True, exist_ok=True)
    (folder / "PHANTOM.txt").write_text(_NOTE, encoding="utf-8")
    name = f"ptxsweep-phantom/{num_cases}/{size}/{prevalence!r}/{seed}"

    def make(order: Order) -> list[str]:
        pixels, mask = draw(order, size)
        uid = _uid(f"{name}/image/{order.index}")
        _dataset(order, pixels, uid, name).save_as(
            dicom / f"phantom-{order.index:05d}.dcm", enforce_file_format=True
        )
        return [f"{uid}, {row}\n" for row in _rows(mask, order)]

    orders = order_cases(num_cases, prevalence, seed)
    with rle.open("w", encoding="utf-8") as table:
        table.write("ImageId, EncodedPixels\n")
        for lines in in_order(make, orders, num_processors()):
            table.writelines(lines)
    return PhantomFiles(dicom=dicom, rle=rle)


def _check(folder: Path, num_cases: int, size: int, prevalence: float, seed: int) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists already and is not an empty folder; choose another")
    limits = (("num_cases", num_cases, 1), ("size", size, SMALLEST_SIZE_PX), ("seed", seed, 0))
    for field, value, least in limits:
        if value < least:
            raise DataError(f"{field}: found {value}, expected at least {least}")
    if not 0 <= prevalence <= 1:
        raise DataError(f"prevalence: found {prevalence}, expected 0 to 1")


def _uid(name: str) -> UID:
    """A UID of the UUID-derived root (PS3.5 B.2), the same for the same name."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, name).int}")


def _rows(mask: NDArray[np.bool_], order: Order) -> list[str]:
    """Encodings; every fourth positive image has two that overlap, as annotators leave them."""
    if not mask.any() or order.index % 4:
        return [encode(mask)]
    lines = np.flatnonzero(mask.any(axis=1))
    middle = int(lines[len(lines) // 2])
    upper, lower = mask.copy(), mask.copy()
    upper[middle + 2 :] = False
    lower[: max(middle - 1, 0)] = False
    return [encode(part) for part in (upper, lower) if part.any()]


def _dataset(order: Order, pixels: NDArray[np.uint8], uid: UID, name: str) -> Dataset:
    """A Computed Radiography image (PS3.3 A.2), uncompressed."""
    patient = f"PHANTOM-{order.patient:04d}"
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = _uid("ptxsweep")
    spacing = round(_FIELD_MM / pixels.shape[0], 4)
    inverted = order.index % 12 == 5
    fields: dict[str, object] = {
        "ImageType": ["DERIVED", "PRIMARY"],
        "SyntheticData": "YES",
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": uid,
        "StudyDate": "",
        "StudyTime": "",
        "AccessionNumber": "",
        "Modality": "CR",
        "Manufacturer": "ptxsweep phantom",
        "ReferringPhysicianName": "",
        "SeriesDescription": "phantom",
        "PatientName": "PHANTOM",
        "PatientID": patient,
        "PatientBirthDate": "",
        "PatientSex": "",
        "BodyPartExamined": "CHEST",
        "ViewPosition": order.view,
        "StudyInstanceUID": _uid(f"{name}/study/{order.index}"),
        "SeriesInstanceUID": _uid(f"{name}/series/{order.index}"),
        "StudyID": "",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "PatientOrientation": ["L", "F"],
        "ImageComments": _COMMENT,
        "SamplesPerPixel": 1,
        # Some archives store white as 0; readers must cope.
        "PhotometricInterpretation": "MONOCHROME1" if inverted else "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelSpacing": [spacing, spacing],
        "ImagerPixelSpacing": [spacing, spacing],
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "BurnedInAnnotation": "NO",
    }
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    stored = (255 - pixels if inverted else pixels).tobytes()
    dataset.add_new("PixelData", "OB", stored + b"\0" * (len(stored) % 2))
    return dataset
