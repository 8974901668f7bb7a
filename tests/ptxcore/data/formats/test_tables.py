"""Tables of a header against the tables themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian
from tiny_dicom import write_dicom

from ptxcore.data.formats.dicom import read_dicom
from ptxcore.errors import DicomError

SEQUENCES = ["ModalityLUTSequence", "VOILUTSequence"]
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def item_of(entries: NDArray[Any], first: int, bits: int, *, how: str = "OW") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65_536, first, bits])
    if how == "US":
        item.add_new("LUTData", "US", entries.tolist())
    else:
        data = entries.astype("u1" if how == "packed" else "<u2").tobytes()
        item.add_new("LUTData", "OW", data + b"\0" * (len(data) % 2))
    return item


def spread(values: NDArray[Any]) -> NDArray[np.float64]:
    return (values - values.min()) / (values.max() - values.min()) * 65_535


def assert_shows(path: Path, expected: NDArray[Any]) -> None:
    assert np.abs(read_dicom(path).pixels - spread(expected)).max() <= 0.5


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize(
    ("bits", "how"),
    [(8, "packed"), (8, "OW"), (8, "US"), (9, "OW"), (10, "US"), (12, "OW"), (16, "OW")],
)
def test_entries_of_any_depth(sequence: str, bits: int, how: str, tmp_path: Path) -> None:
    entries = np.arange(4096) >> max(12 - bits, 0)
    item = item_of(entries, 0, bits, how=how)
    path = write_dicom(tmp_path / "a.dcm", RAMP, BitsStored=12, **{sequence: [item]})
    assert_shows(path, entries[RAMP])


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("first", [500, 0, 4000])
def test_beyond_its_ends_a_table_has_its_first_and_last_entry(
    sequence: str, first: int, tmp_path: Path
) -> None:
    entries = np.random.default_rng(0).permutation(1001) % 256
    item = item_of(entries, first, 8, how="packed")
    path = write_dicom(tmp_path / "a.dcm", RAMP, BitsStored=12, **{sequence: [item]})
    assert_shows(path, entries[np.clip(RAMP.astype(int) - first, 0, 1000)])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_no_entries_are_65536(sequence: str, tmp_path: Path) -> None:
    entries = 65_535 - np.arange(65_536)
    raw = np.arange(0, 65_536, 16, dtype=np.uint16).reshape(64, 64)
    item = item_of(entries, 0, 16)
    assert item.LUTDescriptor[0] == 0
    assert_shows(write_dicom(tmp_path / "a.dcm", raw, **{sequence: [item]}), entries[raw])


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("written", ["SS", "US"])
def test_the_first_value_is_signed_where_pixels_are(
    sequence: str, written: str, tmp_path: Path
) -> None:
    raw = RAMP.astype(np.int16) - 2048
    entries = np.arange(600) ** 2 % 251
    item = item_of(entries, -300, 8)
    if written == "US":
        item.add_new("LUTDescriptor", "US", [600, 65_536 - 300, 8])
    path = write_dicom(tmp_path / "a.dcm", raw, BitsStored=12, **{sequence: [item]})
    assert_shows(path, entries[np.clip(raw.astype(int) + 300, 0, 599)])


def test_the_first_value_is_unsigned_behind_a_modality_table(tmp_path: Path) -> None:
    raw = RAMP.astype(np.int16) - 2048
    first, second = np.arange(4096) * 16, np.arange(1000) % 256
    voi = item_of(second, 0, 8)
    voi.add_new("LUTDescriptor", "SS", [1000, 40_000 - 65_536, 8])
    path = write_dicom(
        tmp_path / "a.dcm",
        raw,
        BitsStored=12,
        ModalityLUTSequence=[item_of(first, -2048, 16)],
        VOILUTSequence=[voi],
    )
    assert_shows(path, second[np.clip(first[raw.astype(int) + 2048] - 40_000, 0, 999)])


def test_a_rescale_comes_before_the_table(tmp_path: Path) -> None:
    # In floating point 0.29 * 100 is a little less than 29.
    entries = np.arange(1200) % 97
    path = write_dicom(
        tmp_path / "a.dcm",
        RAMP,
        BitsStored=12,
        RescaleSlope="0.29",
        RescaleIntercept="-10",
        VOILUTSequence=[item_of(entries, 0, 8)],
    )
    assert_shows(path, entries[np.clip(RAMP.astype(int) * 29 // 100 - 10, 0, 1199)])


def test_words_of_a_table_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    entries = np.arange(4096)[::-1]
    item = item_of(entries, 0, 12)
    item.LUTData = entries.astype(">u2").tobytes()
    path = write_dicom(tmp_path / "a.dcm", RAMP, syntax=ExplicitVRBigEndian, VOILUTSequence=[item])
    assert_shows(path, entries[RAMP])


@pytest.mark.parametrize("missing", ["LUTData", "LUTDescriptor"])
def test_an_empty_table_is_none(missing: str, tmp_path: Path) -> None:
    item = item_of(np.arange(100), 0, 8)
    setattr(item, missing, None)
    path = write_dicom(tmp_path / "a.dcm", RAMP, BitsStored=12, VOILUTSequence=[item])
    assert_shows(path, RAMP)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_tables_that_cannot_be_used_are_refused(sequence: str, tmp_path: Path) -> None:
    short, thin = item_of(np.arange(100), 0, 8), item_of(np.arange(100), 0, 7)
    short.LUTDescriptor = [4096, 0, 8]
    for item, message in (
        (short, "LUTData: found 100 entries, expected 4096, as LUTDescriptor says"),
        (thin, "LUTDescriptor: found entries of 7 bits, expected 8 to 16"),
    ):
        path = write_dicom(tmp_path / "a.dcm", RAMP, BitsStored=12, **{sequence: [item]})
        with pytest.raises(DicomError, match=rf"a\.dcm: {message}"):
            read_dicom(path)
