"""A structured report (TID 1500) with the area of a mask, which refers to its segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from ptxcore.export.dicom_seg import CODE, RESEARCH, SERIES_NUMBER
from ptxcore.export.source_image import Maker, SourceImage, silent

_PROCEDURE = ("399208008", "SCT", "Plain chest X-ray")
_MM2 = ("mm2", "UCUM", "square millimeter")
_PIXELS = ("{pixels}", "UCUM", "pixels")


@dataclass(frozen=True, kw_only=True)
class Area:
    """How large a mask is.

    Attributes:
        pixels: Pixels of the mask.
        mm2: Area in square millimetres; None where the image says no size of a pixel.
        basis: Where that size was measured, in words.
    """

    pixels: int
    mm2: float | None
    basis: str


def area_of(source: SourceImage, mask: NDArray[np.bool_]) -> Area:
    """The area of a mask.

    Args:
        source: The image.
        mask: Shape (H, W), bool, on its grid.
    """
    pixels = int(np.count_nonzero(mask))
    spacing = source.spacing_mm
    mm2 = None if spacing is None else pixels * spacing[0] * spacing[1]
    return Area(pixels=pixels, mm2=mm2, basis=source.spacing_origin)


def make_sr(source: SourceImage, seg: Dataset, mask: NDArray[np.bool_], *, maker: Maker) -> Dataset:
    """A measurement report on one segment.

    Args:
        source: The image.
        seg: What `make_seg` made of the mask.
        mask: Shape (H, W), bool.
        maker: Observer of the report, a device.

    Returns:
        A Comprehensive 3D SR with file meta information, to be saved. The area is in mm2, or in
        pixels where the image says no size of a pixel.
    """
    import highdicom as hd
    from highdicom.sr import MeasurementReport, RelationshipTypeValues, TextContentItem
    from pydicom.sr.codedict import codes

    area = area_of(source, mask)
    series, instance = (
        generate_uid(entropy_srcs=[str(seg.SOPInstanceUID), role])
        for role in ("report series", "report")
    )
    with silent():
        report = MeasurementReport(
            observation_context=_observer(maker),
            procedure_reported=hd.sr.CodedConcept(*_PROCEDURE),
            imaging_measurements=[_measured(source, seg, area, maker)],
        )
        report[0].ContentSequence.append(
            TextContentItem(
                name=codes.DCM.Comment,
                value=f"{RESEARCH}. Size of a pixel: {area.basis}.",
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
        )
        return hd.sr.Comprehensive3DSR(
            evidence=[source.header, seg],
            content=report[0],
            series_instance_uid=series,
            series_number=SERIES_NUMBER + 1,
            sop_instance_uid=instance,
            instance_number=1,
            manufacturer="ptxsweep",
            series_description=f"{CODE[2]}: {RESEARCH}",
        )


def _observer(maker: Maker) -> Any:
    """The model, as the device that observed."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[maker.model, maker.version, maker.software]),
        name=f"{maker.model} version {maker.version}",
        manufacturer_name="ptxsweep",
        model_name=maker.model,
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _measured(source: SourceImage, seg: Dataset, area: Area, maker: Maker) -> Any:
    """The group of measurements (TID 1410): of one segment, its area."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    value, unit = (area.pixels, _PIXELS) if area.mm2 is None else (round(area.mm2, 3), _MM2)
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=generate_uid(entropy_srcs=[str(seg.SOPInstanceUID), "tracking"]),
            identifier=CODE[2],
        ),
        referenced_segment=sr.ReferencedSegmentationFrame(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            frame_number=1,
            segment_number=1,
            source_image=sr.SourceImageForSegmentation.from_source_image(source.header),
        ),
        finding_type=sr.CodedConcept(*CODE),
        finding_sites=[sr.FindingSite(anatomic_location=codes.SCT.PleuralStructure)],
        algorithm_id=sr.AlgorithmIdentification(name=maker.model, version=maker.version),
        measurements=[
            sr.Measurement(name=codes.SCT.Area, value=float(value), unit=sr.CodedConcept(*unit))
        ],
    )
    _refer_to_the_whole(group)
    return group


def _refer_to_the_whole(group: Sequence[Dataset]) -> None:
    """Highdicom 0.28.2 names frame and segment, of which PS3.3 C.18.4 allows one.

    A reference without either is to the whole object, which has one frame of one segment.
    """
    for item in group[0].iterall():
        if item.keyword == "ReferencedSOPSequence":
            for reference in item.value:
                reference.pop("ReferencedFrameNumber", None)
                reference.pop("ReferencedSegmentNumber", None)
