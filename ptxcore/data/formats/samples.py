"""From the words of a decoded frame to sample values: one way for every syntax and decoder.

PS3.5 8.1.1 and its annex D: a word has Bits Allocated, of which the Bits Stored that end at High
Bit are the sample, in two's complement where Pixel Representation is 1; nothing is said of the
other bits, which may hold overlays. Which step has applied what:

- Uncompressed, deflated and RLE (8.2.2) frames are whole words, and no decoder moves them: they
  are shifted, cut and extended by their sign here. pydicom's own cut (`correct_unused_bits`), which
  takes the sample to be at the bottom whatever High Bit says, is turned off.
- A compressed codestream (8.2.1, 8.2.3, 8.2.4) holds numbers of its own precision, at the bottom:
  of the sample, or of the whole word with its overlays. What is above the sample is cut off here
  too. A sample that does not end at the bottom can be meant in two ways, and is refused.
- JPEG Baseline holds unsigned numbers of 8 bits and nothing else (table 8.2.1-1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from ptxcore.data.formats.codecs import DEFLATED_FRAME
from ptxcore.data.formats.elements import int_of, refusal, syntax_of

_WHOLE_WORDS = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    DEFLATED_FRAME,
    RLELossless,
)


@dataclass(frozen=True, kw_only=True)
class SampleBits:
    """Where a sample is in its word.

    Attributes:
        allocated: Bits of a word, 8 or 16.
        stored: Bits of the sample, 1 to `allocated`.
        high: Its highest bit, counted from 0.
        is_signed: Whether it is in two's complement.
    """

    allocated: int
    stored: int
    high: int
    is_signed: bool

    @property
    def shift(self) -> int:
        """Its lowest bit, counted from 0."""
        return self.high + 1 - self.stored

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest value."""
        low = -(1 << self.stored - 1) if self.is_signed else 0
        return low, low + (1 << self.stored) - 1


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The picture in a frame.

    Attributes:
        values: Shape (H, W), signed or unsigned integers within `bits.range`.
        bits: How they were stored.
        is_padding: Shape (H, W), where they are no part of the picture; None where the header
            names no padding.
    """

    values: NDArray[Any]
    bits: SampleBits
    is_padding: NDArray[np.bool_] | None


def read_bits(path: Path, dataset: FileDataset) -> SampleBits:
    """What the header says of its samples, checked against itself.

    Args:
        path: What errors name.
        dataset: The header, with Bits Allocated of 8 or 16 and Bits Stored of 1 to 16. An absent
            High Bit is that of a sample at the bottom, an absent Pixel Representation unsigned.

    Raises:
        DicomError: Elements contradict each other, or the transfer syntax.
    """
    numbers = {name: int_of(dataset, name, None) or 0 for name in ("BitsAllocated", "BitsStored")}
    allocated, stored = numbers["BitsAllocated"], numbers["BitsStored"]
    syntax = syntax_of(dataset)
    is_baseline = syntax == JPEGBaseline8Bit
    where = " in JPEG Baseline" if is_baseline else ""
    if stored > allocated:
        raise refusal(path, "BitsStored", stored, f"at most the {allocated} bits allocated")
    if is_baseline and stored != 8:
        raise refusal(path, "BitsStored", stored, f"8{where}")
    high = int_of(dataset, "HighBit", stored - 1)
    top = allocated - 1 if syntax in _WHOLE_WORDS else stored - 1
    if high is None or not stored - 1 <= high <= top:
        expected = f"{stored - 1}" + (f" to {top}" if top > stored - 1 else "")
        raise refusal(path, "HighBit", "none" if high is None else high, expected)
    sign = int_of(dataset, "PixelRepresentation", 0)
    if sign not in ((0,) if is_baseline else (0, 1)):
        expected = f"0{where}" if is_baseline else "0 or 1"
        raise refusal(path, "PixelRepresentation", "none" if sign is None else sign, expected)
    return SampleBits(allocated=allocated, stored=stored, high=high, is_signed=sign == 1)


def to_samples(path: Path, dataset: Dataset, frame: NDArray[Any], bits: SampleBits) -> Samples:
    """Cut the samples out of a decoded frame, and find its padding.

    Args:
        path: What errors name.
        dataset: The header.
        frame: Shape (H, W), as a decoder gave it: integers of at most `bits.allocated` bits.
        bits: Bits from `read_bits`.

    Raises:
        DicomError: The pixels show that the header is wrong about them.
    """
    words = frame.astype(f"u{bits.allocated // 8}", copy=False)
    values = _cut(words, bits)
    is_padding = None
    limits = _padding(dataset, bits)
    if limits is not None:
        # Uncut too: some pad with what does not fit into the sample, such as 65535 for 12 bits.
        uncut = _as_numbers(words, bits) >> bits.shift
        is_padding = _within(values, limits) | _within(uncut, limits)
    if bits.stored < bits.allocated:
        used, seen = _without_overlays(dataset, words, values, bits), values
        if is_padding is not None:  # no part of the picture, which alone tells
            used, seen = (np.where(is_padding, 0, some) for some in (used, values))
        _check_cut(path, used, seen, bits)
    return Samples(values=values, bits=bits, is_padding=is_padding)


def _as_numbers(words: NDArray[Any], bits: SampleBits) -> NDArray[Any]:
    return words.view(f"i{words.itemsize}") if bits.is_signed else words


def _cut(words: NDArray[Any], bits: SampleBits) -> NDArray[Any]:
    if bits.stored == bits.allocated:
        return _as_numbers(words, bits)
    # To the top, then down again: that drops what is above and extends the sign.
    return _as_numbers(words << (bits.allocated - 1 - bits.high), bits) >> (
        bits.allocated - bits.stored
    )


def _without_overlays(
    dataset: Dataset, words: NDArray[Any], values: NDArray[Any], bits: SampleBits
) -> NDArray[Any]:
    """Words as if bits that the header calls overlays (PS3.3 C.9.2, retired) were unused."""
    overlays = 0
    for group in range(0x6000, 0x6020, 2):
        position = int_of(dataset, (group, 0x0102), None)
        if position is not None and 0 <= position < bits.allocated:
            overlays |= 1 << position
    unused = values.astype(words.dtype) << bits.shift
    without: NDArray[Any] = words ^ ((words ^ unused) & overlays)
    return without


def _check_cut(path: Path, words: NDArray[Any], values: NDArray[Any], bits: SampleBits) -> None:
    """Refuse a picture with samples that are evidently elsewhere than the header says."""
    whole = _as_numbers(words, bits)
    at_bottom = _cut(words, replace(bits, high=bits.stored - 1))
    if (words & (1 << bits.shift) - 1).any() and np.array_equal(whole, at_bottom):
        expected = f"{bits.stored - 1}, as every word fits into {bits.stored} bits"
        raise refusal(path, "HighBit", bits.high, expected)
    whole = whole >> bits.shift
    if not np.array_equal(whole, values) and _belong_together(whole, values):
        needed = max(int(whole.max()), ~int(whole.min())).bit_length()
        expected = f"{needed + bits.is_signed}, as the bits above are part of the picture"
        raise refusal(path, "BitsStored", bits.stored, expected)


def _belong_together(whole: NDArray[Any], cut: NDArray[Any]) -> bool:
    """Whether numbers make a picture that what was cut out of them does not.

    Numbers that lost bits jump where these change, which overlays and noise in unused bits never
    mend. Where a picture is so deep that what is left of it is noise, neighbours tell: they are
    alike in any picture.
    """
    steps = [np.abs(np.diff(some.astype(np.int64).ravel())) for some in (whole, cut)]
    if steps[0].sum() < steps[1].sum():
        return True
    whole_alike, cut_alike = (
        1 - float((step**2.0).mean()) / (2 * float(some.var())) if step.any() else 0.0
        for step, some in zip(steps, (whole, cut), strict=True)
    )
    return whole_alike > 0.9 and cut_alike < 0.5


def _padding(dataset: Dataset, bits: SampleBits) -> tuple[int, int] | None:
    """Lowest and highest value of padding (PS3.3 C.7.5.1.1.2), the limit being at either end."""
    first = int_of(dataset, "PixelPaddingValue", None)
    if first is None:
        return None
    limit = int_of(dataset, "PixelPaddingRangeLimit", None)
    ends = [first] if limit is None else [first, limit]
    # Written as US where SS was meant, or the other way round.
    if bits.is_signed:
        ends = [end - 65_536 if end > 32_767 else end for end in ends]
    else:
        ends = [end % 65_536 for end in ends]
    return min(ends), max(ends)


def _within(values: NDArray[Any], limits: tuple[int, int]) -> NDArray[np.bool_]:
    return (values >= limits[0]) & (values <= limits[1])
