"""Read a chest X-ray, or a mask, from PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ptxcore.data.dicom import MAX_SIDE_PX
from ptxcore.data.radiograph import Header, Radiograph
from ptxcore.errors import DicomError

_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L")


def read_png(path: Path) -> Radiograph:
    """Read one greyscale image of 8 or 16 bits; its id is the file's stem.

    A colour image passes if it shows no colour: many public sets store grey as RGB or RGBA.

    Args:
        path: Of the file.

    Returns:
        Pixels of shape (H, W), uint8 or uint16, as they stand in the file.

    Raises:
        DicomError: Not such an image; the message names the file.
    """
    array = _read(path)
    if array.dtype == np.uint8:
        return Radiograph(pixels=array.astype(np.uint8), uid=path.stem)
    return Radiograph(pixels=array.astype(np.uint16), uid=path.stem)


def read_png_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask: every pixel that is not 0, as a bool array of shape (H, W).

    Args:
        path: Of the file.

    Raises:
        DicomError: Not a greyscale image; the message names the file.
    """
    return np.asarray(_read(path) != 0)


def read_png_header(path: Path) -> Header:
    """What a PNG file says about its image, without the pixels.

    Args:
        path: Of the file; its stem becomes the id.

    Raises:
        DicomError: Not an image; the message names the file.
    """
    with _opened(path) as image:
        return Header(
            uid=path.stem,
            shape=(image.height, image.width),
            is_eight_bit=image.mode not in _SIXTEEN_BIT,
        )


def _read(path: Path) -> NDArray[Any]:
    with _opened(path) as image:
        if image.mode in ("L", *_SIXTEEN_BIT):
            return np.asarray(image)
        # A palette is colour until it is looked up; an alpha channel says nothing about the body.
        channels = np.asarray(image.convert("RGB"))
    grey = channels[..., 0]
    if not ((channels[..., 1] == grey) & (channels[..., 2] == grey)).all():
        raise DicomError(f"{path.name}: channels: found colours, expected a greyscale image")
    return grey


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        # By its content: a name ending in .png must not start whatever other reader Pillow has.
        with Image.open(path, formats=["PNG"]) as image:
            if max(image.size) > MAX_SIDE_PX:
                found = f"{image.height} x {image.width} px"
                raise DicomError(
                    f"{path.name}: size: found {found}, expected at most {MAX_SIDE_PX} px a side"
                )
            yield image
    except DicomError:
        raise
    except Image.DecompressionBombError as error:
        raise DicomError(f"{path.name}: size: found too many pixels for one image") from error
    except Exception as error:  # a damaged chunk raises nearly anything inside Pillow
        kind = type(error).__name__
        raise DicomError(f"{path.name}: found damage ({kind}), expected a PNG image") from error
