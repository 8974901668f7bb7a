"""What every figure asks of a projection, answered once.

Values are in the metric's own sign here, as a reader knows them; the order of trials is always
best first. Nothing in this package writes, trains or schedules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.operating_point import OperatingPoint
from sweep.analysis.standing import standing
from sweep.analysis.statistics import Interval, corrected_interval
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.numbers import mean_or

#: By trial, see `sweep.analysis.operating_point`.
OperatingPoints = Mapping[int, OperatingPoint]

#: What predicting nothing at all scores, where that does not depend on the cases.
_ALL_EMPTY = {
    "dice_positive": 0.0,
    "iou_positive": 0.0,
    "pixel_sensitivity": 0.0,
    "case_sensitivity": 0.0,
    "case_specificity": 1.0,
}


def metric_of(projection: Projection) -> str:
    """Name of the objective."""
    return projection.header.metric


def leader_of(projection: Projection) -> Trial | None:
    """The winner or the leader so far; of a sweep without either, the trial that got furthest."""
    leader = standing(projection).leader
    if leader is not None:
        return projection.trials[leader]
    scored = [trial for trial in ordered(projection) if trial.folds]
    return scored[0] if scored else None


def ordered(projection: Projection) -> list[Trial]:
    """Best first: complete trials by mean, then the others by folds done, then by mean.

    Partial means are means of fewer folds, so they are never mixed in among complete ones.
    """

    def key(trial: Trial) -> tuple[bool, int, float, int]:
        mean = trial.mean if math.isfinite(trial.mean) else -math.inf
        return (trial.state is not State.COMPLETE, -len(trial.folds), -mean, trial.number)

    return sorted(projection.trials, key=key)


def label(trial: Trial) -> str:
    """Short name of a trial in figures."""
    return f"#{trial.number}" + (" default" if trial.is_default else "")


def fold_scores(projection: Projection, trial: Trial) -> dict[int, float]:
    """The objective on every finished fold, in the metric's own sign."""
    return {f: trial.folds[f].value for f in sorted(trial.folds)}


def fold_metric(trial: Trial, metric: str) -> dict[int, float]:
    """A metric on every finished fold that has it, at the threshold of the settings."""
    return {
        fold: trial.folds[fold].metrics[metric]
        for fold in sorted(trial.folds)
        if metric in trial.folds[fold].metrics
    }


def fold_interval(projection: Projection, metric: str, folds: Mapping[int, float]) -> Interval:
    """The corrected interval of a metric's mean over folds, within what the metric can be."""
    ratio = overlap_ratio(projection.header)
    found = corrected_interval(list(folds.values()), test_train_ratio=ratio)
    return found.within(*bounds(metric))


def fold_usage(trial: Trial, name: str) -> dict[int, float]:
    """What each finished fold took, see `sweep.ray.usage`; without those of which it is unknown.

    Args:
        trial: Any.
        name: Such as "seconds_per_image".
    """
    found = {fold: score.usage.get(name, math.nan) for fold, score in trial.folds.items()}
    return {fold: value for fold, value in found.items() if math.isfinite(value)}


def operating_metric(
    trial: Trial, metric: str, operating_points: OperatingPoints
) -> dict[int, float]:
    """A metric on every fold under the threshold chosen on the *other* folds.

    Only complete trials can have it; the result is empty for the rest.
    """
    point = operating_points.get(trial.number)
    if point is None or len(point.folds) != len(trial.folds):
        return {}
    return {
        fold: values[metric]
        for fold, values in zip(sorted(trial.folds), point.folds, strict=True)
        if not math.isnan(values.get(metric, math.nan))
    }


def all_empty(trial: Trial, metric: str) -> float | None:
    """Mean over the trial's folds of what predicting nothing would score, None if unknown."""
    values = {fold: all_empty_on(score.metrics, metric) for fold, score in trial.folds.items()}
    known = {fold: value for fold, value in values.items() if value is not None}
    return mean_or(known.values()) if known else _ALL_EMPTY.get(metric)


def all_empty_on(metrics: Mapping[str, float], metric: str) -> float | None:
    """What predicting nothing would score on the cases that gave these metrics."""
    named = metrics.get(f"{metric}_all_empty")
    if named is None and (base := metric.split("_view_")[0].split("_size_")[0]) != metric:
        # Every case of a size has a mask.
        return 0.0 if "_size_" in metric else _ALL_EMPTY.get(base)
    if named is None and metric in ("dice", "iou"):
        # Both are 1 on a case with an empty truth and 0 on every other.
        named = metrics.get("dice_all_empty")
    return _ALL_EMPTY.get(metric) if named is None else named


def num_folds_run(projection: Projection) -> int:
    """Finished folds of all trials."""
    return sum(len(trial.folds) for trial in projection.trials)


def num_folds_stopped(projection: Projection) -> int:
    """Folds of all trials that were begun and have no score."""
    return sum(trial.num_folds_stopped for trial in projection.trials)


def varied(projection: Projection) -> list[str]:
    """Names of the parameters that were chosen for some trial, in the space's order."""
    return list(dict.fromkeys(n for trial in projection.trials for n in trial.distributions))


def fold_states(trial: Trial, num_folds: int) -> tuple[str, ...]:
    """What became of each fold.

    "scored", "NaN" (scored, not a finite number), "pruned in epoch 3" and likewise "failed",
    "lost" and "abandoned", "running", or "" for a fold that was never run.
    """
    found = []
    for fold in range(num_folds):
        if fold in trial.folds:
            found.append("scored" if math.isfinite(trial.folds[fold].value) else "NaN")
        else:
            found.append(_without_score(trial, fold))
    return tuple(found)


def _without_score(trial: Trial, fold: int) -> str:
    attempts = [attempt for attempt in trial.log if attempt.fold == fold]
    if not attempts:
        return ""
    outcome = attempts[-1].outcome
    if outcome == "running":
        return "running"
    if outcome == "lost":
        word = "abandoned" if trial.state is State.ABANDONED else "lost"
    else:
        word = "pruned" if trial.state is State.PRUNED else "failed"
    epoch = max(trial.epochs.get(fold, {}), default=None)
    return word if epoch is None else f"{word} in epoch {epoch}"
