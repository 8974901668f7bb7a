"""A report has the area of a mask, and refers to its segmentation and image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from dicom_headers import KINDS, SHAPE, dciodvfy_errors, write_projection

from ptxcore.export.dicom_seg import SEG_TYPES, make_seg
from ptxcore.export.dicom_sr import area_of, make_sr
from ptxcore.export.source_image import Maker, read_source

MAKER = Maker(model="ptxsweep-dice", version="3", software="0.1.0")


def report_on(file: Path, num_px: int, out: Path, seg_type: str = "binary") -> Any:
    source = read_source(file)
    mask = (np.arange(SHAPE[0] * SHAPE[1]) < num_px).reshape(SHAPE)
    seg = make_seg(source, mask.astype(float), mask, maker=MAKER, seg_type=seg_type)
    make_sr(source, seg, mask, maker=MAKER).save_as(out)
    return highdicom.sr.srread(out), seg


@pytest.mark.parametrize(
    ("kind", "num_px", "area", "unit", "basis"),
    [
        ("dx", 100, 4.0, "mm2", "at the detector, so larger than in the body"),
        ("dx-calibrated", 100, 2.25, "mm2", "as PixelSpacing says"),
        ("sc", 1000, 28.224, "mm2", "as PixelSpacing says"),
        ("cr-without-spacing", 100, 100.0, "{pixels}", "unknown"),
        ("sc", 0, 0.0, "mm2", "as PixelSpacing says"),
    ],
)
def test_area(tmp_path: Path, kind: str, num_px: int, area: float, unit: str, basis: str) -> None:
    report, seg = report_on(write_projection(tmp_path, kind), num_px, tmp_path / "sr.dcm")
    (group,) = report.content.get_planar_roi_measurement_groups()
    (measured,) = group.get_measurements()
    assert (measured.value, measured.unit.value) == (area, unit)
    refers = [item for item in report.content[0].iterall() if item.tag == (0x0008, 0x1155)]
    assert {item.value for item in refers} == {seg.SOPInstanceUID, "1.2.3.4.5"}
    texts = [item.value for item in report.content[0].iterall() if item.tag == (0x0040, 0xA160)]
    assert f"For research use only, not for diagnosis. Size of a pixel: {basis}." in texts


@pytest.mark.parametrize("seg_type", SEG_TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_that_the_image_had_not(tmp_path: Path, kind: str, seg_type: str) -> None:
    file, out = write_projection(tmp_path, kind), tmp_path / "sr.dcm"
    report_on(file, 50, out, seg_type)
    assert dciodvfy_errors(out) <= dciodvfy_errors(file)


def test_area_is_counted_in_pixels_too(tmp_path: Path) -> None:
    source = read_source(write_projection(tmp_path, "dx"))
    found = area_of(source, np.ones(SHAPE, bool))
    assert (found.pixels, found.mm2) == (1350, pytest.approx(54.0))
