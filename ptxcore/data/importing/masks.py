"""Where the masks of an import come from: a table of run lengths, or files by the names of images.

A source is asked for the ids that it has something of before any image is read, is told the shapes
of the images before any mask is decoded, and gives the masks one by one, in any thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.png import read_png_header
from ptxcore.data.formats.png_mask import read_png_mask
from ptxcore.data.formats.rle_fit import Asked, dialect_of
from ptxcore.data.formats.rle_table import Table
from ptxcore.data.importing.naming import speaking_of
from ptxcore.errors import MaskError


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
class PngMasks:
    """PNG files.

    Attributes:
        paths: Paths by the ids of their images.
        threshold: See `read_png_mask`.
    """

    paths: Mapping[str, Path]
    threshold: float | None = None

    @property
    def ids(self) -> Collection[str]:
        """See `MaskSource`, likewise below."""
        return self.paths.keys()

    def fitted(self, shapes: Mapping[str, tuple[int, int]]) -> PngMasks:
        """As it is."""
        return self

    def mask(self, image_id: str, shape: tuple[int, int], label: str) -> NDArray[np.bool_]:
        """Read, if it has the size of its image."""
        path = self.paths.get(image_id)
        if path is None:
            return np.zeros(shape, dtype=np.bool_)
        with speaking_of(path, label):
            check_size(read_png_header(path).shape, shape)
            return read_png_mask(path, self.threshold)

    def describe(self) -> str:
        """That they are files."""
        return "masks: PNG files by the names of their images"


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
