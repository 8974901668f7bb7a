"""A real case store of a few small drawn images, written in a moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.store.case_store import (
    CASES,
    FORMAT,
    IMAGES,
    MANIFEST,
    MASKS,
    Case,
    CaseStore,
    case_digest,
    content_hash,
    write_table,
)


def write_store(
    folder: Path,
    images: Sequence[NDArray[np.generic]],
    masks: Sequence[NDArray[np.bool_]],
    *,
    first: int = 0,
) -> CaseStore:
    """Images of one type (uint8 or uint16) of any shapes; every case is a patient of its own.

    Case ids count from `first`: stores whose numbers differ share no image.
    """
    folder.mkdir(parents=True)
    packed = [np.packbits(mask) for mask in masks]
    cases = [
        Case(
            case_id=f"{number:016x}",
            group=f"{number:016x}",
            view="PA",
            height=mask.shape[0],
            width=mask.shape[1],
            spacing_height_mm=0.14,
            spacing_width_mm=0.14,
            mask_px=int(mask.sum()),
            digest=case_digest(images[number - first], packed[number - first]),
        )
        for number, mask in enumerate(masks, first)
    ]
    (folder / IMAGES).write_bytes(b"".join(image.tobytes() for image in images))
    (folder / MASKS).write_bytes(b"".join(mask.tobytes() for mask in packed))
    manifest = {
        "format": FORMAT,
        "dtype": str(images[0].dtype),
        "phantom": True,
        "data_hash": content_hash(cases),
        "cases_sha256": write_table(folder / CASES, cases),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return CaseStore.open(folder)


def drawn_store(
    folder: Path,
    *,
    num_cases: int,
    num_positive: int,
    side_px: int = 64,
    seed: int = 0,
    first: int = 0,
) -> CaseStore:
    """Noise, with a bright disc in every positive case: learnable within seconds."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side_px, :side_px]
    images, masks = [], []
    for number in range(num_cases):
        pixels = rng.normal(100, 15, (side_px, side_px))
        mask = np.zeros((side_px, side_px), dtype=np.bool_)
        if number < num_positive:
            y, x = rng.uniform(0.25, 0.75, 2) * side_px
            radius = rng.uniform(0.08, 0.2) * side_px
            mask = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        images.append(np.clip(pixels + 70 * mask, 0, 255).astype(np.uint8))
        masks.append(mask)
    return write_store(folder, images, masks, first=first)
