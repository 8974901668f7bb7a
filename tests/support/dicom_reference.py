"""DICOM grey values as the standard writes them: one pixel at a time, in plain integers.

Slow and simple on purpose, and nothing of the project is in it: tests compare the reader with it.
What is ours and not the standard's stands in `expected_pixels`: the range of the picture is spread
over that of the type, padding is black, and eight bits without any transform stay as they are.
Photometric Interpretation says which end is white. Presentation LUT Shape is not asked: where both
stand the one follows from the other (PS3.3 C.8.11.3), and a shape must not invert a second time.

`read_reference` reads a whole file, with pydicom's decoders for what is compressed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder


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


def grey_values(
    words: NDArray[Any],
    header: Mapping[str, Any],
    modality: PlainTable | None = None,
    voi: PlainTable | None = None,
) -> list[list[float | None]]:
    """What is shown of each word; None of padding."""
    values = [[sample(int(word), header) for word in row] for row in words]
    return [
        [None if is_padding(v, header) else shown(v, header, modality, voi) for v in row]
        for row in values
    ]


def expected_pixels(
    words: NDArray[Any],
    header: Mapping[str, Any],
    modality: PlainTable | None = None,
    voi: PlainTable | None = None,
) -> NDArray[np.float64]:
    """Pixels before they are rounded, shape (H, W): 0 to 255, or to 65,535 for over 8 bits."""
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
        values = [[sample(int(word), header) for word in row] for row in words]
        return np.array([[float(255 - v if inverted else v) for v in row] for row in values])
    grey = grey_values(words, header, modality, voi)
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


_DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
#: Elements with a number, of which the first of several counts.
_NUMBERS = (
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept"),
    *("WindowCenter", "WindowWidth"),
)


def with_frame(dataset: Dataset) -> Dataset:
    """A header with what its functional groups say of the first frame: PS3.3 C.7.6.16.2.9, .10."""
    whole = Dataset()
    for element in dataset:
        if element.keyword != "PixelData":
            whole[element.tag] = element
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(dataset.get(name) or [])[:1]:
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in list(group.get(macro) or [])[:1]:
                    whole.update({element.tag: element for element in item})
    return whole


def read_header(dataset: Dataset) -> dict[str, Any]:
    """The elements above by keyword; an empty one is an absent one (PS3.5 7.4)."""
    header: dict[str, Any] = {"PixelRepresentation": 0}
    dataset = with_frame(dataset)
    for keyword in _NUMBERS:
        value = dataset.get(keyword)
        if value is None or value == "" or (isinstance(value, list) and not value):
            continue
        number = float(
            value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value
        )
        header[keyword] = int(number) if number == int(number) else number
    header.setdefault("HighBit", header["BitsStored"] - 1)
    if dataset.get("VOILUTFunction"):
        header["VOILUTFunction"] = dataset.VOILUTFunction
    header["PhotometricInterpretation"] = dataset.PhotometricInterpretation
    return header


def read_table(dataset: Dataset, keyword: str) -> PlainTable | None:
    """The first table of a sequence in a file in little endian: PS3.3 C.11.1.1 and C.11.2.1.1."""
    if not dataset.get(keyword) or not dataset[keyword][0].get("LUTData"):
        return None
    number, first, bits = (int(value) for value in dataset[keyword][0].LUTDescriptor)
    data = dataset[keyword][0].LUTData
    if not isinstance(data, bytes):  # words, of which pydicom gives one alone as it is
        words = data if isinstance(data, Sequence) else [data]
        data = b"".join((word % 65_536).to_bytes(2, "little") for word in words)
    number = number or 65_536
    size = 1 if bits == 8 and len(data) < 2 * number else 2
    entries = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    return PlainTable(entries=entries[:number], first=first, bits=bits)


def decoded_words(dataset: FileDataset, plugin: str = "") -> NDArray[Any]:
    """Words of one frame, shape (H, W), as pydicom's decoders give them."""
    shape = dataset.Rows, dataset.Columns
    if dataset.file_meta.TransferSyntaxUID == _DEFLATED_FRAME:
        words = zlib.decompress(get_frame(dataset.PixelData, 0, number_of_frames=1), -15)
        kind = f"<u{dataset.BitsAllocated // 8}"
        return np.frombuffer(words, kind, shape[0] * shape[1]).reshape(shape)
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    options: Any = {"raw": True, "correct_unused_bits": False, "decoding_plugin": plugin}
    return np.asarray(decoder.as_array(dataset, **options)[0]).reshape(shape)


def read_reference(dataset: FileDataset, plugin: str = "") -> NDArray[np.float64]:
    """What `expected_pixels` says of a whole file; each different word is looked at once.

    Raises:
        Exception: Whatever pydicom raises for what it cannot decode.
    """
    header = read_header(dataset)
    words = decoded_words(dataset, plugin).astype(np.int64) & (1 << header["BitsAllocated"]) - 1
    different, places = np.unique(words, return_inverse=True)
    tables = (read_table(dataset, name) for name in ("ModalityLUTSequence", "VOILUTSequence"))
    pixels = expected_pixels(different.reshape(1, -1), header, *tables)
    return pixels[0][places.reshape(words.shape)]
