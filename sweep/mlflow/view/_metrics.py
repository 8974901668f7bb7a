"""The metrics of a trial's run. No key has folds for its steps.

MLflow shows, sorts and compares by one value of a key, that of its highest (step, time, value).
With folds for steps that would be the last fold, and one trial's fold 4 would stand beside
another's fold 0. So each fold has keys of its own, and a mean stands under its plain name only
where it is one over all folds:

    score, score_sd          the objective over all folds, of complete trials alone
    complete/mean/NAME, complete/sd/NAME   likewise of every metric: those of masks with the
                             threshold from the other folds, fixed/NAME at that of the settings
    partial/score, ...       all of that over fewer folds, of trials that ended without the rest
    score/fold-2             the objective on one fold
    fold-2/NAME              a curve of one fold, its steps are epochs
    folds_done, epochs_done, seconds   so far; in the end with those of a fold that was not finished

Every metric of every fold stands in the artifact `FOLDS_FILE`.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlflow.entities import Metric

from ptxcore.metrics import better, bounds, needs_threshold
from sweep.analysis.operating_point import FIXED, OTHER_FOLDS, fold_values, known_point, rule_of
from sweep.analysis.statistics import mean_sd
from sweep.ledger.inference_choice import at_common, values_by_choice
from sweep.ledger.projection import Projection, Trial
from sweep.records import FoldScore, State
from sweep.util.numbers import all_finite, mean_or

#: Version of the keys and of what they mean. Runs of another layout are sent anew; their old keys
#: (mean/..., sd/..., fold/...) stay, since MLflow deletes no metric, so no key ever gets another
#: meaning.
LAYOUT = "2"
#: Before the name of a metric of masks at the fixed threshold of the settings.
FIXED_PREFIX = "fixed/"
#: Among the finished folds that were sent: what the end of a trial adds was, too.
END = "end"
FOLDS_FILE = "folds.json"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a run holds already.

    Attributes:
        is_new: Whether it holds nothing.
        parts: Finished folds, and `END`.
        epochs: The first so many epochs of folds that were not finished then, by fold.
    """

    is_new: bool = True
    parts: frozenset[str] = frozenset()
    epochs: Mapping[int, int] = field(default_factory=dict)


def trial_metrics(trial: Trial, projection: Projection, sent: Sent | None = None) -> list[Metric]:
    """What a trial's run lacks, the score first."""
    sent = sent or Sent()
    metrics = []
    if trial.state.is_final and END not in sent.parts:
        metrics += _end(trial, projection)
    if sent.is_new:
        metrics.append(_metric("folds_done", 0, milliseconds(trial.created_at), 0))
    for fold in sorted({*trial.folds, *trial.epochs}):
        if str(fold) in sent.parts:
            continue
        metrics += _curves(trial, fold, projection, after=sent.epochs.get(fold, 0))
        if fold in trial.folds:
            metrics += _fold(trial, fold, projection)
    return [metric for metric in metrics if math.isfinite(metric.value)]


def metric_values(trial: Trial, projection: Projection) -> dict[str, list[float]]:
    """Values over the finished folds of all that is a number on each of them.

    Returns:
        "objective", and metrics by name: those of masks under the rule of
        `sweep.analysis.operating_point` where that is known, and as "fixed/..." under that of the
        settings.
    """
    found = {"objective": [trial.folds[f].value for f in sorted(trial.folds)]}
    for key in trial.folds[min(trial.folds)].metrics:
        if (rule := rule_of(trial, key)) != FIXED:
            found[key] = list(fold_values(trial, key, rule).values())
        if needs_threshold(key):
            found[FIXED_PREFIX + key] = list(fold_values(trial, key, FIXED).values())
    return {key: list(own) for key, own in found.items() if own and all_finite(own)}


def is_plain(key: str) -> bool:
    """Whether a key of `metric_values` counts cases or restates the baseline.

    Its spread and its interval say nothing.
    """
    return key != "objective" and better(_metric_of(key)) is None


def bounds_of(key: str, projection: Projection) -> tuple[float, float]:
    """What a key of `metric_values` can be."""
    return bounds(projection.header.metric if key == "objective" else _metric_of(key))


def fold_table(trial: Trial, projection: Projection) -> str:
    """Finished folds as a table in JSON: a row per fold and rule, NaN as null."""
    names = sorted({key for score in trial.folds.values() for key in score.metrics})
    point = known_point(trial)
    rows: list[list[Any]] = []
    for place, fold in enumerate(sorted(trial.folds)):
        score = trial.folds[fold]
        effort = [score.value, score.seconds]
        effort += [score.num_epochs, score.best_epoch]
        sources = {FIXED: score.metrics} | (
            {} if point is None else {OTHER_FOLDS: point.folds[place]}
        )
        for rule, metrics in sources.items():
            rows.append([fold, rule, *effort, *(metrics.get(name) for name in names)])
    columns = ["fold", "threshold", "score", "seconds", "num_epochs", "best_epoch", *names]
    plain = [[None if cell != cell else cell for cell in row] for row in rows]
    return json.dumps({"columns": columns, "data": plain})


def num_reported(epochs: Mapping[int, float]) -> int:
    """Epochs of a fold up to the first that is not known."""
    return next(number for number in itertools.count() if number + 1 not in epochs)


def milliseconds(timestamp: str) -> int:
    """An ISO 8601 time as MLflow has it; 0 for a time that is none."""
    try:
        return int(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except ValueError:
        return 0


def _end(trial: Trial, projection: Projection) -> list[Metric]:
    """Means, and what a fold took that was not finished."""
    at, step = milliseconds(trial.ended_at or trial.created_at), len(trial.folds)
    is_whole = trial.state is State.COMPLETE
    part, prefix = ("complete", "") if is_whole else ("partial", "partial/")
    values = metric_values(trial, projection) if trial.folds else {}
    found: dict[str, float] = {}
    for key, own in values.items():
        mean, sd = mean_sd(own)
        if key == "objective":
            found |= {f"{prefix}score": mean, f"{prefix}score_sd": sd}
        else:
            found[f"{part}/mean/{key}"] = mean
            if not is_plain(key):
                found[f"{part}/sd/{key}"] = sd
    for number, by_fold in enumerate(values_by_choice(trial.folds)):
        choice = trial.folds[min(trial.folds)].choices[number].inference
        name = "_".join(f"{key}-{str(value).lower()}" for key, value in choice.items())
        found[f"{part}/inference/{name}"] = mean_or(by_fold.values())
    metrics = [_metric(key, value, at, step) for key, value in found.items()]
    if any(fold not in trial.folds for fold in trial.attempts):
        metrics.append(_metric("epochs_done", trial.num_epochs, at, step))
        metrics.append(_metric("seconds", trial.total_seconds, at, step))
    return metrics


def _fold(trial: Trial, fold: int, projection: Projection) -> list[Metric]:
    """What a finished fold adds besides its curves."""
    at = _fold_time(trial, fold)
    done = [trial.folds[number] for number in sorted(trial.folds) if number <= fold]
    return [
        _metric(f"score/fold-{fold}", trial.folds[fold].value, max(at, _choice_time(trial)), 0),
        _metric("folds_done", len(done), at, len(done)),
        _metric("epochs_done", sum(each.num_epochs for each in done), at, len(done)),
        _metric("seconds", math.fsum(each.seconds for each in done), at, len(done)),
    ]


def _curves(trial: Trial, fold: int, projection: Projection, *, after: int) -> list[Metric]:
    """Curves of a fold; of one that is not finished the objective alone, epoch by epoch.

    Their time is the start of the fold, which is the same before and after it is finished.

    Args:
        trial: The trial.
        fold: Finished or not.
        projection: Projection of the sweep.
        after: Epochs of the objective that were sent already.
    """
    tries = [milliseconds(each.started_at) for each in trial.log if each.fold == fold]
    at = min(tries, default=milliseconds(trial.created_at))
    curves = {
        key: dict(enumerate(curve, start=1))
        for key, curve in (trial.folds[fold].curves.items() if fold in trial.folds else ())
    }
    own = f"monitor_{projection.header.metric}"
    told = trial.epochs.get(fold, {})
    curves[own] = {
        epoch: value for epoch, value in (curves.get(own, {}) | told).items() if epoch > after
    }
    return [
        _metric(f"fold-{fold}/{key}", value, at, epoch)
        for key, curve in curves.items()
        for epoch, value in sorted(curve.items())
    ]


def _metric_of(key: str) -> str:
    return key.removeprefix(FIXED_PREFIX)


def _fold_time(trial: Trial, fold: int) -> int:
    for attempt in trial.log:
        if attempt.fold == fold and attempt.outcome == "finished":
            return milliseconds(attempt.ended_at or trial.created_at)
    return milliseconds(trial.created_at)


def _choice_time(trial: Trial) -> int:
    """When a trial's scores came to stand at its present choice for inference; 0 without one.

    Scores sent again after a change are newer to MLflow, and by a time that the ledger tells.
    """
    since, known, before = 0, dict[int, FoldScore](), None
    for attempt in trial.log:
        if attempt.outcome != "finished" or not trial.inference:
            continue
        known[attempt.fold] = trial.folds[attempt.fold]
        now = at_common(known)[attempt.fold].inference
        if now != before:
            since, before = milliseconds(attempt.ended_at or trial.created_at), now
    return since


def _metric(key: str, value: float, at: int, step: int) -> Metric:
    return Metric(key, float(value), at, step)
