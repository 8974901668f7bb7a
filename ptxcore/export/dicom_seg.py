"""A DICOM Segmentation (PS3.3 A.51) of one radiograph, which refers to the image that it is of.

highdicom writes it. Three things it leaves to us for projections (0.28.2): a Secondary Capture with
PixelSpacing gives pixel measures that its own reader refuses, a CR or DX gives none at all, and
PatientOrientation, which an image without a frame of reference must have, is missing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from ptxcore.errors import SettingsError
from ptxcore.export.source_image import Maker, SourceImage, silent

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

#: How the pixels are kept: a bit, the probability in 255 steps, or a number of a segment.
SEG_TYPES = ("binary", "fractional", "labelmap")
LABEL = "Pneumothorax"
#: SNOMED CT; PS3.16 CID 7159 has the category, and no pneumothorax of its own.
CODE = ("36118008", "SCT", LABEL)
#: A projection has no thickness, but highdicom reads no pixel measures without; volumes of a mask
#: on a radiograph mean nothing.
NOMINAL_THICKNESS_MM = 1.0
#: Row and column directions that OHIF takes an image to have that says none, as radiographs do not
#: (its `MetadataProvider`). Its reader (@cornerstonejs/adapters 5.14.0) refuses a segmentation
#: without one, and one that differs. It is no statement about the patient.
OHIF_ORIENTATION = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
RESEARCH = "For research use only, not for diagnosis"
#: Number of a series that comes after what a modality makes.
SERIES_NUMBER = 9001
_MANUFACTURER = "ptxsweep"


def make_seg(
    source: SourceImage,
    probability: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
    *,
    maker: Maker,
    seg_type: str = "binary",
    ohif: bool = False,
) -> Dataset:
    """A segmentation with one segment, pneumothorax, in one frame; an empty mask is a frame too.

    The same image, model and pixels give the same UIDs, so that an archive that is sent one twice
    keeps one.

    Args:
        source: The image.
        probability: Shape (H, W), in [0, 1], on the grid of the image.
        mask: Shape (H, W), bool.
        maker: Named in the segment's description.
        seg_type: "binary" and "labelmap" keep the mask, "fractional" the probability, in steps of
            1/255.
        ohif: Whether to add `OHIF_ORIENTATION` where the image has no orientation.

    Returns:
        With file meta information, to be saved. Patient and study are those of the image.

    Raises:
        SettingsError: Another type.
    """
    from highdicom.seg import Segmentation

    if seg_type not in SEG_TYPES:
        raise SettingsError(f"seg type: found {seg_type!r}, expected {', '.join(SEG_TYPES)}")
    pixels = {
        "binary": mask[None],
        "labelmap": mask[None].astype(np.uint8),
        "fractional": np.clip(probability, 0.0, 1.0)[None].astype(np.float32),
    }[seg_type]
    kind = f"{seg_type} for OHIF" if ohif else seg_type
    uids = _uids(source, maker, kind, pixels)
    with silent():
        seg = Segmentation(
            source_images=[source.header],
            pixel_array=pixels,
            segmentation_type=seg_type.upper(),
            segment_descriptions=[_description(maker)],
            series_instance_uid=uids[0],
            series_number=SERIES_NUMBER,
            sop_instance_uid=uids[1],
            instance_number=1,
            manufacturer=_MANUFACTURER,
            manufacturer_model_name=_MANUFACTURER,
            software_versions=maker.software,
            device_serial_number=f"{maker.model} {maker.version}"[:64],
            content_description=RESEARCH,
            content_label="PNEUMOTHORAX",
            series_description=f"{LABEL}: {RESEARCH}",
            transfer_syntax_uid=ExplicitVRLittleEndian,  # viewers in a browser read no other
            pixel_measures=_measures(source),
            omit_empty_frames=False,
        )
        seg.PatientOrientation = source.header.get("PatientOrientation") or ""
        if source.spacing_mm is None:  # highdicom copies what the image says, even nonsense
            for group in seg.SharedFunctionalGroupsSequence:
                group.pop("PixelMeasuresSequence", None)
        if ohif and "ImageOrientationPatient" not in source.header:
            plane = Dataset()
            plane.ImageOrientationPatient = list(OHIF_ORIENTATION)
            seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = Sequence([plane])
    return seg


def _description(maker: Maker) -> SegmentDescription:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    return hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=hd.sr.CodedConcept(*CODE),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=maker.model, version=maker.version, family=codes.DCM.ArtificialIntelligence
        ),
    )


def _measures(source: SourceImage) -> Any:
    import highdicom as hd

    if source.spacing_mm is None:
        return None
    return hd.PixelMeasuresSequence(
        pixel_spacing=source.spacing_mm, slice_thickness=NOMINAL_THICKNESS_MM
    )


def _uids(source: SourceImage, maker: Maker, kind: str, pixels: NDArray[Any]) -> tuple[str, str]:
    """Series and SOP Instance UID, of what makes this object what it is."""
    content = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    words = [source.uid, maker.model, maker.version, maker.software, kind, content]
    series, instance = (generate_uid(entropy_srcs=[*words, role]) for role in ("series", "image"))
    return series, instance
