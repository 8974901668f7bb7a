"""DICOM grey values as the standard writes them: one pixel at a time, in plain integers.

Slow and simple on purpose, and nothing of the project is in it: tests compare the reader with it.
What is ours and not the standard's stands in `expected_pixels`: the range of the picture is spread
over that of the type, padding is black, and eight bits without any transform stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class PlainTable:
    """A look-up table: its entries, and the value that gets the first."""

    entries: Sequence[int]
    first: int
    bits: int


def sample(word: int, header: Mapping[str, Any]) -> int:
    """The sample in a word: PS3.5 8.1.1 and annex D."""
    stored, high = header["BitsStored"], header["HighBit"]
    value = 0
    for bit in range(stored):
        value |= (word >> (high + 1 - stored + bit) & 1) << bit
    if header["PixelRepresentation"] == 1 and value >= 1 << (stored - 1):
        value -= 1 << stored
    return value


def is_padding(value: int, header: Mapping[str, Any]) -> bool:
    """Whether a sample is no part of the picture: PS3.3 C.7.5.1.1.2."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return False
    last = header.get("PixelPaddingRangeLimit", first)
    return min(first, last) <= value <= max(first, last)


def entry(value: float, table: PlainTable) -> int:
    """What a table has for a value: PS3.3 C.11.1.1 and C.11.2.1.1."""
    index = math.floor(value - table.first + 1e-6)
    return table.entries[min(max(index, 0), len(table.entries) - 1)]


def windowed(value: float, center: float, width: float, function: str) -> float:
    """From 0, black, to 1, white: PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(min(-4 * (value - center) / width, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if value <= center - width / 2:
        return 0.0
    if value > center + width / 2:
        return 1.0
    return (value - center) / width + 0.5


def shown(
    value: int,
    header: Mapping[str, Any],
    modality: PlainTable | None = None,
    voi: PlainTable | None = None,
) -> float:
    """A sample after the Modality LUT and the VOI LUT: PS3.3 C.11.1 and C.11.2."""
    result: float = value
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if modality is not None:
        result = entry(value, modality)
    elif slope is not None and intercept is not None:
        result = value * slope + intercept
    if voi is not None:
        return entry(result, voi)
    center, width = header.get("WindowCenter"), header.get("WindowWidth")
    if center is None or width is None:
        return result
    return windowed(result, center, width, header.get("VOILUTFunction", "LINEAR"))


def expected_pixels(
    words: NDArray[Any],
    header: Mapping[str, Any],
    modality: PlainTable | None = None,
    voi: PlainTable | None = None,
) -> NDArray[np.float64]:
    """Pixels before they are rounded, shape (H, W): 0 to 255, or to 65,535 for over 8 bits."""
    values = [[sample(int(word), header) for word in row] for row in words]
    inverted = header["PhotometricInterpretation"] == "MONOCHROME1"
    rescale = header.get("RescaleSlope"), header.get("RescaleIntercept")
    window = header.get("WindowCenter"), header.get("WindowWidth")
    is_plain = (
        (None in rescale or rescale == (1, 0))
        and None in window
        and modality is voi is None
        and "PixelPaddingValue" not in header
    )
    if is_plain and header["BitsStored"] == 8 and header["PixelRepresentation"] == 0:
        return np.array([[float(255 - v if inverted else v) for v in row] for row in values])
    grey = [
        [None if is_padding(v, header) else shown(v, header, modality, voi) for v in row]
        for row in values
    ]
    known = [v for row in grey for v in row if v is not None]
    white = 255 if header["BitsStored"] <= 8 else 65_535
    pixels = np.zeros(words.shape)
    if not known or min(known) == max(known):
        return pixels
    low, high = min(known), max(known)
    for y, row in enumerate(grey):
        for x, v in enumerate(row):
            if v is not None:
                share = (v - low) / (high - low)
                pixels[y, x] = white * (1 - share if inverted else share)
    return pixels
