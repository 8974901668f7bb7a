"""Single elements of a DICOM header, read before pydicom judges them, and how they are refused."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from pydicom.config import IGNORE
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from ptxcore.errors import DicomError


@cache
def _tag_of(element: str | tuple[int, int]) -> BaseTag:
    return Tag(element)


def refusal(path: Path, field: str, found: object, expected: str) -> DicomError:
    """An error that names the file, the field, what was found and what was expected.

    Args:
        path: Path of the file, of which the name alone is shown.
        field: Keyword of the element.
        found: Never an identifier, a date or free text.
        expected: What it should have been.
    """
    return DicomError(f"{path.name}: {field}: found {found}, expected {expected}")


def text_of(dataset: Dataset, keyword: str) -> str:
    """A value before pydicom judges it: it would warn at every id that breaks the standard.

    Args:
        dataset: The header.
        keyword: Keyword of the element.

    Returns:
        Without spaces around it; empty where the element is absent or empty.
    """
    tag = _tag_of(keyword)
    if tag not in dataset:
        return ""
    value = dataset.get_item(tag).value
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0\t\r\n")


def word_of(dataset: Dataset, keyword: str) -> str:
    """A word of code (VR CS) as messages show it: "another" where it is none of capitals, which may
    be anything.

    Args:
        dataset: The header.
        keyword: Keyword of the element.
    """
    text = text_of(dataset, keyword)
    return text if re.fullmatch(r"[A-Z][A-Z0-9_]{0,15}", text) else "another"


def int_of(dataset: Dataset, element: str | tuple[int, int], default: int | None) -> int | None:
    """A whole number.

    Args:
        dataset: The header.
        element: Keyword, or group and number.
        default: Where the element is absent or empty.

    Returns:
        None where there is something else than a number.
    """
    tag = _tag_of(element)
    if tag not in dataset:
        return default
    raw: Any = dataset.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.VR == "US" and raw.length == 2:
        # As pydicom would, which takes ten times as long, for what every header is asked.
        return int.from_bytes(raw.value or b"", "little" if raw.is_little_endian else "big")
    try:
        value = dataset[tag].value
        return default if value is None else int(value)
    except Exception:  # what pydicom raises for a value that is no number, and it raises much
        return None


def float_of(
    path: Path, dataset: Dataset, keyword: str, *, of_several: bool = False
) -> float | None:
    """A number, refused where it is none.

    Args:
        path: What errors name.
        dataset: The header.
        keyword: Keyword of the element.
        of_several: Whether there may be several values, of which the first is taken.

    Returns:
        None where the element is absent or empty, which mean the same for elements that need no
        value (PS3.5 7.4), and are what anonymisers leave.

    Raises:
        DicomError: It is no finite number, or several.
    """
    try:
        value = dataset.get(keyword)
        if isinstance(value, MultiValue):
            if len(value) > 1 and not of_several:
                raise refusal(path, keyword, f"{len(value)} values", "one")
            value = value[0] if value else None
        number = None if value in (None, "") else float(value)
    except DicomError:
        raise
    except Exception:  # as above
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise refusal(path, keyword, "what is no finite number", "one")
    return number


def syntax_of(dataset: FileDataset) -> UID:
    """The transfer syntax, in which pixels and words of tables are encoded; empty if none stands.

    Args:
        dataset: A file.
    """
    return UID(text_of(dataset.file_meta, "TransferSyntaxUID"), validation_mode=IGNORE)


def spacing_of(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Height and width of a pixel in millimetres.

    Args:
        dataset: The header.
        keyword: Keyword of the element, such as "PixelSpacing".

    Returns:
        None where the element is absent, or says what no detector has: a side of 0, or of 10 mm.
    """
    words = text_of(dataset, keyword).strip("[]").replace(",", "\\").split("\\")
    try:
        height, width = (float(word) for word in words)
    except ValueError:
        return None
    return (height, width) if 0 < height < 10 and 0 < width < 10 else None
