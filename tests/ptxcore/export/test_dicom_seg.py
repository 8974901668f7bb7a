"""A segmentation is read back by its writer's reader and by pydicom, and has no new fault."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_headers import KINDS, NAME, PATIENT_ID, SHAPE, dciodvfy_errors, write_projection
from numpy.typing import NDArray

from ptxcore.errors import DicomError, SettingsError
from ptxcore.export.dicom_seg import OHIF_ORIENTATION, SEG_TYPES, make_seg
from ptxcore.export.source_image import Maker, read_source

MAKER = Maker(model="ptxsweep-dice", version="3", software="0.1.0")


def drawn(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    return rng.random(shape).astype(np.float32)


def read_back(path: Path, uid: str, seg_type: str) -> NDArray[Any]:
    options: dict[str, Any] = {"rescale_fractional": True} if seg_type == "fractional" else {}
    seg = highdicom.seg.segread(path)
    pixels = seg.get_pixels_by_source_instance([uid], segment_numbers=[1], **options)
    return np.asarray(pixels[0, ..., 0])


@pytest.mark.parametrize("is_empty", [False, True])
@pytest.mark.parametrize("seg_type", SEG_TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_projection_comes_back(
    tmp_path: Path, rng: np.random.Generator, kind: str, seg_type: str, is_empty: bool
) -> None:
    file = write_projection(tmp_path, kind)
    source = read_source(file)
    probability = drawn(rng)
    mask = np.zeros(SHAPE, bool) if is_empty else probability >= 0.5
    path = tmp_path / "seg.dcm"
    make_seg(source, probability, mask, maker=MAKER, seg_type=seg_type).save_as(path)

    found = read_back(path, source.uid, seg_type)
    if seg_type == "fractional":
        np.testing.assert_allclose(found, probability, atol=0.5 / 255 + 1e-6)
    else:
        np.testing.assert_array_equal(found, mask)
        np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, mask)
    assert dciodvfy_errors(path) <= dciodvfy_errors(file)


def test_real_images_come_back(siim: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    files = sorted((siim / "dicom").rglob("*.dcm"))[::400]
    for file in files:
        source = read_source(file)
        shape = (source.header.Rows, source.header.Columns)
        mask = drawn(rng, shape) > 0.9
        for seg_type in SEG_TYPES:
            path = tmp_path / "seg.dcm"
            seg = make_seg(source, mask.astype(float), mask, maker=MAKER, seg_type=seg_type)
            seg.save_as(path)
            np.testing.assert_array_equal(read_back(path, source.uid, seg_type), mask)
            assert dciodvfy_errors(path) <= dciodvfy_errors(file)
    assert files


@pytest.mark.parametrize(
    ("kind", "spacing", "orientation"),
    [
        ("dx", [0.2, 0.2], ["L", "F"]),
        ("dx-calibrated", [0.15, 0.15], ""),
        ("cr", [0.2, 0.2], ""),
        ("sc", [0.168, 0.168], ""),
        ("cr-without-spacing", None, ""),
        ("sc-with-nonsense", None, ""),
    ],
)
def test_spacing_and_orientation_are_those_of_the_image(
    tmp_path: Path, kind: str, spacing: list[float] | None, orientation: list[str] | str
) -> None:
    source = read_source(write_projection(tmp_path, kind))
    mask = np.zeros(SHAPE, bool)
    seg = make_seg(source, mask.astype(float), mask, maker=MAKER)
    shared = seg.SharedFunctionalGroupsSequence[0]
    measures = shared.get("PixelMeasuresSequence")
    assert (None if measures is None else list(measures[0].PixelSpacing)) == spacing
    assert seg.PatientOrientation == orientation


def test_it_refers_to_its_image_and_says_what_drew_it(tmp_path: Path) -> None:
    source = read_source(write_projection(tmp_path, "dx"))
    mask = np.ones(SHAPE, bool)
    seg = make_seg(source, mask.astype(float), mask, maker=MAKER)
    assert (seg.PatientName, seg.PatientID) == (NAME, PATIENT_ID)
    assert seg.StudyInstanceUID == source.header.StudyInstanceUID
    series = seg.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == source.header.SeriesInstanceUID
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == source.uid
    segment = seg.SegmentSequence[0]
    assert segment.SegmentLabel == "Pneumothorax"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("ptxsweep-dice", "3")
    assert "not for diagnosis" in seg.SeriesDescription


def test_the_same_mask_has_the_same_uids_and_another_has_others(tmp_path: Path) -> None:
    source = read_source(write_projection(tmp_path, "dx"))
    masks = [np.zeros(SHAPE, bool), np.zeros(SHAPE, bool), np.ones(SHAPE, bool)]
    made = [make_seg(source, mask.astype(float), mask, maker=MAKER) for mask in masks]
    uids = [(seg.SOPInstanceUID, seg.SeriesInstanceUID) for seg in made]
    assert uids[0] == uids[1]
    assert not {*uids[0]} & {*uids[2]}


def test_nothing_of_the_patient_is_logged_or_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A name of one component, an age without its unit, an id that is too long: all of them occur.
    odd = {"PatientName": "Doe", "PatientID": "P" * 70}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = write_projection(tmp_path, "sc", **odd)
    mask = np.zeros(SHAPE, bool)
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        make_seg(read_source(file), mask.astype(float), mask, maker=MAKER)
    assert not warned
    assert not [record for record in caplog.records if record.name.startswith("highdicom")]


@pytest.mark.parametrize("missing", ["SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_an_image_that_nothing_can_refer_to_is_refused(tmp_path: Path, missing: str) -> None:
    file = write_projection(tmp_path, "dx")
    dataset = pydicom.dcmread(file)
    del dataset[missing]
    dataset.save_as(file)
    with pytest.raises(DicomError, match=f"dx.dcm: {missing}: found none, expected one, to which"):
        read_source(file)


@pytest.mark.parametrize("kind", KINDS)
def test_ohif_gets_the_orientation_that_it_takes_radiographs_to_have(
    tmp_path: Path, kind: str
) -> None:
    file = write_projection(tmp_path, kind)
    source, mask, path = read_source(file), np.eye(*SHAPE, dtype=bool), tmp_path / "seg.dcm"
    plain = make_seg(source, mask.astype(float), mask, maker=MAKER)
    assert "PlaneOrientationSequence" not in plain.SharedFunctionalGroupsSequence[0]
    seg = make_seg(source, mask.astype(float), mask, maker=MAKER, ohif=True)
    assert seg.SOPInstanceUID != plain.SOPInstanceUID
    plane = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    assert list(plane.ImageOrientationPatient) == list(OHIF_ORIENTATION)
    seg.save_as(path)
    np.testing.assert_array_equal(read_back(path, source.uid, "binary"), mask)
    assert dciodvfy_errors(path) <= dciodvfy_errors(file)


def test_another_type_is_refused(tmp_path: Path) -> None:
    source = read_source(write_projection(tmp_path, "dx"))
    mask = np.zeros(SHAPE, bool)
    with pytest.raises(SettingsError, match="found 'surface', expected binary, fractional, label"):
        make_seg(source, mask.astype(float), mask, maker=MAKER, seg_type="surface")
