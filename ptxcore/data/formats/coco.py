"""Masks from annotations in the format of COCO: polygons, and its two kinds of run lengths."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.mask_values import ALL
from ptxcore.errors import MaskError

MAX_JSON_BYTES = 2**29
_WORD = "pneumothorax"
_SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """An image of a file, and what is marked in it.

    Attributes:
        shape: Height and width in pixels.
        shapes: One for each annotation: polygons, or run lengths.
    """

    shape: tuple[int, int]
    shapes: tuple[Any, ...]


def read_coco(path: Path, classes: Sequence[str] = ()) -> dict[str, Annotated]:
    """What a file says of its images; one without an annotation has an empty mask.

    Args:
        path: Path of the JSON file.
        classes: Names or numbers of the categories that count, united; `ALL` takes every one. None
            is the one with a name that says pneumothorax, or the only one.

    Returns:
        By the name of the image's file without its suffix, which may be a SOPInstanceUID.

    Raises:
        MaskError: No such file, two images of one name, or no category that is meant.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise MaskError(
            f"{path.name}: found {path.stat().st_size / 2**20:.0f} MiB, expected at most "
            f"{MAX_JSON_BYTES / 2**20:.0f}; import the images in parts"
        )
    try:
        content = json.loads(path.read_bytes())
        categories = {int(one["id"]): str(one["name"]) for one in content["categories"]}
        images = {one["id"]: one for one in content["images"]}
        wanted = _wanted(path, categories, classes)
        marked: dict[Any, list[Any]] = {key: [] for key in images}
        for one in content["annotations"]:
            if int(one["category_id"]) in wanted:
                marked[one["image_id"]].append(one["segmentation"])
        found = {
            _name(one["file_name"]): Annotated(
                shape=(int(one["height"]), int(one["width"])), shapes=tuple(marked[key])
            )
            for key, one in images.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MaskError(
            f"{path.name}: found no annotations of COCO ({type(error).__name__}), expected "
            "`images`, `annotations` with a `segmentation`, and `categories`"
        ) from error
    if len(found) < len(images):
        raise MaskError(
            f"{path.name}: found {len(images) - len(found)} images with the file name of another, "
            "expected one of its own for each"
        )
    return found


def draw_coco(annotated: Annotated) -> NDArray[np.bool_]:
    """The union of an image's annotations: bool of its shape.

    A pixel is inside a polygon if its centre is, where a pixel's centre has the coordinates
    (column + 0.5, row + 0.5), as COCO counts.

    Args:
        annotated: One of `read_coco`.

    Raises:
        MaskError: What is marked is neither polygons nor run lengths of that size, or no
            pixel is: only run lengths can say that there is nothing.
    """
    mask = np.zeros(annotated.shape, dtype=np.bool_)
    for marks in annotated.shapes:
        try:
            if isinstance(marks, Mapping):
                mask |= _runs(marks, annotated.shape)
            else:
                for polygon in marks:
                    mask |= _polygon(np.asarray(polygon, dtype=np.float64), annotated.shape)
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise MaskError(
                "segmentation: found neither polygons nor run lengths of the image's size "
                f"({type(error).__name__}), expected lists of x, y in pixels"
            ) from error
    if not mask.any() and not all(isinstance(marks, Mapping) for marks in annotated.shapes):
        raise MaskError(
            "segmentation: found annotations that mark no pixel, expected outlines in pixels: a "
            "box alone (`bbox`) is none, and shares of the image's sides need its size"
        )
    return mask


def _wanted(path: Path, categories: Mapping[int, str], classes: Sequence[str]) -> set[int]:
    if ALL in classes:
        return set(categories)
    asked = {word.casefold() for word in classes}
    if asked:
        found = {n for n, name in categories.items() if {str(n), name.casefold()} & asked}
    else:
        found = {n for n, name in categories.items() if _WORD in name.casefold()}
    if (asked and not found) or (not asked and len(found) != 1):
        shown = ", ".join(f"{n} ({name[:40]})" for n, name in list(categories.items())[:5])
        raise MaskError(
            f"{path.name}: found the categories {shown or 'none'}, expected one called "
            "pneumothorax; name yours (--mask-class 1, all unites them)"
        )
    return found


def _name(file_name: str) -> str:
    name = PurePosixPath(str(file_name).replace("\\", "/")).name
    suffix = next((word for word in _SUFFIXES if name.lower().endswith(word)), "")
    return name[: len(name) - len(suffix)]


def _polygon(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Even-odd: a centre is inside where an odd number of edges lies to its left."""
    x, y = points.reshape(-1, 2).T
    if len(x) < 3 or not np.isfinite(points).all():
        raise ValueError("no polygon")
    crossings = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        low, high = min(y0, y1), max(y0, y1)
        # Rows with a centre in [low, high): an edge's lower end is not its own.
        first, last = (int(np.ceil(np.clip(end - 0.5, 0, shape[0]))) for end in (low, high))
        rows = np.arange(first, last)
        if rows.size:
            at = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.ceil(np.clip(at - 0.5, 0, shape[1])).astype(np.int64)
            np.add.at(crossings, (rows, columns), 1)
    inside: NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return inside


def _runs(marks: Mapping[str, Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Run lengths down columns, the first of zeros; as a list, or in COCO's letters."""
    counts = marks["counts"]
    if isinstance(counts, str):
        counts = _letters(counts.encode("ascii"))
    lengths = np.asarray(counts, dtype=np.int64)
    if tuple(marks["size"]) != shape or (lengths < 0).any() or lengths.sum() != shape[0] * shape[1]:
        raise ValueError("another size")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(shape[1], shape[0]).T


def _letters(text: bytes) -> list[int]:
    """Numbers in groups of 5 bits, each from the fourth on a difference to the last but one."""
    counts: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        while True:
            bits = text[place] - 48
            place += 1
            value |= (bits & 31) << shift
            shift += 5
            if not bits & 32:
                break
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts
