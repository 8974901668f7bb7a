"""What a header says of its picture; free text never comes through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    UltrasoundImageStorage,
    XRayAngiographicImageStorage,
)
from tiny_dicom import write_dicom

from ptxcore.data.formats.dicom import read_dicom, read_header
from ptxcore.data.formats.subject import (
    Subject,
    count_subjects,
    doubts_about,
    is_image,
    refuse_foreign,
    subject_of,
)
from ptxcore.errors import DicomError, NoImageError

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


def of(sop_class: str = "", modality: str = "", *, view: str = "", body_part: str = "") -> Subject:
    return subject_of(sop_class=sop_class, modality=modality, view=view, body_part=body_part)


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [
        (SecondaryCaptureImageStorage, "CR"),  # as in SIIM-ACR
        (ComputedRadiographyImageStorage, "CR"),
        (DigitalXRayImageStorageForPresentation, "DX"),
        (DigitalXRayImageStorageForProcessing, ""),
        (XRayAngiographicImageStorage, "XA"),
        (SecondaryCaptureImageStorage, "OT"),
        (SecondaryCaptureImageStorage, ""),
        (SecondaryCaptureImageStorage, "Jane Doe"),
        ("1.2.3.4.5", "rg"),
        ("", ""),
    ],
)
def test_projections_and_what_says_nothing_pass(sop_class: str, modality: str) -> None:
    assert of(sop_class, modality).foreign is None


@pytest.mark.parametrize(
    ("sop_class", "modality", "found"),
    [
        (CTImageStorage, "CT", ("SOPClassUID", "CT Image Storage")),
        (MRImageStorage, "CR", ("SOPClassUID", "MR Image Storage")),
        (UltrasoundImageStorage, "", ("SOPClassUID", "Ultrasound Image Storage")),
        (
            DigitalMammographyXRayImageStorageForPresentation,
            "MG",
            ("SOPClassUID", "Digital Mammography X-Ray Image Storage - For Presentation"),
        ),
        (SecondaryCaptureImageStorage, "ct", ("Modality", "CT")),
        (ComputedRadiographyImageStorage, "PT", ("Modality", "PT")),
        ("1.2.3.4.5", "US", ("Modality", "US")),
    ],
)
def test_the_sop_class_is_asked_before_the_modality(
    sop_class: str, modality: str, found: tuple[str, str]
) -> None:
    subject = of(sop_class, modality)
    assert subject.foreign == found
    expected = rf"^a: {found[0]}: found {found[1]}, expected a projection radiograph .*; go$"
    with pytest.raises(DicomError, match=expected):
        refuse_foreign("a", subject, "go")
    assert list(doubts_about(count_subjects([subject]))), "taken after all, it is counted"


def test_words_of_lists_are_counted_and_nothing_else() -> None:
    subjects = [
        of("", "CR", view="pa", body_part="CHEST"),
        of("", "DX", view="AP", body_part="Port Chest"),
        of("", "DX", view="LL", body_part="KNEE"),
        of("", "", view="left lateral", body_part=""),
        of("", "Doe^Jane", view="JANE", body_part="fell on 3 March"),
    ]
    contents = count_subjects(subjects)
    assert contents == {
        "modality": {"DX": 2, "CR": 1, "other": 1, "unknown": 1},
        "view": {"AP": 1, "LATERAL": 1, "LL": 1, "PA": 1, "other": 1},
        "body_part": {"CHEST": 2, "KNEE": 1, "other": 1, "unknown": 1},
    }
    assert list(doubts_about(contents)) == [
        "1 image has another modality than a radiograph has (other 1)",
        "2 images are lateral or oblique views (LATERAL 1, LL 1)",
        "2 images name another body part than the chest (KNEE 1, other 1)",
    ]


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("LAT", "LATERAL"),
        ("XTABLE LATERAL", "LATERAL"),
        ("LLAT", "LATERAL"),
        ("LAT_ERECT", "LATERAL"),
        ("OBLIQUE", "LATERAL"),
        ("RAO", "LATERAL"),
        ("PROFIL", "LATERAL"),
        ("LATERALITY", "other"),
        ("LATERAL DECUBITUS", "other"),  # the beam goes through from front to back
        ("FLAT PLATE", "other"),
        ("rl", "RL"),
        ("", "unknown"),
    ],
)
def test_lateral_in_other_words(text: str, view: str) -> None:
    assert of(view=text).view == view


@pytest.mark.parametrize(
    "sop_class",
    [
        BASIC_TEXT_SR,
        GrayscaleSoftcopyPresentationStateStorage,
        EncapsulatedPDFStorage,
        SegmentationStorage,
        MediaStorageDirectoryStorage,
    ],
)
def test_objects_that_are_no_images(sop_class: str, tmp_path: Path) -> None:
    assert not is_image(sop_class)
    path = write_dicom(tmp_path / "a.dcm", PIXELS, SOPClassUID=sop_class, remove=("Rows",))
    for read in (read_header, read_dicom):
        with pytest.raises(NoImageError, match=r"a\.dcm: SOPClassUID: found .*, expected an image"):
            read(path)


def test_a_class_that_the_standard_does_not_know_may_be_an_image(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, SOPClassUID="1.2.3", BodyPartExamined="CHEST")
    assert read_dicom(path).subject == Subject(modality="DX", body_part="CHEST")
