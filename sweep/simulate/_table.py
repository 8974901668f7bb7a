"""Tables of per-fold scores, and how they are read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError
from sweep.projection import Projection
from sweep.records import State

Floats = NDArray[np.float64]

#: What to do about cells that are NaN: refuse the table, drop the candidate, or take it as a score
#: that is worse than every other.
Missing = Literal["refuse", "drop", "worst"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """What every configuration scores on every fold; higher is better.

    Attributes:
        name: For reports.
        scores: [P, N, k]: partitions of the data, configurations, folds.
        seconds: [P, N, k] training time of a fold.
        curves: [P, N, k, E] value after each epoch on the split that a pruner may see, NaN after
            a fold's last epoch; None when the table has no epochs.
        params: One mapping for each configuration.
    """

    name: str
    scores: Floats
    seconds: Floats
    curves: Floats | None
    params: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        shape = self.scores.shape
        if len(shape) != 3 or 0 in shape:
            raise UsageError(
                f"{self.name}: scores: found shape {shape}, expected [partitions, configurations, "
                "folds] with at least one of each"
            )
        if self.seconds.shape != shape:
            raise UsageError(
                f"{self.name}: seconds: found shape {self.seconds.shape}, expected {shape}"
            )
        if not np.all((self.seconds >= 0) & np.isfinite(self.seconds)):
            raise UsageError(
                f"{self.name}: seconds: found a negative or missing value beside a score, "
                "expected the training time of every fold that has one"
            )
        if self.curves is not None and self.curves.shape[:3] != shape:
            raise UsageError(
                f"{self.name}: curves: found shape {self.curves.shape}, expected {shape} and epochs"
            )
        if len(self.params) != shape[1]:
            raise UsageError(
                f"{self.name}: params: found {len(self.params)}, expected {shape[1]} configurations"
            )

    @property
    def num_partitions(self) -> int:
        """How many times the data was cut into folds."""
        return int(self.scores.shape[0])

    @property
    def num_candidates(self) -> int:
        """Configurations."""
        return int(self.scores.shape[1])

    @property
    def num_folds(self) -> int:
        """Folds of a partition."""
        return int(self.scores.shape[2])

    def num_epochs(self, partition: int, row: int, fold: int) -> int:
        """Epochs of a fold; 1 when the table has none."""
        if self.curves is None:
            return 1
        return max(1, int(np.sum(~np.isnan(self.curves[partition, row, fold]))))

    def rows(self, chosen: NDArray[np.int64]) -> Table:
        """The table of some of the configurations."""
        return Table(
            name=self.name,
            scores=self.scores[:, chosen],
            seconds=self.seconds[:, chosen],
            curves=None if self.curves is None else self.curves[:, chosen],
            params=tuple(self.params[row] for row in chosen),
        )


def load_table(path: Path, *, missing: Missing = "refuse") -> Table:
    """Read a `.npz` table.

    Arrays: `scores` [P, N, k] or [N, k]; `fit_s` or `seconds` of the same shape, one second each
    when absent, anything where there is no score; `curves` [..., E], optional; `params`, a JSON
    list, optional.

    Args:
        path: The file.
        missing: What to do about NaN among the scores.

    Raises:
        UsageError: It is no such file, the shapes do not fit, or cells are missing and refused.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as a table (.npz): {error}") from error
    if "scores" not in found:
        raise UsageError(f"{path}: found arrays {sorted(found)}, expected one named scores")
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
    )
    return mask(table, missing)


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
        "params": np.array(json.dumps([dict(one) for one in table.params])),
    }
    if table.curves is not None:
        arrays["curves"] = table.curves.astype(np.float32)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def mask(table: Table, missing: Missing) -> Table:
    """Settle what happens to configurations with a NaN among their scores.

    Raises:
        UsageError: There is one and `missing` is "refuse", or none is left that has all folds of
            a partition.
    """
    holes: NDArray[np.bool_] = np.asarray(np.isnan(table.scores).any(axis=(0, 2)))
    if missing == "worst" or not holes.any():
        return _with_a_best(table)
    if missing == "refuse":
        raise UsageError(
            f"{table.name}: {int(holes.sum())} of {len(holes)} configurations miss scores; "
            "leave them out (--missing drop) or let a missing score be the worst (--missing worst)"
        )
    if holes.all():
        raise UsageError(f"{table.name}: every configuration misses a score, none can be replayed")
    return _with_a_best(table.rows(np.flatnonzero(~holes)))


def _with_a_best(table: Table) -> Table:
    if not np.isfinite(table.scores).all(axis=2).any():
        raise UsageError(
            f"{table.name}: found no configuration with finite scores on all folds of a partition, "
            "expected at least one: without it nothing can be found"
        )
    return table


def table_of(name: str, projection: Projection) -> Table:
    """The table of a sweep: its complete candidates, on one partition.

    Raises:
        UsageError: No candidate is complete.
    """
    complete = [one for one in projection.candidates if one.state is State.COMPLETE]
    if not complete:
        raise UsageError(f"{name}: no candidate is complete, there is nothing to replay")
    folds = range(projection.num_folds)
    longest = max(len(one.epochs.get(fold, {})) for one in complete for fold in folds)
    curves = np.full((1, len(complete), len(folds), max(longest, 1)), np.nan)
    for row, one in enumerate(complete):
        for fold in folds:
            for epoch, value in one.epochs.get(fold, {}).items():
                curves[0, row, fold, epoch - 1] = value
    return Table(
        name=name,
        scores=np.array([[[one.folds[fold].score for fold in folds] for one in complete]]),
        seconds=np.array([[[one.folds[fold].seconds for fold in folds] for one in complete]]),
        curves=curves if longest else None,
        params=tuple(one.parameters for one in complete),
    )


def _three(array: NDArray[Any]) -> Floats:
    values = np.asarray(array, np.float64)
    return values[None] if values.ndim == 2 else values


def _filled(seconds: Floats, scores: Floats) -> Floats:
    """Seconds with the median of the others where a score is not finite and they are no time.

    Who notes no score of a fold mostly notes no time either; a replay has to take some.
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
        rows = json.loads(str(array))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: params: not JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: params: expected a list of objects")
    return tuple(rows)
