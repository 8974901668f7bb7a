"""The metrics of a trial's run: some 25 keys. No key has folds for its steps.

MLflow shows, sorts and compares by one value of a key, that of its highest (step, time, value).
With folds for steps that would be the last fold, and one trial's fold 4 would stand beside
another's fold 0. So each fold has a key of its own, and a mean stands under its plain name only
where it is one over all folds:

    score, score_sd          the objective over all folds, of complete trials alone
    score_vs_default         its mean difference to the default on the same folds
    vs_default_low, _high    ends of its interval, corrected for the trials looked at; once the
                             sweep is over
    dice_both_empty_1, ...   see `NAMES`: some means over all folds at the threshold a model gets
    partial/score            the mean over fewer folds, of trials that ended without the rest
    score/fold-2             the objective on one fold
    monitor/fold-0           the objective on the monitor split by epoch: of the first fold, which
                             all trials begin with, and of the fold in which a trial was stopped
    monitor/loss, train/loss by epoch, means over the folds of a complete trial, as far as all go
    stopped_at_fold, stopped_at_epoch   of trials that were stopped in a fold
    score_bias_corrected, its ends _low and _high, score_first_share    of a sweep's winner, see
        `sweep.analysis.resampling`
    folds_done, epochs_done, seconds    in the end, the latter two with unfinished folds
    seconds_per_image        mean over the finished folds, where it was measured
    system/...               processor time of all finished folds, and the largest of their peaks of
                             memory: MLflow has a page for names that begin so

Everything else stands in tables among the artifacts, see `sweep.mlflow.view._tables`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlflow.entities import Metric

from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.detection import known_detection
from sweep.analysis.operating_point import fold_values
from sweep.analysis.resampling import known_resampling
from sweep.analysis.standing import compare_folds, is_over, num_compared, standing
from sweep.analysis.statistics import PairedDifference, mean_sd
from sweep.ledger.inference_choice import at_common
from sweep.ledger.projection import Projection, Trial
from sweep.records import FoldScore, State
from sweep.util.numbers import all_finite

#: Version of the keys and of what they mean. Runs of another layout are sent anew; no key ever gets
#: another meaning, since MLflow deletes none.
LAYOUT = "3"
#: Means of complete trials that have a key of their own, by metric. Under the rule of
#: `sweep.analysis.operating_point`, which the tag `ptxsweep.threshold` names.
NAMES = {
    "dice": "dice_both_empty_1",
    "dice_positive": "dice_positive",
    "dice_all_empty": "dice_all_empty",
    "case_sensitivity": "case_sensitivity",
    "case_specificity": "case_specificity",
}
_PEAKS = {
    "peak_memory_bytes": "system/peak_mib",
    "gpu_memory_bytes": "system/peak_gpu_mib",
}
#: Among what was sent: what the end of a trial adds; the mean difference to the default; and with
#: the number of trials it is corrected for, its interval; and epochs of the first fold.
END, MEAN_DIFFERENCE, INTERVAL, EPOCHS = "end", "difference", "interval", "epochs"
#: Before the number of a fold, of which the scores are.
FOLD_SCORE = "score/fold-"
_FIRST = 0


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a run holds already.

    Attributes:
        is_new: Whether it holds nothing.
        parts: Finished folds, and the words above.
    """

    is_new: bool = True
    parts: frozenset[str] = frozenset()

    @property
    def epochs(self) -> int:
        """Epochs of the first fold."""
        told = [part.removeprefix(f"{EPOCHS}-") for part in self.parts if EPOCHS in part]
        return max((int(number) for number in told if number.isdecimal()), default=0)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What trials are compared with, found once for all of them.

    Attributes:
        metric: The objective.
        default: The default trial, None unless it is complete.
        num_compared: See `sweep.analysis.standing`.
        test_train_ratio: See `sweep.analysis.cohort.overlap_ratio`.
        is_over: Whether no trial can win any more; before that no interval is given.
        ranks: The place of each complete trial by its score, the best first; empty before that.
    """

    metric: str
    default: Trial | None
    num_compared: int
    test_train_ratio: float
    is_over: bool
    ranks: Mapping[int, int]

    @classmethod
    def of(cls, projection: Projection) -> Reference:
        """That of a sweep."""
        default = projection.default
        is_known = default is not None and default.state is State.COMPLETE
        over = is_over(projection)
        complete = [
            trial
            for trial in projection.trials
            if over and trial.state is State.COMPLETE and math.isfinite(trial.mean)
        ]
        complete.sort(key=lambda trial: (-trial.mean, trial.number))
        return cls(
            metric=projection.header.metric,
            default=default if is_known else None,
            num_compared=num_compared(projection),
            test_train_ratio=overlap_ratio(projection.header),
            is_over=over,
            ranks={trial.number: rank for rank, trial in enumerate(complete, start=1)},
        )

    def difference(self, trial: Trial) -> PairedDifference | None:
        """Difference of a complete trial to the default; None for others and for the default."""
        if self.default is None or trial.is_default or trial.state is not State.COMPLETE:
            return None
        found = compare_folds(
            {fold: score.value for fold, score in trial.folds.items()},
            {fold: score.value for fold, score in self.default.folds.items()},
            test_train_ratio=self.test_train_ratio,
            num_compared=self.num_compared,
        )
        return None if found is None else found.within(*bounds(self.metric))


def parts_of(trial: Trial, reference: Reference) -> list[str]:
    """What a trial's run is to hold."""
    parts = [*map(str, sorted(trial.folds))]
    if trial.state.is_final:
        parts.append(END)
    if reference.difference(trial) is not None:
        parts.append(MEAN_DIFFERENCE)
        if reference.is_over:
            parts.append(f"{INTERVAL}-{reference.num_compared}")
    if epochs := num_reported(_told(trial, _FIRST)):
        parts.append(f"{EPOCHS}-{epochs}")
    return parts


def trial_metrics(
    trial: Trial,
    projection: Projection,
    sent: Sent | None = None,
    reference: Reference | None = None,
) -> list[Metric]:
    """What a trial's run lacks, the score first: MLflow's pages offer the first.

    Args:
        trial: The trial.
        projection: Projection of its sweep.
        sent: What its run holds; nothing if None.
        reference: That of the projection, for those who ask for many trials.
    """
    sent, reference = sent or Sent(), reference or Reference.of(projection)
    new = [part for part in parts_of(trial, reference) if part not in sent.parts]
    metrics = []
    if END in new and trial.folds:
        metrics += _score(trial)
    metrics += _versus_default(trial, reference, new)
    # Of trials that share no score, MLflow's pages offer this one.
    metrics += _monitor(trial, _FIRST, projection, after=sent.epochs)
    if END in new:
        metrics += _end(trial)
    for fold in sorted(trial.folds):
        if str(fold) in new:
            metrics.append(_fold(trial, fold))
    if END in new:
        metrics += _last_curves(trial, projection)
    return [metric for metric in metrics if math.isfinite(metric.value)]


def winner_metrics(projection: Projection) -> list[Metric]:
    """The same of the winner for the sweep's own run, under the same keys.

    Nothing while a sweep is not over: what was sent cannot be taken back.
    """
    number = standing(projection).winner
    if number is None:
        return []
    winner = projection.trials[number]
    complete = [trial for trial in projection.trials if trial.state is State.COMPLETE]
    at, step = max(milliseconds(trial.ended_at or "") for trial in complete), len(complete)
    reference = Reference.of(projection)
    new = parts_of(winner, reference)
    found = [*_score(winner), *_versus_default(winner, reference, new, p_value=True)]
    found += [_metric(key, value, at, step) for key, value in _means(winner).items()]
    totals = {
        "trials": len(projection.trials),
        "folds_done": sum(len(trial.folds) for trial in projection.trials),
        "epochs_done": sum(trial.num_epochs for trial in projection.trials),
        "seconds": math.fsum(trial.total_seconds for trial in projection.trials),
    }
    if (drawn := known_resampling(projection)) is not None:
        shares = {rank.trial: rank.first for rank in drawn.ranks}
        totals |= {
            "score_bias_corrected": drawn.corrected,
            "score_bias_corrected_low": drawn.corrected_low,
            "score_bias_corrected_high": drawn.corrected_high,
            "score_first_share": shares[number],
        }
    if (told := known_detection(projection)) is not None:
        names = ("case_roc_area", "case_roc_area_low", "case_roc_area_high")
        totals |= dict(zip(names, told.area, strict=True))
    found += [_metric(key, value, at, step) for key, value in totals.items()]
    return [
        _metric(metric.key, metric.value, at, step)
        for metric in found
        if math.isfinite(metric.value)
    ]


def num_reported(epochs: Mapping[int, float]) -> int:
    """Epochs of a fold up to the first that is not known."""
    return next(number for number in itertools.count() if number + 1 not in epochs)


def stopped_in(trial: Trial) -> tuple[int, int] | None:
    """Fold and epoch in which a trial ended; None where it ended between folds, or was complete."""
    if not trial.state.is_final or trial.state is State.COMPLETE or not trial.log:
        return None
    fold = trial.log[-1].fold
    if fold in trial.folds:
        return None
    return fold, max(trial.epochs.get(fold, {0: 0.0}))


def milliseconds(timestamp: str) -> int:
    """An ISO 8601 time as MLflow has it; 0 for a time that is none."""
    try:
        return int(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except ValueError:
        return 0


def _score(trial: Trial) -> list[Metric]:
    """Over the finished folds; nothing where a value is no number."""
    values = [trial.folds[fold].value for fold in sorted(trial.folds)]
    if not all_finite(values):
        return []
    mean, sd = mean_sd(values)
    if trial.state is State.COMPLETE:
        return _at_end(trial, {"score": mean, "score_sd": sd})
    return _at_end(trial, {"partial/score": mean})


def _versus_default(
    trial: Trial, reference: Reference, new: Sequence[str], *, p_value: bool = False
) -> list[Metric]:
    found, values = reference.difference(trial), dict[str, float]()
    if found is None:
        return []
    if MEAN_DIFFERENCE in new:
        values["score_vs_default"] = found.mean
    if any(part.startswith(INTERVAL) for part in new):
        values |= {"vs_default_low": found.low, "vs_default_high": found.high}
        if p_value:
            values["vs_default_p"] = found.p_value
    # Corrected for more trials it is newer to MLflow, by a time that follows from the ledger.
    at = milliseconds(trial.ended_at or trial.created_at) + found.num_compared
    return [_metric(key, value, at, len(trial.folds)) for key, value in values.items()]


def _means(trial: Trial) -> dict[str, float]:
    """What `NAMES` says, of a complete trial."""
    found = {}
    for metric, key in NAMES.items():
        values = list(fold_values(trial, metric).values())
        if values and all_finite(values):
            found[key] = mean_sd(values)[0]
    return found


def _end(trial: Trial) -> list[Metric]:
    found: dict[str, float] = _means(trial) if trial.state is State.COMPLETE else {}
    if (place := stopped_in(trial)) is not None:
        found |= {"stopped_at_fold": place[0], "stopped_at_epoch": place[1]}
    found |= {"folds_done": len(trial.folds), "epochs_done": trial.num_epochs}
    found |= {"seconds": trial.total_seconds, **_usage(trial)}
    return _at_end(trial, found)


def _usage(trial: Trial) -> dict[str, float]:
    """What the finished folds took, of those keys that all of them have."""
    folds = [score.usage for score in trial.folds.values()]
    known = set.intersection(*map(set, folds)) if folds else set()
    merged = {name: [usage[name] for usage in folds] for name in known}
    found = {key: max(merged[name]) / 2**20 for name, key in _PEAKS.items() if name in known}
    if "cpu_seconds" in known:
        found["system/cpu_seconds"] = math.fsum(merged["cpu_seconds"])
    if "seconds_per_image" in known:
        found["seconds_per_image"] = math.fsum(merged["seconds_per_image"]) / len(folds)
    return found


def _fold(trial: Trial, fold: int) -> Metric:
    """What a finished fold adds."""
    return _metric(f"{FOLD_SCORE}{fold}", trial.folds[fold].value, fold_end(trial, fold), 0)


def _monitor(trial: Trial, fold: int, projection: Projection, *, after: int = 0) -> list[Metric]:
    """The objective on the monitor split of a fold, finished or not.

    Its time is the start of the fold, which is the same before and after it is finished.
    """
    curve = _told(trial, fold)
    if fold in trial.folds:
        whole = trial.folds[fold].curves.get(f"monitor_{projection.header.metric}", ())
        curve = dict(enumerate(whole, start=1)) | curve
    at = fold_start(trial, fold)
    return [
        _metric(f"monitor/fold-{fold}", value, at, epoch)
        for epoch, value in sorted(curve.items())
        if epoch > after
    ]


def _last_curves(trial: Trial, projection: Projection) -> list[Metric]:
    """Mean losses of a complete trial, else the objective where it was stopped."""
    if trial.state is not State.COMPLETE:
        place = stopped_in(trial)
        return [] if place is None or place[0] == _FIRST else _monitor(trial, place[0], projection)
    at, found = milliseconds(trial.ended_at or trial.created_at), []
    for curve, key in (("monitor_loss", "monitor/loss"), ("train_loss", "train/loss")):
        folds = [score.curves.get(curve, ()) for score in trial.folds.values()]
        means = (math.fsum(values) / len(values) for values in zip(*folds, strict=False))
        found += [_metric(key, value, at, epoch) for epoch, value in enumerate(means, start=1)]
    return found


def _told(trial: Trial, fold: int) -> dict[int, float]:
    return trial.epochs.get(fold, {})


def _at_end(trial: Trial, values: Mapping[str, float]) -> list[Metric]:
    at, step = milliseconds(trial.ended_at or trial.created_at), len(trial.folds)
    return [_metric(key, value, at, step) for key, value in values.items()]


def fold_start(trial: Trial, fold: int) -> int:
    """When a fold was first begun, in milliseconds."""
    tries = [milliseconds(each.started_at) for each in trial.log if each.fold == fold]
    return min(tries, default=milliseconds(trial.created_at))


def fold_end(trial: Trial, fold: int) -> int:
    """When the score of a fold came to be what it is, in milliseconds; its last end before."""
    if fold in trial.folds:
        return max(_fold_time(trial, fold), _choice_time(trial))
    ends = (each.ended_at for each in trial.log if each.fold == fold)
    return max((milliseconds(at) for at in ends if at), default=fold_start(trial, fold))


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
