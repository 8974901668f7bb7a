"""Projections written by hand, without a storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import FloatDistribution

from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection, Trial
from sweep.records import Epoch, FoldScore, as_score

X = {"x": FloatDistribution(0.0, 1.0)}


def projection(*, num_folds: int = 3, maximize: bool = True) -> Projection:
    header = SweepHeader(metric="dice", maximize=maximize, num_folds=num_folds, seed=0)
    return Projection(header=header)


def add(made: Projection, parameters: Mapping[str, Any] | None = None) -> int:
    values = dict(parameters or {"x": 0.5})
    number = len(made.trials)
    made.add(
        Trial(number=number, parameters=values, settings=values, distributions=X, created_at="then")
    )
    return number


def start(made: Projection, number: int, fold: int) -> None:
    attempt = made.trials[number].attempts.get(fold, 0) + 1
    made.start(number, fold, attempt, "then")


def report(made: Projection, trial: int, fold: int, values: Sequence[float]) -> None:
    """Epochs after those that are there."""
    known = len(made.trials[trial].epochs.get(fold, {}))
    for number, value in enumerate(values, start=known + 1):
        made.epoch(Epoch(trial=trial, fold=fold, attempt=1, epoch=number, value=value, seconds=1.0))


def finish(made: Projection, number: int, fold: int, score: float) -> None:
    made.finish(
        FoldScore(
            trial=number,
            fold=fold,
            attempt=1,
            value=as_score(score, maximize=made.maximize),
            score=score,
            seconds=1.0,
            num_epochs=1,
            best_epoch=1,
        ),
        "then",
    )


def folds(made: Projection, scores: Sequence[float], parameters: Any = None) -> int:
    """A trial with these fold scores, parked."""
    number = add(made, parameters)
    for fold, score in enumerate(scores):
        start(made, number, fold)
        finish(made, number, fold, score)
    return number
