"""Single elements of a DICOM header, read before pydicom judges them, and how they are refused."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from ptxcore.errors import DicomError


def refusal(path: Path, field: str, found: object, expected: str) -> DicomError:
    """An error that names the file, the field, what was found and what was expected.

    Args:
        path: Of the file, of which the name alone is shown.
        field: Keyword of the element.
        found: Never an identifier, a date or free text.
        expected: What it should have been.
    """
    return DicomError(f"{path.name}: {field}: found {found}, expected {expected}")


def text_of(dataset: Dataset, keyword: str) -> str:
    """A value before pydicom judges it: it would warn at every id that breaks the standard.

    Args:
        dataset: The header.
        keyword: Of the element.

    Returns:
        Without spaces around it; empty where the element is absent or empty.
    """
    if keyword not in dataset:
        return ""
    value = dataset.get_item(keyword).value
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0\t\r\n")


def int_of(dataset: Dataset, keyword: str, default: int | None) -> int | None:
    """A whole number.

    Args:
        dataset: The header.
        keyword: Of the element.
        default: Where the element is absent or empty.

    Returns:
        None where there is something else than a number.
    """
    try:
        value = dataset.get(keyword)
        return default if value is None else int(value)
    except Exception:  # what pydicom raises for a value that is no number, and it raises much
        return None
