"""What kind of object a radiograph is: CR or DX, processed or not, original or derived, which side.

Only words of the lists below are ever counted or shown, as in `ptxcore.data.formats.subject`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ptxcore.data.formats.elements import text_of
from ptxcore.data.formats.subject import OTHER, UNKNOWN
from ptxcore.errors import DicomError

FOR_PROCESSING = "DX for processing"
_CLASSES = {
    "ComputedRadiographyImageStorage": "CR",
    "DigitalXRayImageStorageForPresentation": "DX",
    "DigitalXRayImageStorageForProcessing": FOR_PROCESSING,
    "XRayAngiographicImageStorage": "XA",
    "XRayRadiofluoroscopicImageStorage": "RF",
    "SecondaryCaptureImageStorage": "secondary capture",
}
_SIDES = {"R": "right", "L": "left", "U": "unpaired", "B": "both"}
_WHAT = {"object": "object", "image_type": "image type", "laterality": "laterality"}


@dataclass(frozen=True, kw_only=True)
class ObjectKind:
    """What a header says of its object. Words of a list, "other", or "unknown" where none stands.

    Attributes:
        object: "CR", "DX", "DX for processing", "secondary capture" ...
        image_type: "original primary" and the like.
        laterality: "unpaired" of a whole chest; "right", "left", "both".
        is_burned_in: Whether it says that words of a patient are drawn into the pixels.
    """

    object: str = UNKNOWN
    image_type: str = UNKNOWN
    laterality: str = UNKNOWN
    is_burned_in: bool = False


def kind_of(dataset: Dataset, sop_class: str) -> ObjectKind:
    """What a header says.

    Args:
        dataset: The header.
        sop_class: UID of the SOP class.
    """
    uid = UID(sop_class, validation_mode=IGNORE)
    word = _CLASSES.get(uid.keyword, OTHER) if uid.type == "SOP Class" else UNKNOWN
    if word == "DX" and text_of(dataset, "PresentationIntentType").upper() == "FOR PROCESSING":
        word = FOR_PROCESSING
    side = (text_of(dataset, "ImageLaterality") or text_of(dataset, "Laterality")).upper()
    return ObjectKind(
        object=word,
        image_type=_image_type(text_of(dataset, "ImageType").upper()),
        laterality=_SIDES.get(side, OTHER) if side else UNKNOWN,
        is_burned_in=text_of(dataset, "BurnedInAnnotation").upper() == "YES",
    )


def _image_type(text: str) -> str:
    values = text.strip("[]").replace("'", "").replace(", ", "\\").split("\\")
    if len(values) < 2:
        return UNKNOWN
    is_known = values[0] in ("ORIGINAL", "DERIVED") and values[1] in ("PRIMARY", "SECONDARY")
    return f"{values[0]} {values[1]}".lower() if is_known else OTHER


def refuse_burned_in(name: str, kind: ObjectKind, advice: str) -> None:
    """Refuse a picture with words of a patient in it.

    Args:
        name: What the message calls the file.
        kind: What it is.
        advice: What to do if it is meant.

    Raises:
        DicomError: BurnedInAnnotation is YES.
    """
    if kind.is_burned_in:
        raise DicomError(
            f"{name}: BurnedInAnnotation: found YES, expected a picture without a patient's name "
            f"or other words drawn into it; {advice}"
        )


def count_kinds(kinds: Iterable[ObjectKind]) -> dict[str, dict[str, int]]:
    """How often each word was found, by "object", "image_type" and "laterality"."""
    known = list(kinds)
    return {
        what: dict(Counter(sorted(getattr(kind, what) for kind in known)).most_common())
        for what in _WHAT
    }


def describe_kinds(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Counts on one line, such as "object CR 252; image type unknown 252; laterality ..."."""
    return "; ".join(
        f"{_WHAT.get(what, what)} " + ", ".join(f"{word} {number}" for word, number in own.items())
        for what, own in counts.items()
    )


def doubts_about_kinds(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Sentences about objects that are not what a radiologist looks at.

    Args:
        counts: Counts from `count_kinds`; nothing is said of what it lacks.
    """
    raw = counts.get("object", {}).get(FOR_PROCESSING, 0)
    total = sum(counts.get("object", {}).values())
    if raw:
        yield (
            f"{raw} of {total} images are DX for processing: values of the detector before the "
            "processing that makes them a picture, which look unlike the others"
        )
    sides = counts.get("laterality", {})
    if one_side := sides.get("right", 0) + sides.get("left", 0):
        verb = "image is" if one_side == 1 else "images are"
        yield f"{one_side} {verb} of one side, by the laterality, as a whole chest is not"
