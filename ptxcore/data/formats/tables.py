"""Look-up tables of a DICOM header: Modality LUT (PS3.3 C.11.1.1) and VOI LUT (C.11.2.1.1).

Our own, since pydicom 3.0 looks a table with entries of 8 bits up by an index of 8 bits, modulo
256, and knows no entries of 9 bits, nor of any number but 8 and 16 in a Modality LUT.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian

from ptxcore.data.formats.elements import refusal, syntax_of
from ptxcore.errors import DicomError


@dataclass(frozen=True, kw_only=True)
class Table:
    """A look-up table.

    Attributes:
        entries: Shape (N,), unsigned, as they stand: some have more bits than their table says.
        first: The value that gets the first entry.
        bits: Bits of an entry, as the table says.
    """

    entries: NDArray[Any]
    first: int
    bits: int

    def look_up(self, values: NDArray[Any]) -> NDArray[Any]:
        """The entries of values, of the same shape; first or last entry beyond the ends.

        Args:
            values: Values of any shape; fractions, which a rescale can give, are cut off, as other
                readers do, but not what floating point lacks to a whole number.
        """
        index = np.floor(values.astype(np.float64) - self.first + 1e-6)
        entries: NDArray[Any] = self.entries[
            np.clip(index, 0, len(self.entries) - 1).astype(np.int64)
        ]
        return entries


def read_table(
    path: Path, dataset: FileDataset, keyword: str, inputs: tuple[float, float]
) -> Table | None:
    """The first table of a sequence.

    Args:
        path: What errors name.
        dataset: The header.
        keyword: Keyword of the sequence.
        inputs: The lowest and the highest value that can be looked up.

    Returns:
        None where there is no table, or one without descriptor or data.

    Raises:
        DicomError: A table that cannot be used.
    """
    try:
        sequence = dataset.get(keyword)
        item = sequence[0] if sequence else Dataset()
        data = item["LUTData"].value if "LUTData" in item else None
        described = item["LUTDescriptor"].value if "LUTDescriptor" in item else None
        if described in (None, "", []) or data is None or len(np.atleast_1d(data)) == 0:
            return None
        number, first, bits = (int(value) for value in described)
        number = number % 65_536 or 65_536
        if not 8 <= bits <= 16:
            raise refusal(path, "LUTDescriptor", f"entries of {bits} bits", "8 to 16")
        entries = _entries(data, number, bits, syntax_of(dataset) == ExplicitVRBigEndian)
    except DicomError:
        raise
    except Exception as error:  # what pydicom and NumPy raise for values of another kind
        found = f"what cannot be applied ({type(error).__name__})"
        raise refusal(path, keyword, found, "a table") from error
    if len(entries) < number:
        raise refusal(
            path, "LUTData", f"{len(entries)} entries", f"{number}, as LUTDescriptor says"
        )
    return Table(entries=entries[:number], first=_first(first, number, inputs), bits=bits)


def _entries(data: Any, number: int, bits: int, is_big_endian: bool) -> NDArray[Any]:
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2" if is_big_endian else "<u2")
    else:  # written as SS they may be negative
        words = np.atleast_1d(np.asarray(data, dtype=np.int64)) % 65_536
    # Two of 8 bits in a word, the first in its low byte (C.11.1.1.1): told from one padded to a
    # word by the length of the data, as the standard advises.
    if bits == 8 and len(words) < number <= 2 * len(words):
        return words.astype("<u2").view(np.uint8)
    return words.astype(np.uint16)


def _first(stands: int, number: int, inputs: tuple[float, float]) -> int:
    """The first value mapped, which is signed where values are, whatever its VR made of it.

    US and SS are one choice for the three values of a descriptor, so files have -100 as 65436, and
    40000 as -25536: that reading is taken with which the table meets what can be looked up.
    """
    low, high = inputs
    for first in (stands, stands - 65_536, stands + 65_536):
        if first <= high and first + number > low:
            return first
    return stands
