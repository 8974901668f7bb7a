"""Where the masks of an import come from: a table of run lengths, or files by the names of images.

A source is asked for the ids that it has something of before any image is read, is told the shapes
of the images before any mask is decoded, and gives the masks one by one, in any thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.coco import Annotated, draw_coco, read_coco
from ptxcore.data.formats.dicom_seg import read_seg, source_uids
from ptxcore.data.formats.files import list_files
from ptxcore.data.formats.mask_values import Reading
from ptxcore.data.formats.png import read_png_header
from ptxcore.data.formats.png_mask import read_png_mask
from ptxcore.data.formats.rle_fit import Asked, dialect_of
from ptxcore.data.formats.rle_table import Table
from ptxcore.data.formats.volume_mask import SUFFIXES as VOLUMES
from ptxcore.data.formats.volume_mask import read_volume_mask
from ptxcore.data.importing.naming import speaking_of
from ptxcore.errors import MaskError

#: What programs put behind the name of the image.
_ENDINGS = (".mask", "_mask", "-mask", "_seg", "_label", "_segmentation")


class MaskSource(Protocol):
    """Masks by the ids of their images."""

    @property
    def ids(self) -> Collection[str]:
        """Ids with an annotation, be it an empty one."""

    def fitted(self, shapes: Mapping[str, tuple[int, int]]) -> MaskSource:
        """The source, read so that it fits the images.

        Args:
            shapes: Height and width of the images that become cases, by id.

        Raises:
            MaskError: It fits them in no way, or in several.
        """

    def mask(self, image_id: str, shape: tuple[int, int], label: str) -> NDArray[np.bool_]:
        """The mask of an image.

        Args:
            image_id: Id of the image; empty where the source has nothing of it.
            shape: Height and width of the image, and of the mask.
            label: What messages call the mask.

        Raises:
            DataError: It cannot be read, or is of another size.
        """

    def describe(self) -> str:
        """How the masks are read, in words."""


@dataclass(frozen=True, kw_only=True)
class RleMasks:
    """A table of run-length encodings.

    Attributes:
        table: Table from `read_table`.
        asked: What the user says of its dialect.
    """

    table: Table
    asked: Asked = field(default_factory=Asked)

    @property
    def ids(self) -> Collection[str]:
        """See `MaskSource`, likewise below."""
        return self.table.rows.keys()

    def fitted(self, shapes: Mapping[str, tuple[int, int]]) -> RleMasks:
        """With the dialect that fits."""
        dialect = dialect_of(self.table, shapes, self.asked)
        return replace(self, table=replace(self.table, dialect=dialect))

    def mask(self, image_id: str, shape: tuple[int, int], label: str) -> NDArray[np.bool_]:
        """Decoded."""
        try:
            return self.table.decode(image_id, *shape)
        except MaskError as error:
            place, _, text = str(error).partition(": ")
            raise MaskError(f"{label}: {text} [{place}]") from error

    def describe(self) -> str:
        """The dialect."""
        return f"run lengths: {self.table.dialect.describe()}"


@dataclass(frozen=True, kw_only=True)
class FileMasks:
    """Files: PNG, NIfTI, NRRD or DICOM Segmentation, by their names.

    Attributes:
        paths: Paths by the ids of their images.
        reading: What is known of their values.
    """

    paths: Mapping[str, Path]
    reading: Reading = field(default_factory=Reading)

    @property
    def ids(self) -> Collection[str]:
        """See `MaskSource`, likewise below."""
        return self.paths.keys()

    def fitted(self, shapes: Mapping[str, tuple[int, int]]) -> FileMasks:
        """As it is."""
        return self

    def mask(self, image_id: str, shape: tuple[int, int], label: str) -> NDArray[np.bool_]:
        """Read, if it has the size of its image."""
        path = self.paths.get(image_id)
        if path is None:
            return np.zeros(shape, dtype=np.bool_)
        with speaking_of(path, label):
            name = path.name.lower()
            if name.endswith(".png"):
                check_size(read_png_header(path).shape, shape)
                return read_png_mask(path, self.reading.threshold, self.reading.classes)
            if name.endswith(VOLUMES):
                mask = read_volume_mask(path, self.reading)
            else:
                mask = read_seg(path, self.reading.classes)[image_id]
            check_size(mask.shape, shape)
            return mask

    def describe(self) -> str:
        """Their kinds and classes."""
        kinds = Counter(_kind(path) for path in self.paths.values())
        shown = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        classes = f"; classes {', '.join(self.reading.classes)}" if self.reading.classes else ""
        return f"masks: files by the names of their images ({shown}){classes}"


@dataclass(frozen=True, kw_only=True)
class CocoMasks:
    """Annotations in the format of COCO.

    Attributes:
        annotated: Images from `read_coco`.
    """

    annotated: Mapping[str, Annotated]

    @property
    def ids(self) -> Collection[str]:
        """See `MaskSource`, likewise below."""
        return self.annotated.keys()

    def fitted(self, shapes: Mapping[str, tuple[int, int]]) -> CocoMasks:
        """As it is."""
        return self

    def mask(self, image_id: str, shape: tuple[int, int], label: str) -> NDArray[np.bool_]:
        """Drawn, if the file says the size of the image."""
        found = self.annotated.get(image_id)
        if found is None:
            return np.zeros(shape, dtype=np.bool_)
        try:
            check_size(found.shape, shape)
            return draw_coco(found)
        except MaskError as error:
            raise MaskError(f"{label}: {error}") from error

    def describe(self) -> str:
        """How many images it speaks of."""
        return f"masks: COCO annotations of {len(self.annotated)} images"


def find_masks(place: Path, images: Path, reading: Reading) -> FileMasks | CocoMasks:
    """The masks of a folder, or of a JSON file of COCO.

    Args:
        place: The file, or a folder that is searched at any depth: PNG, NIfTI and NRRD files by the
            name of the image's file or its SOPInstanceUID, with an ending such as `_mask` where
            the folder is that of the images; and DICOM Segmentations, which name their image.
        images: Folder of the images.
        reading: What is known of their values.

    Raises:
        DataError: Nothing there is a mask, or two are of one image.
    """
    if place.is_file():
        if place.suffix.lower() != ".json":
            raise MaskError(
                f"masks: found the file {place.name}, expected a folder of masks or a JSON file of "
                "COCO annotations; a table of run lengths goes to --rle"
            )
        return CocoMasks(annotated=read_coco(place, reading.classes))
    listing = list_files(place)
    found: list[tuple[str, Path]] = []
    for number, path in enumerate(listing.dicom, start=1):
        with speaking_of(path, f"masks: file {number} of {len(listing.dicom)}"):
            found += ((uid, path) for uid in source_uids(path, strict=True))
    needs_ending = place.resolve() == images.resolve()
    for path in listing.other:
        stem = _stem(path)
        image_id = None if stem is None else _without_ending(stem)
        if stem is not None and not (needs_ending and image_id == stem):
            found.append((image_id or stem, path))
    times = Counter(image_id for image_id, _ in found)
    twice = sum(number > 1 for number in times.values())
    if twice or not found:
        raise MaskError(
            f"masks: found two or more of {twice} images, expected one each; unite them first"
            if twice
            else "masks: found none, expected PNG, NIfTI or NRRD files by the names of the images, "
            "or DICOM Segmentations"
        )
    return FileMasks(paths=dict(found), reading=reading)


def _stem(path: Path) -> str | None:
    suffixes = (".png", *VOLUMES)
    suffix = next((word for word in suffixes if path.name.lower().endswith(word)), None)
    return None if suffix is None else path.name[: -len(suffix)]


def _without_ending(stem: str) -> str:
    ending = next((word for word in _ENDINGS if stem.lower().endswith(word)), "")
    return stem[: len(stem) - len(ending)]


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return "NIfTI"
    kinds = {".png": "PNG", ".nrrd": "NRRD"}
    return kinds.get(path.suffix.lower(), "DICOM SEG")


def check_size(found: tuple[int, ...], shape: tuple[int, int]) -> None:
    """Refuse a mask of another size than its image.

    Args:
        found: Height and width of the mask.
        shape: Those of the image.

    Raises:
        MaskError: They differ.
    """
    if found != shape:
        raise MaskError(
            f"size: found {found[0]} x {found[1]} px, expected {shape[0]} x {shape[1]} px as "
            "its image has"
        )
