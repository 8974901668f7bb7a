"""Read a chest X-ray, or a mask, from PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ptxcore.data.dicom import MAX_SIDE_PX
from ptxcore.data.radiograph import Radiograph
from ptxcore.errors import DicomError


def read_png(path: Path) -> Radiograph:
    """Read one greyscale image of 8 or 16 bits; its id is the file's stem.

    Raises:
        DicomError: Not such an image; the message names the file.
    """
    array = _read(path)
    if array.dtype == np.uint8:
        return Radiograph(pixels=array.astype(np.uint8), uid=path.stem)
    return Radiograph(pixels=array.astype(np.uint16), uid=path.stem)


def read_png_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask: every pixel that is not 0, as a bool array of shape (H, W).

    Raises:
        DicomError: Not an image; the message names the file.
    """
    return np.asarray(_read(path) != 0)


def _read(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path) as image:
            if max(image.size) > MAX_SIDE_PX:
                raise DicomError(
                    f"{path.name}: found {image.size} px, expected at most {MAX_SIDE_PX} a side"
                )
            grey = image if image.mode in ("L", "1", "I", "I;16") else image.convert("L")
            return np.asarray(grey)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DicomError(f"{path.name}: not a readable PNG file ({error})") from error
