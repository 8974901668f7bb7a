"""One chest X-ray as the readers give it, and its header alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.object_kind import ObjectKind
from ptxcore.data.formats.spacing import Spacing
from ptxcore.data.formats.subject import ANYTHING, Subject


@dataclass(frozen=True, kw_only=True)
class Radiograph:
    """Decoded pixels and what is known about them.

    Attributes:
        pixels: Shape (H, W), uint8 or uint16, bright where the body is dense.
        uid: Identifies the image in its source; never written to a store as it is.
        patient_id: Groups images of one person; likewise never written as it is.
        view: "AP", "PA" or another view position; None where unknown.
        pixel_spacing_mm: Height and width of a pixel; None where unknown.
        is_phantom: Whether the image says that it is drawn.
        subject: What the picture is of.
        bits_stored: Bits of a pixel in the file; None where it is no DICOM file.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    uid: str
    patient_id: str | None = None
    view: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    is_phantom: bool = False
    subject: Subject = ANYTHING
    bits_stored: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.pixels.shape
        return height, width

    @property
    def bits(self) -> int:
        """Bits of a pixel: those stored, else those that it decodes to."""
        return self.bits_stored or 8 * self.pixels.itemsize


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is known about an image before its pixels are decoded, checked.

    Attributes:
        uid: Identifies the image as it stands; real files hold ids that DICOM does not allow.
        shape: Height and width in pixels.
        is_eight_bit: Whether its pixels decode to uint8 rather than uint16.
        patient_id: None where absent or empty.
        view: View position in capitals; None where absent or empty.
        spacing: Size of a pixel, and where it was measured.
        is_phantom: Whether the image says that it is drawn.
        subject: What the picture is of.
        kind: What kind of object it is.
        bits_stored: Bits of a pixel in the file; None where it is no DICOM file.
    """

    uid: str
    shape: tuple[int, int]
    is_eight_bit: bool
    patient_id: str | None = None
    view: str | None = None
    spacing: Spacing = field(default_factory=Spacing)
    is_phantom: bool = False
    subject: Subject = ANYTHING
    kind: ObjectKind = field(default_factory=ObjectKind)
    bits_stored: int | None = None

    @property
    def bits(self) -> int:
        """Bits of a pixel: those stored, else those that it decodes to."""
        return self.bits_stored or (8 if self.is_eight_bit else 16)
