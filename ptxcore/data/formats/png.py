"""Read a chest X-ray from PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ptxcore.data.formats.dicom import MAX_SIDE_PX
from ptxcore.data.formats.radiograph import Header, Radiograph
from ptxcore.errors import DicomError

_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L")


#: PTX-498 has a folder for each of its three sites, and in each `7.1.img.png` with `7.2.mask.png`.
PTX498_IMAGE, PTX498_MASK = ".1.img.png", ".2.mask.png"


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What a PNG file holds.

    Attributes:
        grey: Shape (H, W), uint8 or uint16.
        alpha: Opacity, same shape, 0 where nothing is shown; None where all is.
        palette: Place of every pixel's colour in a table of colours, same shape; None without one.
    """

    grey: NDArray[Any]
    alpha: NDArray[Any] | None
    palette: NDArray[np.uint8] | None


def png_id(path: Path) -> str:
    """The id of the image of a PNG file: its stem, or site and number in the layout of PTX-498.

    Args:
        path: Path of the image, or of its mask in that layout.
    """
    for ending in (PTX498_IMAGE, PTX498_MASK):
        if path.name.lower().endswith(ending):
            return f"{path.parent.name}/{path.name[: -len(ending)]}"
    return path.stem


def read_png(path: Path) -> Radiograph:
    """Read one greyscale image of 8 or 16 bits; its id is that of `png_id`.

    A colour image passes if it shows no colour: many public sets store grey as RGB or RGBA. Its
    alpha channel is left aside: it says nothing about the body.

    Args:
        path: Path of the file.

    Returns:
        Pixels of shape (H, W), uint8 or uint16, as they stand in the file.

    Raises:
        DicomError: Not such an image; the message names the file.
    """
    return Radiograph(pixels=read_layers(path).grey, uid=png_id(path))


def read_png_header(path: Path) -> Header:
    """What a PNG file says about its image, without the pixels.

    Args:
        path: Path of the file; see `png_id`.

    Raises:
        DicomError: Not an image; the message names the file.
    """
    with _opened(path) as image:
        return Header(
            uid=png_id(path),
            shape=(image.height, image.width),
            is_eight_bit=image.mode not in _SIXTEEN_BIT and not _is_deep_colour(image),
        )


def read_layers(path: Path) -> Layers:
    """All that a PNG file holds, converted without loss.

    Args:
        path: Path of the file.

    Raises:
        DicomError: Not one greyscale image; the message names the file.
    """
    with _opened(path) as image:
        if image.mode in ("L", *_SIXTEEN_BIT):
            return _grey(image)
        palette = None
        if image.mode == "P":
            palette = np.asarray(image)
        if _is_deep_colour(image):
            image.load()  # Pillow refuses damage, of which OpenCV makes what it can
            channels = _deep_channels(path)
        else:
            # A palette is colour until it is looked up.
            channels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    grey = channels[..., 0]
    if not ((channels[..., 1] == grey) & (channels[..., 2] == grey)).all():
        raise DicomError(f"{path.name}: channels: found colours, expected a greyscale image")
    alpha = channels[..., 3] if channels.shape[-1] == 4 else None
    return Layers(grey=grey, alpha=alpha, palette=palette)


def _grey(image: Image.Image) -> Layers:
    array = np.asarray(image)
    grey = array if array.dtype == np.uint8 else array.astype(np.uint16)
    clear = image.info.get("transparency")  # one grey value that is not shown
    alpha = None if clear is None else np.where(grey == clear, 0, 255).astype(np.uint8)
    return Layers(grey=grey, alpha=alpha, palette=None)


def _is_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would halve 16 bits a channel, which it reads of grey images alone."""
    # Before it is loaded, an image says how its bytes will be unpacked.
    return image.mode not in _SIXTEEN_BIT and any(";16" in str(tile.args) for tile in image.tile)


def _deep_channels(path: Path) -> NDArray[Any]:
    import cv2  # here alone: nearly no file is of this kind

    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    channels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if channels is None:
        raise DicomError(f"{path.name}: found damage, expected a PNG image")
    return np.asarray(channels)


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    try:
        # By its content: a name ending in .png must not start whatever other reader Pillow has.
        with Image.open(path, formats=["PNG"]) as image:
            if max(image.size) > MAX_SIDE_PX:
                found = f"{image.height} x {image.width} px"
                raise DicomError(
                    f"{path.name}: size: found {found}, expected at most {MAX_SIDE_PX} px a side"
                )
            num_frames = getattr(image, "n_frames", 1)
            if num_frames != 1:
                raise DicomError(f"{path.name}: frames: found {num_frames}, expected a single one")
            yield image
    except DicomError:
        raise
    except Image.DecompressionBombError as error:
        raise DicomError(f"{path.name}: size: found too many pixels for one image") from error
    except Exception as error:  # a damaged chunk raises nearly anything inside Pillow
        kind = type(error).__name__
        raise DicomError(f"{path.name}: found damage ({kind}), expected a PNG image") from error
