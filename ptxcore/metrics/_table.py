"""Tables of per-case counts: build, join, save, load."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import CheckpointError, DataError
from ptxcore.types import NUM_LOGIT_BINS, CaseTable

_FIELDS = ("case_ids", "truth", "background")
#: What numpy raises on damaged files; TypeError where the file holds a bare array.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile, zlib.error)


def build_table(
    case_ids: Sequence[str], rows: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> CaseTable:
    """A table from what `count_case` gave for each case, in the same order.

    Raises:
        DataError: There is not one row per case, a row has a wrong shape, or a case comes twice.
    """
    pairs = list(rows)
    if len(pairs) != len(case_ids):
        raise DataError(f"rows: found {len(pairs)}, expected one for each of {len(case_ids)} cases")
    empty = np.zeros((0, NUM_LOGIT_BINS), dtype=np.int64)
    table = CaseTable(
        case_ids=np.asarray(list(case_ids), dtype=np.str_),
        truth=np.stack([pair[0] for pair in pairs]).astype(np.int64) if pairs else empty,
        background=np.stack([pair[1] for pair in pairs]).astype(np.int64) if pairs else empty,
    )
    _check(table, "rows")
    return table


def concatenate(tables: Sequence[CaseTable]) -> CaseTable:
    """One table of all cases, in order; at least one table.

    Raises:
        DataError: No table was given, or a case is in two of them.
    """
    if not tables:
        raise DataError("tables: found none, expected at least one")
    table = CaseTable(
        case_ids=np.concatenate([table.case_ids for table in tables]),
        truth=np.concatenate([table.truth for table in tables]),
        background=np.concatenate([table.background for table in tables]),
    )
    _check(table, "tables")
    return table


def save_table(path: Path, table: CaseTable) -> None:
    """Write a table as a compressed npz file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(
                file, case_ids=table.case_ids, truth=table.truth, background=table.background
            )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_table(path: Path) -> CaseTable:
    """Read a table. Nothing in the file can run code.

    Raises:
        CheckpointError: The file is missing, is damaged or does not hold a table.
    """
    try:
        # Opened here: numpy leaves its own handle open when the zip directory is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            case_ids, truth, background = (content[name] for name in _FIELDS)
    except _UNREADABLE as error:
        raise CheckpointError(f"{path}: not a readable table of case counts ({error})") from error
    table = CaseTable(case_ids=case_ids, truth=truth, background=background)
    try:
        _check(table, str(path))
    except DataError as error:
        raise CheckpointError(str(error)) from error
    return table


def _check(table: CaseTable, source: str) -> None:
    ids = table.case_ids
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise DataError(
            f"{source}: case_ids: found {ids.dtype} of shape {ids.shape}, expected (N,)"
        )
    expected = (len(ids), NUM_LOGIT_BINS)
    for name in ("truth", "background"):
        counts = getattr(table, name)
        if counts.shape != expected or counts.dtype != np.int64:
            raise DataError(
                f"{source}: {name}: found {counts.dtype} of shape {counts.shape}, "
                f"expected int64 of shape {expected}"
            )
        if counts.size and counts.min() < 0:
            raise DataError(f"{source}: {name}: found a negative count, expected pixels")
    if len(np.unique(ids)) != len(ids):
        raise DataError(
            f"{source}: found {len(ids)} rows of {len(np.unique(ids))} cases, expected each once"
        )
