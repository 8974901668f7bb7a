"""Grey values as a viewer shows them: the grayscale transformations of PS3.4 N.2 up to P-values.

Stored values go through the Modality LUT (a table or a rescale, PS3.3 C.11.1), then through the
VOI LUT (a table or a window, C.11.2), then MONOCHROME1 is inverted so that dense is bright in every
file. The Presentation LUT Shape is not applied on top: for radiographs it repeats what MONOCHROME1
says (C.8.11.3). Eight-bit data without a transform is passed on untouched.

The first of several tables or windows is taken, a table before a window. An empty element is an
absent one. A rescale takes both its elements, as everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from ptxcore.data.formats.elements import float_of, refusal, text_of, word_of
from ptxcore.data.formats.samples import Samples
from ptxcore.data.formats.tables import read_table

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def displayed(
    path: Path, dataset: FileDataset, samples: Samples, *, eight_bit: bool
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Pixels of shape (H, W), bright where the body is dense, over the full range of their type.

    Args:
        path: What errors name.
        dataset: The header.
        samples: Its picture.
        eight_bit: Whether to return uint8 rather than uint16.

    Raises:
        DicomError: The header asks for a transform that cannot be applied.
    """
    inverted = text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    values, bits = samples.values, samples.bits
    transformed, output = _modality(path, dataset, values, bits.range)
    transformed = _of_interest(path, dataset, transformed, output)
    is_untouched = transformed is values and samples.is_padding is None
    if is_untouched and bits.stored == 8 and not bits.is_signed:
        return np.asarray(255 - values if inverted else values, dtype=np.uint8)
    transformed = transformed.astype(np.float64)
    # Padding is no part of the picture (PS3.3 C.7.5.1.1.2): it must not set the range.
    inside = np.True_ if samples.is_padding is None else ~samples.is_padding
    picture = transformed if samples.is_padding is None else transformed[inside]
    low, high = (float(picture.min()), float(picture.max())) if picture.size else (0.0, 0.0)
    if not np.isfinite([low, high, high - low]).all():
        raise refusal(path, "rescale or VOI", "values that are not finite", "finite ones")
    share = np.zeros_like(transformed)
    if high > low:
        share = (transformed - low) / (high - low)
        share = np.where(inside, 1.0 - share if inverted else share, 0.0)
    if eight_bit:
        return np.round(share * 255).astype(np.uint8)
    return np.round(share * 65_535).astype(np.uint16)


def _modality(
    path: Path, dataset: FileDataset, values: NDArray[Any], ends: tuple[float, float]
) -> tuple[NDArray[Any], tuple[float, float]]:
    """Values after the Modality LUT, and the ends of what they can be."""
    table = read_table(path, dataset, "ModalityLUTSequence", ends)
    if table is not None:
        return table.look_up(values), (0, 2**table.bits - 1)
    slope = float_of(path, dataset, "RescaleSlope")
    intercept = float_of(path, dataset, "RescaleIntercept")
    if slope is None or intercept is None or (slope, intercept) == (1, 0):
        return values, ends
    low, high = sorted(end * slope + intercept for end in ends)
    return values.astype(np.float64) * slope + intercept, (low, high)


def _of_interest(
    path: Path, dataset: FileDataset, values: NDArray[Any], ends: tuple[float, float]
) -> NDArray[Any]:
    """Values after the VOI LUT, from black to white within `ends` if it is a window."""
    table = read_table(path, dataset, "VOILUTSequence", ends)
    if table is not None:
        return table.look_up(values)
    center = float_of(path, dataset, "WindowCenter", of_several=True)
    width = float_of(path, dataset, "WindowWidth", of_several=True)
    if center is None or width is None:
        return values
    function = text_of(dataset, "VOILUTFunction").upper() or "LINEAR"
    if function not in _FUNCTIONS:
        found = word_of(dataset, "VOILUTFunction")
        raise refusal(path, "VOILUTFunction", found, f"one of {', '.join(_FUNCTIONS)}")
    if width <= 0 or (function == "LINEAR" and width < 1):
        expected = "at least 1" if function == "LINEAR" else "more than 0"
        raise refusal(path, "WindowWidth", f"{width:g}", expected)
    share = _share(values.astype(np.float64), function, center, width)
    return share * (ends[1] - ends[0]) + ends[0]


def _share(
    values: NDArray[np.float64], function: str, center: float, width: float
) -> NDArray[np.float64]:
    """From 0, black, to 1, white: PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2."""
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # far below the window, where 1 / infinity is black
            return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    share = (values - center) / width + 0.5
    share[values <= center - width / 2] = 0
    share[values > center + width / 2] = 1
    return share
