"""Tables of per-case counts: build, join, save, load."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ptxcore.atomic_file import whole_file
from ptxcore.errors import CheckpointError, DataError
from ptxcore.types import NUM_LOGIT_BINS, CaseTable

_FIELDS = ("case_ids", "truth", "background")
#: Tables written before these existed are read without them.
_OPTIONAL = ("views", "surfaces", "case_logits")
NUM_SURFACE_COLUMNS = 3
#: What numpy raises on damaged files; TypeError where the file holds a bare array.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile, zlib.error)


def build_table(
    case_ids: Sequence[str],
    rows: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
    *,
    views: Sequence[str] | None = None,
    surfaces: Sequence[tuple[float, float, float]] | None = None,
    case_logits: Sequence[float] | None = None,
) -> CaseTable:
    """A table from what `count_case` gave for each case, in the same order.

    Args:
        case_ids: Ids of N cases.
        rows: Counts of each case: pixels inside and outside the true mask by logit bin, two int64
            arrays of shape (NUM_LOGIT_BINS,).
        views: View of each case, "" where unknown.
        surfaces: What `measure_surface` gave for each case.
        case_logits: Logit of the case head for each case, finite.

    Returns:
        A table of N rows.

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
        views=None if views is None else np.asarray(list(views), dtype=np.str_),
        surfaces=None
        if surfaces is None
        else np.asarray(surfaces, dtype=np.float64).reshape(-1, NUM_SURFACE_COLUMNS),
        case_logits=None if case_logits is None else np.asarray(case_logits, dtype=np.float64),
    )
    _check(table, "rows")
    return table


def concatenate(tables: Sequence[CaseTable]) -> CaseTable:
    """One table of all cases, in order.

    Args:
        tables: Tables, at least one.

    Returns:
        A table with the rows of all; views, surfaces and case logits where every table has them.

    Raises:
        DataError: No table was given, or a case is in two of them.
    """
    if not tables:
        raise DataError("tables: found none, expected at least one")
    table = CaseTable(
        case_ids=np.concatenate([table.case_ids for table in tables]),
        truth=np.concatenate([table.truth for table in tables]),
        background=np.concatenate([table.background for table in tables]),
        views=_joined([table.views for table in tables]),
        surfaces=_joined([table.surfaces for table in tables]),
        case_logits=_joined([table.case_logits for table in tables]),
    )
    _check(table, "tables")
    return table


def _joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    """All or nothing: half a column would pass for the whole."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def save_table(path: Path, table: CaseTable) -> None:
    """Write a table as a compressed npz file, whole or not at all.

    Args:
        path: Path of the file; its folder is made if missing, a file that is there is replaced.
        table: To be written; columns that are None are left out.

    Raises:
        OSError: It cannot be written.
    """
    columns = {name: getattr(table, name) for name in (*_FIELDS, *_OPTIONAL)}
    known = {name: column for name, column in columns.items() if column is not None}
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **known)


def load_table(path: Path) -> CaseTable:
    """Read a table. Nothing in the file can run code.

    Args:
        path: Path, as `save_table` wrote it.

    Raises:
        CheckpointError: The file is missing, is damaged or does not hold a table.
    """
    try:
        # Opened here: numpy leaves its own handle open when the zip directory is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            columns = {name: content[name] for name in _FIELDS}
            columns |= {name: content[name] for name in _OPTIONAL if name in content}
    except _UNREADABLE as error:
        raise CheckpointError(f"{path}: not a readable table of case counts ({error})") from error
    table = CaseTable(**columns)
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
    views, surfaces = table.views, table.surfaces
    if views is not None and (views.shape != ids.shape or views.dtype.kind != "U"):
        raise DataError(
            f"{source}: views: found {views.dtype} of shape {views.shape}, expected {ids.shape}"
        )
    wide = (len(ids), NUM_SURFACE_COLUMNS)
    if surfaces is not None and (surfaces.shape != wide or surfaces.dtype != np.float64):
        raise DataError(
            f"{source}: surfaces: found {surfaces.dtype} of shape {surfaces.shape}, "
            f"expected float64 of shape {wide}"
        )
    case_logits = table.case_logits
    if case_logits is not None and (
        case_logits.shape != ids.shape
        or case_logits.dtype != np.float64
        or not np.isfinite(case_logits).all()
    ):
        raise DataError(
            f"{source}: case_logits: found {case_logits.dtype} of shape {case_logits.shape}, "
            f"expected finite float64 of shape {ids.shape}"
        )
    if len(np.unique(ids)) != len(ids):
        raise DataError(
            f"{source}: found {len(ids)} rows of {len(np.unique(ids))} cases, expected each once"
        )
