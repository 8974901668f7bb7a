"""Grey values as a viewer shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from ptxcore.data.elements import int_of, refusal, text_of


def displayed(
    path: Path, dataset: FileDataset, raw: NDArray[Any], *, eight_bit: bool
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Pixels as uint8 or uint16 of shape (H, W), bright where the body is dense.

    Args:
        path: What errors name.
        dataset: The header.
        raw: Stored values, shape (H, W).
        eight_bit: Whether to return uint8.

    Raises:
        DicomError: The header says what cannot be applied.
    """
    inverted = text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    padding = int_of(dataset, "PixelPaddingValue", None)
    try:
        as_it_is = dataset.BitsStored == 8 and padding is None and not _has_transform(dataset)
        if as_it_is and raw.dtype.kind == "u" and raw.max() <= 255:
            return np.asarray(255 - raw if inverted else raw, dtype=np.uint8)
        values = apply_voi_lut(apply_modality_lut(raw, dataset), dataset).astype(np.float64)
    except Exception as error:  # tables of a wrong length, windows of no width
        kind = type(error).__name__
        raise refusal(
            path, "rescale or VOI", f"what cannot be applied ({kind})", "one that can"
        ) from error
    # Padding is no part of the picture (PS3.3 C.7.5.1.1.2): it must not set the range.
    picture = np.ones(raw.shape, dtype=np.bool_) if padding is None else raw != padding
    if not picture.any():
        return np.zeros(raw.shape, dtype=np.uint8 if eight_bit else np.uint16)
    low, high = float(values[picture].min()), float(values[picture].max())
    if not np.isfinite([low, high, high - low]).all():
        raise refusal(path, "rescale or VOI", "values that are not finite", "finite ones")
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    share = np.where(picture, 1.0 - share if inverted else share, 0.0)
    if eight_bit:
        return np.round(share * 255).astype(np.uint8)
    return np.round(share * 65_535).astype(np.uint16)


def _has_transform(dataset: Dataset) -> bool:
    tables = ("ModalityLUTSequence", "VOILUTSequence", "WindowCenter")
    if any(name in dataset and dataset.get(name) for name in tables):
        return True
    return text_of(dataset, "RescaleSlope") not in ("", "1", "1.0") or text_of(
        dataset, "RescaleIntercept"
    ) not in ("", "0", "0.0")
