"""Enhanced objects of one frame: what stands in their functional groups counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_reference import read_reference
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedXAImageStorage
from tiny_dicom import write_dicom

from ptxcore.data.formats.dicom import read_dicom
from ptxcore.errors import DicomError

_ROWS, _COLUMNS = np.mgrid[0:24, 0:31]
PICTURE = (_ROWS * 150 + _COLUMNS).astype(np.uint16)


def _enhanced(path: Path, name: str, macro: str, elements: dict[str, Any]) -> Path:
    write_dicom(path, PICTURE, BitsStored=12, NumberOfFrames=1, SOPClassUID=EnhancedXAImageStorage)
    item, group = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    setattr(group, macro, Sequence([item]))
    dataset = pydicom.dcmread(path)
    setattr(dataset, name, Sequence([group]))
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    "name", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
)
@pytest.mark.parametrize(
    ("macro", "elements"),
    [
        ("PixelValueTransformationSequence", {"RescaleSlope": -1, "RescaleIntercept": 4095}),
        ("FrameVOILUTSequence", {"WindowCenter": 1000, "WindowWidth": 800}),
    ],
)
def test_a_rescale_and_a_window_of_the_frame(
    name: str, macro: str, elements: dict[str, Any], tmp_path: Path
) -> None:
    pixels = read_dicom(_enhanced(tmp_path / "a.dcm", name, macro, elements)).pixels
    plain = write_dicom(tmp_path / "b.dcm", PICTURE, BitsStored=12, **elements)
    np.testing.assert_array_equal(pixels, read_dicom(plain).pixels)
    expected = read_reference(pydicom.dcmread(tmp_path / "a.dcm"))
    assert np.abs(pixels - expected).max() <= 1


def test_the_size_of_a_pixel_of_the_frame(tmp_path: Path) -> None:
    path = _enhanced(
        tmp_path / "a.dcm",
        "SharedFunctionalGroupsSequence",
        "FramePixelDataPropertiesSequence",
        {"ImagerPixelSpacing": [0.2, 0.3]},
    )
    assert read_dicom(path).pixel_spacing_mm == (0.2, 0.3)


def test_a_window_that_cannot_be_applied_is_refused_there_too(tmp_path: Path) -> None:
    elements = {"WindowCenter": 1000, "WindowWidth": 0}
    path = _enhanced(
        tmp_path / "a.dcm", "PerFrameFunctionalGroupsSequence", "FrameVOILUTSequence", elements
    )
    with pytest.raises(DicomError, match="WindowWidth: found 0, expected at least 1"):
        read_dicom(path)
