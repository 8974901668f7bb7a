"""What each case adds to a fold's score, where a sweep still has its case tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.metrics import case_precision, load_table, per_case_dice
from ptxcore.types import CaseTable, Rule
from sweep.errors import UsageError
from sweep.ledger.projection import Projection, Trial
from sweep.records import State

Floats = NDArray[np.float64]


def _average_precision(table: CaseTable, threshold: float) -> Floats:
    return case_precision(table)


def _dice(table: CaseTable, threshold: float) -> Floats:
    return per_case_dice(table, Rule(top=threshold, bottom=threshold))


def _dice_positive(table: CaseTable, threshold: float) -> Floats:
    return np.where(table.truth.sum(1) > 0, _dice(table, threshold), np.nan)


#: Objectives that are the mean of a value of each case; NaN of cases that do not count.
_VALUES: dict[str, Callable[[CaseTable, float], Floats]] = {
    "average_precision": _average_precision,
    "dice": _dice,
    "dice_positive": _dice_positive,
}


def cases_of(projection: Projection, folder: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Values of the cases of all complete trials, without their ids.

    Args:
        projection: A sweep with at least one complete trial.
        folder: The sweep's folder; fold scores name their case tables relative to it.

    Returns:
        Values [1, trials, cases] (their mean over a fold's cases is its score), and
        the fold that holds each case, [1, cases]. Cases that never count are left out.

    Raises:
        UsageError: The objective is no mean over cases, or a table is not there.
        CheckpointError: A table is damaged.
    """
    metric = projection.header.metric
    if metric not in _VALUES:
        raise UsageError(
            f"--cases: found objective {metric}, expected one of: {', '.join(_VALUES)}"
        )
    complete = [trial for trial in projection.trials if trial.state is State.COMPLETE]
    values, folds = [], []
    for fold in range(projection.num_folds):
        rows = np.array([_values(trial, fold, folder, metric) for trial in complete])
        counts = np.isfinite(rows).all(axis=0)
        values.append(rows[:, counts])
        folds.append(np.full(int(counts.sum()), fold))
    return np.concatenate(values, axis=1)[None], np.concatenate(folds)[None]


def _values(trial: Trial, fold: int, folder: Path, metric: str) -> Floats:
    name = trial.folds[fold].cases
    if name is None or not (folder / name).is_file():
        raise UsageError(f"--cases: trial {trial.number} has no table of cases for fold {fold}")
    table = load_table(folder / name)
    values = _VALUES[metric](table, float(trial.settings.get("threshold", 0.5)))
    return values[np.argsort(table.case_ids, kind="stable")]
