"""The size of a pixel, and where it was measured (PS3.3 10.7.1.3).

A radiograph is larger at the detector than the body was, so a length in millimetres is worth as
much as what is known of its pixels: calibrated to the body, at the detector, or on a scanned film.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset

from ptxcore.data.formats.elements import spacing_of, text_of

CALIBRATED, STATED, DETECTOR, FILM, NONE = "calibrated", "stated", "detector", "film", "none"
#: In words, for people.
ORIGINS = {
    CALIBRATED: "PixelSpacing, calibrated to the body",
    STATED: "PixelSpacing, which does not say where it was measured",
    DETECTOR: "at the detector, so larger than in the body",
    FILM: "NominalScannedPixelSpacing, on the scanned film",
    NONE: "none",
}


@dataclass(frozen=True, kw_only=True)
class Spacing:
    """The size of a pixel.

    Attributes:
        mm: Height and width in millimetres; None where unknown or nonsense.
        origin: Where it was measured, one of `ORIGINS`.
        is_square: Whether pixels without a size are as high as wide, as far as anything says.
    """

    mm: tuple[float, float] | None = None
    origin: str = NONE
    is_square: bool = True


def read_spacing(dataset: Dataset) -> Spacing:
    """What a header says of the size of its pixels.

    PixelSpacing is taken first; it is calibrated if its type says so, or if it differs from that
    at the detector, and at the detector if both are the same.

    Args:
        dataset: The header.
    """
    pixel, detector, film = (
        spacing_of(dataset, keyword)
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    )
    if pixel is not None:
        is_said = text_of(dataset, "PixelSpacingCalibrationType") in ("GEOMETRY", "FIDUCIAL")
        origin = CALIBRATED if is_said or (detector and detector != pixel) else STATED
        if origin == STATED and detector is not None:
            origin = DETECTOR
    else:
        origin = DETECTOR if detector else FILM if film else NONE
    mm = pixel or detector or film
    return Spacing(mm=mm, origin=origin, is_square=mm is not None or _is_square(dataset))


def _is_square(dataset: Dataset) -> bool:
    """Whether PixelAspectRatio, which stands where no size does, says nothing else."""
    words = text_of(dataset, "PixelAspectRatio").strip("[]").replace(",", "\\").split("\\")
    try:
        height, width = (float(word) for word in words)
    except ValueError:
        return True
    return abs(height - width) <= 0.01 * abs(width)


def doubts_about_spacings(spacings: Mapping[str, int], num_not_square: int = 0) -> Iterator[str]:
    """Sentences about pixels of a size that is not known, or not comparable.

    Args:
        spacings: Cases by origin.
        num_not_square: Cases with pixels without a size that are higher than wide, or less high.
    """
    without, total = spacings.get(NONE, 0), sum(spacings.values())
    if 0 < without < total:
        yield f"{without} of {total} images say no size of their pixels, so no millimetres"
    if spacings.get(CALIBRATED) and sum(spacings.get(word, 0) for word in (DETECTOR, FILM)):
        yield (
            "some sizes of pixels are calibrated to the body and some are those at the detector or "
            "on a film, so their millimetres cannot be compared"
        )
    if num_not_square:
        one = "1 image has pixels that are" if num_not_square == 1 else ""
        yield (
            f"{one or f'{num_not_square} images have pixels that are'} no squares, as "
            "PixelAspectRatio says, which is left aside"
        )


def describe_spacings(spacings: Mapping[str, int]) -> str:
    """Counts on one line, such as "pixel size: at the detector, so larger than in the body 252"."""
    shown = (f"{ORIGINS.get(word, word)}: {number}" for word, number in spacings.items())
    return f"pixel size: {'; '.join(shown)}"
