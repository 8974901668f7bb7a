"""Counts first: every scored case becomes two histograms of its logits.

From the histograms follow Dice, sensitivity and every other count at any threshold and under any
`Rule`, and precision-recall curves, without keeping a single prediction: 4 KiB a case.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import CheckpointError, TrainingDiverged
from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS, CaseTable

_LOW, _HIGH = LOGIT_RANGE
_BINS_PER_LOGIT = NUM_LOGIT_BINS / (_HIGH - _LOW)


def quantise(logits: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Bin of each logit; values outside `LOGIT_RANGE` go to the first or last bin.

    Args:
        logits: Any shape.

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise TrainingDiverged("the network's output holds NaN or infinite logits")
    scaled = (np.asarray(logits, dtype=np.float32) - np.float32(_LOW)) * np.float32(_BINS_PER_LOGIT)
    return np.clip(np.floor(scaled), 0, NUM_LOGIT_BINS - 1).astype(np.uint8)


def first_bin(probability: float) -> int:
    """The lowest bin that counts as at or above a probability in (0, 1)."""
    logit = np.log(probability) - np.log1p(-probability)
    return int(np.clip(np.ceil((logit - _LOW) * _BINS_PER_LOGIT - 1e-9), 0, NUM_LOGIT_BINS))


def count_case(
    logits: NDArray[np.floating], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Histograms of one case.

    Args:
        logits: Shape (H, W) on the original grid.
        truth: Bool, same shape.

    Returns:
        Pixels by bin inside and outside the true mask, each int64 of shape (NUM_LOGIT_BINS,).
    """
    bins = quantise(logits)
    everything = np.bincount(bins.ravel(), minlength=NUM_LOGIT_BINS)
    inside = np.bincount(bins[truth], minlength=NUM_LOGIT_BINS)
    return inside.astype(np.int64), (everything - inside).astype(np.int64)


def build_table(
    case_ids: Sequence[str], rows: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> CaseTable:
    """Put histograms of `count_case` together, one row per case."""
    shape = (len(rows), NUM_LOGIT_BINS)
    return CaseTable(
        case_ids=np.array(case_ids, dtype=np.str_),
        truth=np.array([inside for inside, _ in rows], dtype=np.int64).reshape(shape),
        background=np.array([outside for _, outside in rows], dtype=np.int64).reshape(shape),
    )


def concatenate(tables: Sequence[CaseTable]) -> CaseTable:
    """The cases of several tables as one."""
    return CaseTable(
        case_ids=np.concatenate([table.case_ids for table in tables]),
        truth=np.concatenate([table.truth for table in tables]),
        background=np.concatenate([table.background for table in tables]),
    )


def save_table(path: Path, table: CaseTable) -> None:
    """Write a table as compressed npz, in one step."""
    making = path.with_name(f".{path.name}.part")
    with making.open("wb") as file:
        np.savez_compressed(
            file, case_ids=table.case_ids, truth=table.truth, background=table.background
        )
    making.replace(path)


def load_table(path: Path) -> CaseTable:
    """Read a table; nothing in it is executed.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            table = CaseTable(
                **{name: content[name] for name in ("case_ids", "truth", "background")}
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: no readable case table ({error})") from error
    expected = (len(table.case_ids), NUM_LOGIT_BINS)
    if table.truth.shape != expected or table.background.shape != expected:
        raise CheckpointError(f"{path}: found shape {table.truth.shape}, expected {expected}")
    return table
