from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from ptxcore.data.formats.object_kind import (
    ObjectKind,
    count_kinds,
    describe_kinds,
    doubts_about_kinds,
    kind_of,
    refuse_burned_in,
)
from ptxcore.errors import DicomError

CR, DX = ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation


@pytest.mark.parametrize(
    ("sop_class", "elements", "expected"),
    [
        (CR, {}, {"object": "CR"}),
        (
            DX,
            {"ImageType": ["ORIGINAL", "PRIMARY", ""]},
            {"object": "DX", "image_type": "original primary"},
        ),
        (DX, {"PresentationIntentType": "FOR PROCESSING"}, {"object": "DX for processing"}),
        (DigitalXRayImageStorageForProcessing, {}, {"object": "DX for processing"}),
        (
            SecondaryCaptureImageStorage,
            {"ImageType": "DERIVED\\SECONDARY"},
            {"object": "secondary capture", "image_type": "derived secondary"},
        ),
        ("1.2.3", {}, {"object": "unknown"}),
        ("1.2.840.10008.5.1.4.1.1.2", {}, {"object": "other"}),
        (CR, {"ImageLaterality": "U"}, {"object": "CR", "laterality": "unpaired"}),
        (CR, {"Laterality": "L"}, {"object": "CR", "laterality": "left"}),
        (CR, {"Laterality": "MRS DOE"}, {"object": "CR", "laterality": "other"}),
        (CR, {"ImageType": ["DOE", "JANE"]}, {"object": "CR", "image_type": "other"}),
        (CR, {"BurnedInAnnotation": "YES"}, {"object": "CR", "is_burned_in": True}),
        (CR, {"BurnedInAnnotation": "NO"}, {"object": "CR"}),
    ],
)
def test_kinds(sop_class: str, elements: dict[str, Any], expected: dict[str, Any]) -> None:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    assert kind_of(dataset, sop_class) == ObjectKind(**expected)


def test_what_is_said_of_them() -> None:
    raw = ObjectKind(object="DX for processing", laterality="left")
    counts = count_kinds([raw, ObjectKind(object="DX"), ObjectKind(object="DX")])
    assert counts["object"] == {"DX": 2, "DX for processing": 1}
    assert describe_kinds(counts).startswith(
        "object DX 2, DX for processing 1; image type unknown 3"
    )
    first, second = doubts_about_kinds(counts)
    assert first.startswith("1 of 3 images are DX for processing")
    assert second.startswith("1 image is of one side")
    refuse_burned_in("a", raw, "")
    with pytest.raises(DicomError, match=r"^a: BurnedInAnnotation: found YES.*; leave it out"):
        refuse_burned_in("a", ObjectKind(is_burned_in=True), "leave it out")
