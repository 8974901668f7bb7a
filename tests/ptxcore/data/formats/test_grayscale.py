"""The reader against `dicom_reference`, over headers of all kinds."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pydicom
import pytest
from dicom_reference import PlainTable, expected_pixels, grey_values, read_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from tiny_dicom import DEFLATED_FRAME, write_dicom

from ptxcore.data.formats.dicom import read_dicom
from ptxcore.errors import DicomError

#: Lossless ones; tables stand in words of the file, which are those of a little endian one here.
SYNTAXES = [
    *[ExplicitVRLittleEndian] * 4,
    *(ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, DEFLATED_FRAME),
    *(ExplicitVRBigEndian, JPEG2000Lossless),
]

#: Words, header, bits of overlays, and tables by their sequence.
File = tuple[NDArray[Any], dict[str, Any], list[int], dict[str, PlainTable]]
#: What an anonymiser leaves of an element, or that it was never there.
EMPTY = [
    {},
    {"RescaleSlope": "", "RescaleIntercept": ""},
    {"VOILUTFunction": "", "PresentationLUTShape": ""},
    {"WindowCenter": "", "WindowWidth": "", "VOILUTSequence": [], "ModalityLUTSequence": []},
    {"PixelPaddingValue": None, "PixelPaddingRangeLimit": None, "RescaleType": ""},
]


def table_item(table: PlainTable, *, is_signed: bool) -> Dataset:
    """As files have it: entries of 8 bits two in a word, others one."""
    item = Dataset()
    number = len(table.entries) % 65_536
    item.add_new("LUTDescriptor", "SS" if is_signed else "US", [number, table.first, table.bits])
    kind = "u1" if table.bits == 8 else "<u2"
    data = np.array(table.entries, dtype=kind).tobytes()
    item.add_new("LUTData", "OW", data + b"\0" * (len(data) % 2))
    return item


@st.composite
def tables(draw: st.DrawFn, low: int, high: int) -> PlainTable:
    """A table that begins somewhere in the range of its inputs."""
    bits = draw(st.sampled_from([8, 9, 10, 12, 16]))
    size = draw(st.integers(1, 300))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    entries = generator.integers(0, 1 << bits, size).tolist()
    return PlainTable(entries=entries, first=draw(st.integers(low, high)), bits=bits)


@st.composite
def files(draw: st.DrawFn) -> File:
    """Words whose bits outside the sample are noise, in what the header calls overlays."""
    allocated = draw(st.sampled_from([8, 16]))
    stored = draw(st.integers(1, allocated))
    high = draw(st.one_of(st.just(stored - 1), st.integers(stored - 1, allocated - 1)))
    sign = draw(st.integers(0, 1))
    header: dict[str, Any] = {
        "BitsStored": stored,
        "HighBit": high,
        "PixelRepresentation": sign,
        "PhotometricInterpretation": draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
    }
    sample = range(high + 1 - stored, high + 1)
    overlay_bits = [bit for bit in range(allocated) if bit not in sample]
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    words = generator.integers(0, 1 << allocated, shape).astype(f"<u{allocated // 8}")
    low = -(1 << stored - 1) if sign else 0
    ends = low, low + (1 << stored) - 1
    value = st.integers(*ends)
    if draw(st.booleans()):
        header["PixelPaddingValue"] = draw(value)
        if draw(st.booleans()):
            header["PixelPaddingRangeLimit"] = draw(value)
    found: dict[str, PlainTable] = {}
    modality = draw(st.sampled_from(["none", "rescale", "table"]))
    if modality == "rescale":
        header["RescaleSlope"] = draw(st.sampled_from([1, 2, 0.5, -1, 0, 0.1]))
        header["RescaleIntercept"] = draw(st.sampled_from([0, -1024, 7.5]))
    elif modality == "table":
        found["ModalityLUTSequence"] = draw(tables(max(ends[0], -32_768), min(ends[1], 32_767)))
    voi = draw(st.sampled_from(["none", "window", "window", "table"]))
    if voi == "window":
        function = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
        header["VOILUTFunction"] = function
        header["WindowCenter"] = draw(st.sampled_from([*ends, sum(ends) / 2, 40.5, 1e6]))
        header["WindowWidth"] = draw(st.sampled_from([1, 2.5, 80, ends[1] - ends[0] + 1]))
    elif voi == "table":
        found["VOILUTSequence"] = draw(tables(0, 255))
    return words, header, overlay_bits, found


@settings(max_examples=300, deadline=None, derandomize=True)
@given(case=files(), empty=st.sampled_from(EMPTY), syntax=st.sampled_from(SYNTAXES))
def test_pixels_are_those_of_the_standard(
    case: File,
    empty: dict[str, Any],
    syntax: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    words, header, overlay_bits, found = case
    tables = found.get("ModalityLUTSequence"), found.get("VOILUTSequence")
    known = [v for row in grey_values(words, header, *tables) for v in row if v is not None]
    # Far beside a sigmoid window there is a picture for whoever counts atoms.
    hypothesis.assume(len({*known}) < 2 or max(known) - min(known) > 1e-6)
    expected = expected_pixels(words, header, *tables)
    # As it must stand where it stands (PS3.3 C.8.11.3); what else there is says the same again.
    inverse = header["PhotometricInterpretation"] == "MONOCHROME1"
    shape = (
        {}
        if "PresentationLUTShape" in empty
        else ({"PresentationLUTShape": "INVERSE" if inverse else "IDENTITY"})
    )
    is_signed = {
        "ModalityLUTSequence": header["PixelRepresentation"] == 1,
        "VOILUTSequence": False,
    }
    items = {name: [table_item(table, is_signed=is_signed[name])] for name, table in found.items()}
    path = tmp_path_factory.getbasetemp() / "reference.dcm"
    if syntax == ExplicitVRBigEndian and items:
        syntax = ImplicitVRLittleEndian
    write_dicom(
        path, words, syntax=syntax, overlay_bits=overlay_bits, **(empty | header | shape | items)
    )
    if syntax == JPEG2000Lossless and header["HighBit"] != header["BitsStored"] - 1:
        with pytest.raises(DicomError, match=r"reference\.dcm: HighBit: found"):
            read_dicom(path)
        return
    dataset = pydicom.dcmread(path)
    assert np.abs(read_reference(dataset) - expected).max() <= 1e-6, "the reference reads files"
    pixels = read_dicom(path).pixels
    assert pixels.dtype == (np.uint8 if header["BitsStored"] <= 8 else np.uint16)
    assert np.abs(pixels - expected).max() <= 0.5 + 1e-3
