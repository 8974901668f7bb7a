"""Tables as files: `.npz` without pickles."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.atomic_file import whole_file
from sweep.errors import UsageError
from sweep.simulate._missing import Missing, drop_missing, replayable
from sweep.simulate._table import Floats, Table

#: What NumPy raises over a file that is no `.npz`, is damaged, or claims more than fits in memory.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, TypeError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
_NUMBERS = {"scores", "fit_s", "seconds", "curves", "cases", "case_folds"}
#: Distances between configurations are sums of squares, which have to stay finite.
_LARGEST_PARAM = 1e150


def load_table(path: Path, *, missing: Missing = "refuse") -> Table:
    """Read a `.npz` table.

    Arrays: `scores` [P, N, k] or [N, k]; `fit_s` or `seconds` of the same shape, one second each
    when absent, anything where there is no score; `curves` [..., E], optional; `cases` [P, N, C]
    with `case_folds` [P, C], optional; `params`, optional: a JSON list of objects, or [N] JSON
    objects, as text or bytes.

    Args:
        path: The file.
        missing: What to do about NaN among the scores.

    Raises:
        UsageError: It is no such file, the shapes do not fit, or cells are missing and refused.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except _UNREADABLE as error:
        raise UsageError(f"{path}: cannot be read as a table (.npz): {error}") from error
    if "scores" not in found:
        raise UsageError(f"{path}: found arrays {sorted(found)}, expected one named scores")
    for name in _NUMBERS & set(found):
        if found[name].dtype.kind not in "biuf":
            raise UsageError(f"{path}: {name}: found {found[name].dtype} values, expected numbers")
    scores = _three(found["scores"])
    given = found.get("fit_s", found.get("seconds"))
    curves = found.get("curves")
    if curves is not None:
        curves = np.asarray(curves, np.float64)
        curves = curves[None] if curves.ndim == 3 else curves
    table = Table(
        name=path.stem,
        scores=scores,
        seconds=np.ones_like(scores) if given is None else _filled(_three(given), scores),
        curves=curves,
        params=_params(path, found.get("params"), scores.shape),
        cases=np.asarray(found["cases"], np.float64) if "cases" in found else None,
        case_folds=np.asarray(found["case_folds"], np.int64) if "case_folds" in found else None,
    )
    return replayable(drop_missing(table, missing))


def save_table(table: Table, path: Path) -> None:
    """Write a table in the form that `load_table` reads: scores, times and settings, no images.

    Raises:
        UsageError: The file exists, or its folder does not.
    """
    if path.exists() or not path.parent.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise UsageError(f"{path}: found {found}, expected a new file in a folder that exists")
    arrays: dict[str, NDArray[Any]] = {
        "scores": table.scores.astype(np.float32),
        "fit_s": table.seconds.astype(np.float32),
        "params": np.array(json.dumps([dict(param) for param in table.params])),
    }
    if table.curves is not None:
        arrays["curves"] = table.curves.astype(np.float32)
    if table.cases is not None and table.case_folds is not None:
        arrays["cases"] = table.cases.astype(np.float32)
        arrays["case_folds"] = table.case_folds.astype(np.int16)
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _three(array: NDArray[Any]) -> Floats:
    values = np.asarray(array, np.float64)
    return values[None] if values.ndim == 2 else values


def _filled(seconds: Floats, scores: Floats) -> Floats:
    """Seconds with the median of the others where a score is not finite and they are no time.

    A table without a score of a fold mostly has no time of it either; a replay has to take some.
    """
    if seconds.shape != scores.shape:
        return seconds  # which the table refuses
    is_time = np.isfinite(seconds) & (seconds >= 0)
    usual = float(np.median(seconds[is_time])) if is_time.any() else 0.0
    return np.where(~is_time & ~np.isfinite(scores), usual, seconds)


def _params(
    path: Path, array: NDArray[Any] | None, shape: tuple[int, ...]
) -> tuple[Mapping[str, Any], ...]:
    if array is None:
        return tuple({} for _ in range(shape[1] if len(shape) == 3 else 0))
    try:
        parts = [json.loads(text) for text in _texts(array)]
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: params: not JSON: {error}") from error
    rows = parts[0] if len(parts) == 1 and isinstance(parts[0], list) else parts
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: params: expected a list of objects, or an object for each row")
    for row, params in enumerate(rows):
        for key, value in params.items():
            if isinstance(value, int | float) and abs(value) > _LARGEST_PARAM:
                raise UsageError(
                    f"{path}: params: {key} of configuration {row}: found a number beyond "
                    f"{_LARGEST_PARAM:g}, expected a setting"
                )
    return tuple(rows)


def _texts(array: NDArray[Any]) -> list[str | bytes]:
    """The JSON texts of an array: one, or one for each row; characters, or bytes in UTF-8."""
    if array.dtype.kind not in "SU":
        if array.dtype == np.uint8:
            return [array.tobytes()]
        raise ValueError(f"found {array.dtype} values, expected text")
    return list(array.reshape(-1).tolist())
