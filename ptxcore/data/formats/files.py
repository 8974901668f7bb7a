"""Which files of a folder are images: one answer for whatever reads folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptxcore.data.formats.png import PTX498_IMAGE, PTX498_MASK, png_id
from ptxcore.errors import DataError

_DICOM_SUFFIXES = (".dcm", ".dicom")
_OTHER_SUFFIXES = (".png", ".csv", ".txt", ".json", ".jpg")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files of a folder, at any depth.

    Attributes:
        dicom: DICOM files by name or content, sorted; some may turn out to be no images.
        other: The rest, sorted.
        num_hidden: Files skipped for a name that begins with a dot: what macOS leaves (`._*`).
        num_links: Links to other folders, which are not entered: they may lead round in a circle.
    """

    dicom: tuple[Path, ...]
    other: tuple[Path, ...]
    num_hidden: int
    num_links: int


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """What a folder holds.

    Attributes:
        paths: The images.
        are_png: Whether they are PNG rather than DICOM.
        masks: Masks as PNG by the stem of their image; empty where there are none.
        num_hidden: Files skipped for a name that begins with a dot: what macOS leaves (`._*`).
        num_other: Files skipped because they are neither DICOM nor PNG.
        num_links: Links to other folders, which are not entered.
    """

    paths: tuple[Path, ...]
    are_png: bool
    masks: Mapping[str, Path]
    num_hidden: int
    num_other: int
    num_links: int


def list_files(folder: Path) -> Listing:
    """Look through a folder; links to other folders are not entered, but counted.

    Args:
        folder: An existing one.

    Raises:
        DataError: A folder in it cannot be read.
    """
    everything: list[Path] = []
    num_links = 0
    for place, folders, files in os.walk(folder, onerror=_refuse_unreadable):
        num_links += sum(os.path.islink(os.path.join(place, name)) for name in folders)
        # A link that leads nowhere is a file that is missing, of which the reader will speak.
        paths = (Path(place, name) for name in files)
        everything += (path for path in paths if path.is_file() or not path.exists())
    everything.sort()
    seen = [path for path in everything if not is_hidden(path)]
    dicom = tuple(path for path in seen if is_dicom(path))
    known = set(dicom)
    return Listing(
        dicom=dicom,
        other=tuple(path for path in seen if path not in known),
        num_hidden=len(everything) - len(seen),
        num_links=num_links,
    )


def _refuse_unreadable(error: OSError) -> None:
    # Its name can hold that of a patient.
    found = f"one inside that cannot be read ({error.strerror})"
    raise DataError(f"folder: found {found}, expected to read all of it") from error


def is_hidden(path: Path) -> bool:
    """Whether a file's name begins with a dot."""
    return path.name.startswith(".")


def is_dicom(path: Path) -> bool:
    """By name, else by the magic word of PS3.10: a name that is a UID seems to have a suffix.

    The index of a disc (DICOMDIR) is none here, and under another name its SOP class tells.
    """
    if path.suffix.lower() in _DICOM_SUFFIXES:
        return True
    if path.suffix.lower() in _OTHER_SUFFIXES or path.name.upper() == "DICOMDIR":
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return True  # not skipped in silence: the reader will say what is wrong with it


def base_name(path: Path) -> str:
    """What a file's outputs are named after: without its suffix, unless that is part of a UID."""
    return path.name if path.suffix[1:].isdigit() else path.stem


def find_images(folder: Path) -> ImageFiles:
    """Look through a folder, at any depth, for DICOM files, or for PNG files if it has none.

    PNG files may be in subfolders `images` and `masks`, paired by their stems, or in the layout of
    PTX-498, see `ptxcore.data.formats.png.png_id`.

    Args:
        folder: Files in it with names that begin with a dot are counted and not looked at.

    Raises:
        DataError: There is no such folder, or no image in it, or two masks of one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: found no such folder, expected one with DICOM or PNG files")
    listing = list_files(folder)
    num_seen = len(listing.dicom) + len(listing.other)
    paths = list(listing.dicom)
    masks: dict[str, Path] = {}
    if not paths:
        paths = [path for path in listing.other if path.suffix.lower() == ".png"]
        if any(is_ptx498(path, PTX498_IMAGE) for path in paths):
            masks = _by_id([path for path in paths if is_ptx498(path, PTX498_MASK)])
            paths = [path for path in paths if is_ptx498(path, PTX498_IMAGE)]
        elif (folder / "images").is_dir():
            masks = _by_id([path for path in paths if folder / "masks" in path.parents])
            paths = [path for path in paths if folder / "images" in path.parents]
    if not paths:
        raise DataError(
            f"{folder}: found no DICOM and no PNG file among {num_seen + listing.num_hidden} "
            "files; expected a folder with images"
        )
    return ImageFiles(
        paths=tuple(paths),
        are_png=not listing.dicom,
        masks=masks,
        num_hidden=listing.num_hidden,
        num_other=num_seen - len(paths) - len(masks),
        num_links=listing.num_links,
    )


def is_ptx498(path: Path, ending: str) -> bool:
    """Whether a file has the name of an image, or of a mask, of PTX-498.

    Args:
        path: Path of the file.
        ending: `PTX498_IMAGE` or `PTX498_MASK`.
    """
    return path.name.lower().endswith(ending)


def _by_id(masks: list[Path]) -> dict[str, Path]:
    ids = [png_id(path) for path in masks]
    twice = [name for name, number in Counter(ids).items() if number > 1]
    if twice:
        raise DataError(
            f"masks: found {len(twice)} names that several files have, expected a mask by the name "
            "of each image; unite the masks of an image, or import them apart"
        )
    return dict(zip(ids, masks, strict=True))
