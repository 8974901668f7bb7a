"""Read masks from a DICOM Segmentation, whichever program wrote it.

pydicom unpacks the frames; highdicom's own reader refuses segmentations of projections that
highdicom itself wrote (0.28.2, `ptxcore.export.dicom_seg` says why).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from ptxcore.data.formats.elements import refusal, text_of
from ptxcore.data.formats.mask_values import ALL
from ptxcore.errors import MaskError

#: Label Map Segmentation Storage, which has no name in pydicom 3.0.2.
LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
#: SNOMED CT's pneumothorax.
_CODE, _WORD = "36118008", "pneumothorax"


def source_uids(path: Path, *, strict: bool = False) -> set[str]:
    """SOP Instance UIDs of the images that a segmentation refers to, without its pixels.

    Args:
        path: Path of any DICOM file.
        strict: Whether to refuse what cannot be read, and a segmentation that names no image.

    Returns:
        None of what is no segmentation; likewise of what cannot be read, unless strict.

    Raises:
        DicomError: As `strict` says; the message names the file.
    """
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except Exception as error:  # a damaged header raises nearly anything inside the parser
        if strict:
            found = f"damage ({type(error).__name__})"
            raise refusal(path, "file", found, "a DICOM file") from error
        return set()
    if text_of(dataset, "SOPClassUID") not in (SegmentationStorage, LABELMAP_STORAGE):
        return set()
    uids = {uid for uid in (_source_of(dataset, group) for group in _groups(dataset)) if uid}
    if strict and not uids:
        raise refusal(path, "SourceImageSequence", "none", "the image that the segmentation is of")
    return uids


def read_seg(path: Path, classes: Sequence[str] | None = None) -> dict[str, NDArray[np.bool_]]:
    """The pneumothorax in each image that a segmentation refers to.

    Args:
        path: Path of the file; binary, fractional (a mask is what reaches half of the most) or
            a label map. Of several segments that is taken which says by its code or label that it
            is a pneumothorax.
        classes: Numbers or labels of the segments that count, united; `ALL` takes every one. An
            empty one takes a single segment, too, only if it says that it is a pneumothorax.

    Returns:
        By SOP Instance UID of the image, bool of shape (H, W).

    Raises:
        DicomError: No segmentation, or one that cannot be read.
        MaskError: No segment is meant, or several are a pneumothorax; a frame names no image.
    """
    try:
        dataset = pydicom.dcmread(path)
        sop_class = text_of(dataset, "SOPClassUID")
        pixels = dataset.pixel_array if sop_class in (SegmentationStorage, LABELMAP_STORAGE) else ()
    except Exception as error:  # likewise
        raise refusal(path, "file", f"damage ({type(error).__name__})", "a segmentation") from error
    if sop_class not in (SegmentationStorage, LABELMAP_STORAGE):
        raise refusal(path, "SOPClassUID", "another object", "a segmentation")
    chosen = _segments(path, dataset, classes)
    frames = np.asarray(pixels).reshape(-1, int(dataset.Rows), int(dataset.Columns))
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    found: dict[str, NDArray[np.bool_]] = {}
    for frame, group in zip(frames, _groups(dataset), strict=True):
        uid = _source_of(dataset, group)
        if uid is None:
            raise MaskError(f"{path.name}: found a frame that names no image, expected its source")
        if sop_class == LABELMAP_STORAGE:
            mask = np.isin(frame, sorted(chosen))
        elif (_segment_of(group) or _segment_of(shared) or min(chosen)) not in chosen:
            mask = np.zeros(frame.shape, dtype=bool)
        elif text_of(dataset, "SegmentationType") == "FRACTIONAL":
            mask = frame >= 0.5 * int(dataset.MaximumFractionalValue)
        else:
            mask = frame > 0
        found[uid] = found.get(uid, np.zeros(frame.shape, dtype=bool)) | mask
    return found


def _groups(dataset: Dataset) -> list[Dataset]:
    """What is said of each frame, in their order."""
    known = dataset.get("PerFrameFunctionalGroupsSequence")
    return list(known) if known else [Dataset()] * int(dataset.get("NumberOfFrames") or 1)


def _source_of(dataset: Dataset, group: Dataset) -> str | None:
    """The image of a frame, None where nothing names one."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    return _source(group) or _source(shared) or _only_source(dataset)


def _segments(path: Path, dataset: Dataset, classes: Sequence[str] | None) -> set[int]:
    """Numbers of the segments that count."""
    segments = list(dataset.get("SegmentSequence") or [])
    if classes and ALL in classes:
        return {int(segment.SegmentNumber) for segment in segments}
    if classes:
        asked = {word.casefold() for word in classes}
        chosen = [one for one in segments if asked & _names(one)]
        if not chosen:
            raise MaskError(
                f"{path.name}: found {len(segments)} segments, none with the number or label that "
                "--mask-class names"
            )
        return {int(segment.SegmentNumber) for segment in chosen}
    named = [segment for segment in segments if _is_pneumothorax(segment)]
    chosen = named or (segments if classes is None else [])
    if len(chosen) != 1:
        raise MaskError(
            f"{path.name}: found {len(segments)} segments, {len(named)} of them a pneumothorax by "
            "code or label, expected one"
            + ("" if classes is None else "; name it (--mask-class 1, all unites them)")
        )
    return {int(chosen[0].SegmentNumber)}


def _names(segment: Dataset) -> set[str]:
    return {str(int(segment.SegmentNumber)), text_of(segment, "SegmentLabel").casefold()}


def _is_pneumothorax(segment: Dataset) -> bool:
    codes = segment.get("SegmentedPropertyTypeCodeSequence") or []
    if any(text_of(code, "CodeValue") == _CODE for code in codes):
        return True
    return _WORD in text_of(segment, "SegmentLabel").casefold()


def _source(group: Dataset) -> str | None:
    for derived in group.get("DerivationImageSequence") or []:
        for source in derived.get("SourceImageSequence") or []:
            return text_of(source, "ReferencedSOPInstanceUID") or None
    return None


def _only_source(dataset: Dataset) -> str | None:
    """The image of a segmentation whose frames name none, if it refers to one alone."""
    uids = {
        text_of(instance, "ReferencedSOPInstanceUID")
        for series in dataset.get("ReferencedSeriesSequence") or []
        for instance in series.get("ReferencedInstanceSequence") or []
    }
    return uids.pop() if len(uids) == 1 else None


def _segment_of(group: Dataset) -> int | None:
    for item in group.get("SegmentIdentificationSequence") or []:
        return int(item.ReferencedSegmentNumber)
    return None
