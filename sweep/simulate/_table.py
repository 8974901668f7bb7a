"""Tables of per-fold scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError
from sweep.ledger.projection import Projection
from sweep.records import State, as_score

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Table:
    """What every configuration scores on every fold; higher is better.

    Attributes:
        name: Name for reports.
        scores: [P, N, k]: partitions of the data, configurations, folds.
        seconds: [P, N, k] training time of a fold.
        curves: [P, N, k, E] value after each epoch on the split that a pruner may see, NaN after
            a fold's last epoch; None when the table has no epochs.
        cases: [P, N, C] what each case scored at the end of the fold that holds it; None when the
            table has no cases.
        case_folds: [P, C] the fold that holds each case; None likewise.
        params: One mapping for each configuration.
        notes: What was done to it since it was read, for the user.
    """

    name: str
    scores: Floats
    seconds: Floats
    curves: Floats | None
    params: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    cases: Floats | None = None
    case_folds: NDArray[np.int64] | None = None

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
        _check_cases(self.name, shape, self.cases, self.case_folds)
        if len(self.params) != shape[1]:
            raise UsageError(
                f"{self.name}: params: found {len(self.params)}, expected {shape[1]} configurations"
            )

    @property
    def num_partitions(self) -> int:
        """How many times the data was cut into folds."""
        return int(self.scores.shape[0])

    @property
    def num_trials(self) -> int:
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
            notes=self.notes,
            cases=None if self.cases is None else self.cases[:, chosen],
            case_folds=self.case_folds,
        )


def _check_cases(
    name: str,
    shape: tuple[int, ...],
    cases: Floats | None,
    case_folds: NDArray[np.int64] | None,
) -> None:
    if cases is None and case_folds is None:
        return
    found = [None if one is None else one.shape for one in (cases, case_folds)]
    if (
        cases is None
        or case_folds is None
        or cases.shape[:2] != shape[:2]
        or ((shape[0], *cases.shape[2:]) != case_folds.shape)
    ):
        raise UsageError(
            f"{name}: cases, case_folds: found shapes {found[0]}, {found[1]}, expected "
            f"{shape[:2]} and cases, and {shape[:1]} and cases"
        )
    if not np.isin(case_folds, np.arange(shape[2])).all():
        raise UsageError(f"{name}: case_folds: expected folds from 0 to {shape[2] - 1}")


def table_of(name: str, projection: Projection) -> Table:
    """The table of a sweep: its complete trials, on one partition.

    Raises:
        UsageError: No trial is complete.
    """
    complete = [trial for trial in projection.trials if trial.state is State.COMPLETE]
    if not complete:
        raise UsageError(f"{name}: no trial is complete, there is nothing to replay")
    num_left_out = len(projection.trials) - len(complete)
    note = f"{num_left_out} of {len(projection.trials)} trials are left out: not complete"
    folds = range(projection.num_folds)
    longest = max(len(trial.epochs.get(fold, {})) for trial in complete for fold in folds)
    curves = np.full((1, len(complete), len(folds), max(longest, 1)), np.nan)
    for row, trial in enumerate(complete):
        for fold in folds:
            for epoch, value in trial.epochs.get(fold, {}).items():
                curves[0, row, fold, epoch - 1] = as_score(value, maximize=projection.maximize)
    return Table(
        name=name,
        scores=np.array([[[trial.folds[fold].score for fold in folds] for trial in complete]]),
        seconds=np.array([[[trial.folds[fold].seconds for fold in folds] for trial in complete]]),
        curves=curves if longest else None,
        params=tuple(trial.parameters for trial in complete),
        notes=(note,) if num_left_out else (),
    )
