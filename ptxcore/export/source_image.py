"""The header of the image that a mask is of, as an object that refers to it needs it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from ptxcore.data.formats.elements import refusal, spacing_of, text_of

#: It logs patients' names, as `silent` says of its warnings.
logging.getLogger("highdicom").setLevel(logging.CRITICAL)
#: Without them nothing can refer to an image.
_REFERENCE = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
#: May be empty in an image, but highdicom reads them of every source.
_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime",
)  # fmt: skip
#: PS3.3 C.7.1.1; files hold "MALE" and "U" too, for which highdicom has no value.
_SEXES = ("M", "F", "O")
#: Where a pixel's size stands, and where it was measured.
_SPACINGS = {
    "PixelSpacing": "as PixelSpacing says",
    "ImagerPixelSpacing": "at the detector, so larger than in the body",
    "NominalScannedPixelSpacing": "on the scanned film",
}


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """What a mask is of.

    Attributes:
        header: The image's elements without its pixels; carries the patient's identity.
        spacing_mm: Height and width of a pixel; None where the image does not say.
        spacing_origin: Where that size was measured, in words.
    """

    header: Dataset
    spacing_mm: tuple[float, float] | None
    spacing_origin: str

    @property
    def uid(self) -> str:
        """SOP Instance UID of the image."""
        return text_of(self.header, "SOPInstanceUID")


@dataclass(frozen=True, kw_only=True)
class Maker:
    """What drew a mask.

    Attributes:
        model: Name of the model, at most 64 characters.
        version: Version of the model.
        software: Version of this package.
    """

    model: str
    version: str
    software: str


def read_source(path: Path) -> SourceImage:
    """Read a header that a derived object can refer to.

    Args:
        path: A file that `read_dicom` reads.

    Raises:
        DicomError: An identifier by which others find the image is missing.
    """
    with silent():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        for keyword in _REFERENCE:
            if not text_of(header, keyword):
                expected = "one, to which a segmentation or report can refer"
                raise refusal(path, keyword, "none", expected)
        for keyword in _TYPE_2:
            if keyword not in header:
                setattr(header, keyword, "")
        if text_of(header, "PatientSex") not in _SEXES:
            header.PatientSex = ""
        for keyword, origin in _SPACINGS.items():
            spacing = spacing_of(header, keyword)
            if spacing is not None:
                return SourceImage(header=header, spacing_mm=spacing, spacing_origin=origin)
    return SourceImage(header=header, spacing_mm=None, spacing_origin="unknown")


@contextmanager
def silent() -> Iterator[None]:
    """No warnings: those of pydicom 3.0.2 and highdicom 0.28.2 quote the patient's name and id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
