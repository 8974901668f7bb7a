"""Tables among the artifacts of a run: every number that has no key of its own.

They have the form of MLflow's `log_table`, so `mlflow.load_table` reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ptxcore.metrics import better, bounds, needs_threshold
from sweep.analysis.operating_point import (
    FIXED,
    OTHER_FOLDS,
    fold_values,
    rule_of,
    rule_text,
)
from sweep.analysis.statistics import corrected_interval, mean_sd, paired_difference
from sweep.ledger.inference_choice import values_by_choice
from sweep.ledger.projection import Trial
from sweep.mlflow.view._metrics import Reference
from sweep.util.numbers import all_finite

METRICS_FILE, CURVES_FILE = "metrics.json", "curves.json"
#: Digits of a number that is not whole; folds differ in the second.
_DIGITS = 4


def metrics_table(trial: Trial) -> str:
    """A row for each metric and rule for its masks: mean, SD and the finished folds."""
    folds = sorted(trial.folds)
    rows = [
        [metric, rule, *_mean_sd(list(values.values()), metric), *values.values()]
        for metric, rule, values in _values(trial)
    ]
    return _table(["metric", "threshold", "mean", "sd", *(f"fold-{fold}" for fold in folds)], rows)


def winner_table(winner: Trial, metric: str, reference: Reference) -> str:
    """A row for each metric and rule: the winner, the default, and their paired difference.

    Args:
        winner: The winner.
        metric: The objective.
        reference: What it is compared with; differences are corrected as it says.
    """
    default, ratio = reference.default, reference.test_train_ratio
    theirs = {(key, rule): values for key, rule, values in _values(default)} if default else {}
    rows = []
    for key, rule, by_fold in _values(winner):
        values, name = list(by_fold.values()), metric if key == "score" else key
        if better(name) is None or not all_finite(values):
            continue
        interval = corrected_interval(values, test_train_ratio=ratio).within(*bounds(name))
        row: list[Any] = [key, rule, interval.mean, interval.sd, interval.low, interval.high]
        other = list(theirs.get((key, rule), {}).values())
        if default is not winner and len(other) == len(values) and all_finite(other):
            found = paired_difference(
                values, other, test_train_ratio=ratio, num_compared=reference.num_compared
            )
            found = found.within(*bounds(name))
            row += [mean_sd(other)[0], found.mean, found.low, found.high, found.p_value]
        rows.append(row + [None] * (11 - len(row)))
    columns = ["metric", "threshold", "mean", "sd", "low", "high", "default"]
    columns += [f"vs_default{part}" for part in ("", "_low", "_high", "_p")]
    return _table(columns, rows)


def curves_table(trial: Trial, metric: str) -> str:
    """A row for each epoch of each fold, folds that were not finished included.

    Args:
        trial: The trial.
        metric: The objective, of which epochs of unfinished folds are known too.
    """
    own = f"monitor_{metric}"
    others = {name for score in trial.folds.values() for name in score.curves} - {own}
    names = [own, *sorted(others)]
    rows: list[list[Any]] = []
    for fold in sorted({*trial.folds, *trial.epochs}):
        score, told = trial.folds.get(fold), trial.epochs.get(fold, {})
        curves: dict[str, Sequence[float | None]] = {**score.curves} if score is not None else {}
        curves.setdefault(own, [told.get(epoch) for epoch in range(1, max(told, default=0) + 1)])
        num_epochs = max(map(len, curves.values()))
        for epoch in range(1, num_epochs + 1):
            known = [curves.get(name, ())[epoch - 1 : epoch] or [None] for name in names]
            rows.append([fold, epoch, *(value for (value,) in known)])
    return _table(["fold", "epoch", *names], rows)


def _values(trial: Trial) -> Iterable[tuple[str, str, Mapping[int, float]]]:
    """Metric, its rule in words and its values by finished fold."""
    folds = sorted(trial.folds)
    scores = [trial.folds[fold] for fold in folds]
    yield "score", "", {fold: trial.folds[fold].value for fold in folds}
    for number, by_fold in enumerate(values_by_choice(trial.folds)):
        choice = scores[0].choices[number].inference
        words = ", ".join(f"{key} {value}" for key, value in choice.items())
        yield f"score at {words}", "", dict(zip(folds, by_fold.values(), strict=True))
    for effort in ("seconds", "num_epochs", "best_epoch"):
        yield effort, "", {fold: getattr(trial.folds[fold], effort) for fold in folds}
    for name in sorted({key for score in scores for key in score.metrics}):
        plain = {fold: trial.folds[fold].metrics.get(name, math.nan) for fold in folds}
        if not needs_threshold(name):
            yield name, "", plain
            continue
        if rule_of(trial, name) == OTHER_FOLDS:
            yield name, rule_text(OTHER_FOLDS), fold_values(trial, name, OTHER_FOLDS)
        yield name, rule_text(FIXED, trial.settings), plain


def _mean_sd(values: Sequence[float], metric: str) -> list[float | None]:
    """Mean and SD; no SD for counts and for the all-empty baseline, where it says nothing."""
    if not values or not all_finite(values):
        return [None, None]
    mean, sd = mean_sd(values)
    return [mean, sd if metric.startswith("score") or better(metric) is not None else None]


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """NaN is null, and numbers have some digits only."""
    data = [[_short(cell) for cell in row] for row in rows]
    return json.dumps({"columns": list(columns), "data": data}, separators=(",", ":"))


def _short(cell: Any) -> Any:
    if not isinstance(cell, float):
        return cell
    if cell.is_integer():
        return int(cell)
    return float(f"{cell:.{_DIGITS}g}") if all_finite([cell]) else None
