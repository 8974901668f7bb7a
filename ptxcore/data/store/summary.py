"""A case store in a few numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ptxcore.data.formats.contrast import doubts_about_contrast, has_contrast
from ptxcore.data.formats.object_kind import doubts_about_kinds
from ptxcore.data.formats.spacing import doubts_about_spacings
from ptxcore.data.formats.subject import doubts_about
from ptxcore.data.store.case_store import CaseStore, count_spacings
from ptxcore.data.store.mask_areas import doubts_about_areas


def describe_store(store: CaseStore) -> dict[str, Any]:
    """Counts, sizes and hashes of a store, ready for JSON.

    Returns:
        "dice_all_empty" is the Dice (both empty = 1) of predicting nothing on all cases;
        "mask_share" holds percentiles of the masked share of the pixels over positive cases.
    """
    cases = store.cases
    positive = [case for case in cases if case.mask_px > 0]
    shares = [case.mask_px / (case.height * case.width) for case in positive]
    quantiles: list[float] = np.percentile(shares, [0, 25, 50, 75, 100]).tolist() if shares else []
    names = ("smallest", "lower quartile", "median", "upper quartile", "largest")
    return {
        "phantom": store.phantom,
        "num_cases": len(cases),
        "num_positive": len(positive),
        "num_groups": len({case.group for case in cases}),
        "dice_all_empty": round(1 - len(positive) / len(cases), 4),
        "sizes": dict(Counter(f"{case.width}x{case.height}" for case in cases)),
        "views": dict(Counter(case.view or "unknown" for case in cases)),
        # Stores made before these were counted know neither.
        **{
            name: store.contents.get(kind, {"unknown": len(cases)})
            for name, kind in (("modalities", "modality"), ("body_parts", "body_part"))
        },
        **{
            name: store.manifest.get("kinds", {}).get(kind, {"unknown": len(cases)})
            for name, kind in (
                ("objects", "object"),
                ("image_types", "image_type"),
                ("lateralities", "laterality"),
            )
        },
        "pixel_sizes": count_spacings(cases),
        "num_burned_in": store.manifest.get("num_burned_in", 0),
        "mask_share": {n: round(q, 5) for n, q in zip(names, quantiles, strict=False)},
        "data_hash": store.data_hash,
        "id_key": store.id_key or "none",
    }


def doubts_about_store(store: CaseStore, *, look: bool = False) -> list[str]:
    """Sentences about masks and pictures that may not be what they should, as at the import.

    Args:
        store: An open one.
        look: Whether to look at all pictures for those without contrast, which takes reading them,
            rather than to believe the manifest; that of older stores does not know.
    """
    num_blank = store.manifest.get("num_without_contrast", 0)
    if look:
        num_blank = sum(not has_contrast(store.image(index)) for index in range(len(store)))
    return [
        *doubts_about_contrast(num_blank),
        *doubts_about_areas(store.cases),
        *doubts_about(store.contents),
        *doubts_about_kinds(store.manifest.get("kinds", {})),
        *doubts_about_spacings(count_spacings(store.cases)),
    ]
