"""What a sweep and its candidates become in MLflow: pure functions of the projection.

Keys, steps, values and times follow from the ledger alone. The same entry sent twice is the same
row to MLflow, so nothing can be there twice, whoever sends it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import yaml
from mlflow.entities import Metric

from ptxcore.metrics import CONVENTIONS, LOWER_IS_BETTER, better
from sweep.caution import is_phantom, of_data, spoken
from sweep.cohort import KEY, cohort_of, describe, has_positives_alone
from sweep.inference import at_common
from sweep.projection import Candidate, Projection
from sweep.records import FoldScore, State
from sweep.standing import num_compared
from sweep.statistics import corrected_interval, mean_sd, paired_difference

#: Tags of runs. `logged` holds what a run has already been sent.
SWEEP_ID, CANDIDATE, LOGGED = "ptxsweep.sweep_id", "ptxsweep.candidate", "ptxsweep.logged"
#: Tag: the choice for inference at which a run's scores stand; params hold the first choice.
INFERENCE = "ptxsweep.inference"
#: Of which metrics a tag says what empty masks do; the description of the sweep's run has all.
_SAID = ("dice", "iou", "dice_positive", "iou_positive", "dice_all_empty")
#: Tag: metrics of which the lowest value is the best; of all others the highest is.
LOWER = "ptxsweep.lower_is_better"
#: The tag that MLflow shows as a run's description.
DESCRIPTION = "mlflow.note.content"
#: Facts of the header that identify rather than set something.
_TAGGED = ("git_sha", "version", "data_hash", "plan_digest", "space_digest", "phantom", "metric")
_SETTINGS = ("metric", "maximize", "num_folds", "seed", "num_cases", KEY, "versions", "runtime")
_SPACE_SETTINGS = ("policy", "pruner", "sampler", "fixed")
#: A metric that counts cases or restates the baseline has no interval worth showing.
_PLAIN = ("num_cases", "num_positive", "dice_all_empty", "dice_positive_all_empty")
_MAX_TAG = 4_000  # characters; MLflow refuses tags somewhat longer than that

STATUS = {
    State.RUNNING: "RUNNING",
    State.PARKED: "SCHEDULED",
    State.COMPLETE: "FINISHED",
    State.PRUNED: "KILLED",
    State.ABANDONED: "KILLED",
    State.FAILED: "FAILED",
}


def sweep_id(name: str, header: Mapping[str, Any]) -> str:
    """Tells apart sweeps of one name in different ledgers that share a server."""
    text = json.dumps([name, header], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def milliseconds(at: str) -> int:
    """An ISO 8601 time as MLflow has it; 0 for a time that is none."""
    try:
        return int(datetime.fromisoformat(at).timestamp() * 1000)
    except ValueError:
        return 0


def sweep_tags(name: str, projection: Projection) -> dict[str, str]:
    """Tags of the parent run that never change."""
    header = projection.header
    tags = {f"ptxsweep.{key}": str(header[key]) for key in _TAGGED if key in header}
    if "environment" in header:
        tags["ptxsweep.environment"] = digest_of(header["environment"])
    return (
        tags
        | {
            "mlflow.runName": name,
            "ptxsweep.sweep": name,
            SWEEP_ID: sweep_id(name, header),
            "ptxsweep.objective": f"{'maximize' if projection.maximize else 'minimize'} "
            f"{header['metric']}",
            "ptxsweep.empty_masks": "; ".join(f"{name}: {CONVENTIONS[name]}" for name in _SAID),
            LOWER: ", ".join(sorted(LOWER_IS_BETTER)),
            DESCRIPTION: data_description(header) + sweep_description(),
        }
        | _data_tags(header)
    )


def _data_tags(header: Mapping[str, Any]) -> dict[str, str]:
    """What a run's scores are not because of the data; nothing of what is not known."""
    alone = has_positives_alone(cohort_of(header))
    warned = spoken(of_data(phantom=is_phantom(header), positives_alone=alone))
    tags = {} if alone is None else {"ptxsweep.positives_alone": str(alone)}
    return tags | ({} if warned is None else {"ptxsweep.caution": warned})


def data_description(header: Mapping[str, Any]) -> str:
    """Which cases took part and what to mind of them, as Markdown; empty if nothing is known."""
    cohort = cohort_of(header)
    found = of_data(phantom=is_phantom(header), positives_alone=has_positives_alone(cohort))
    lines = [f"**{one.head}** {one.text[0].upper()}{one.text[1:]}." for one in found]
    lines += [f"Cases: {text}." for text in (describe(cohort),) if text is not None]
    return "".join(f"{line}\n\n" for line in lines)


def sweep_description() -> str:
    """What MLflow shows above a sweep's metrics, as Markdown: how to read each of them."""
    head = (
        "Metrics by the last part of their names; those that end in `_size_...` or `_view_...` are "
        "the same of a group of cases.",
        "",
        "| metric | better | what it counts, and what empty masks do |",
        "| --- | --- | --- |",
    )
    rows = (f"| {key} | {better(key) or '-'} | {text} |" for key, text in CONVENTIONS.items())
    return "\n".join((*head, *rows))


def digest_of(lines: list[str]) -> str:
    """SHA-256 of a text given by its lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sweep_params(projection: Projection) -> dict[str, str]:
    """Settings of the sweep, flat."""
    header = projection.header
    space = yaml.safe_load(str(header.get("space_text", ""))) or {}
    found = {key: header[key] for key in _SETTINGS if key in header}
    found |= {key: space[key] for key in _SPACE_SETTINGS if space.get(key)}
    return dict(_flat(found))


def sweep_files(projection: Projection) -> dict[str, str]:
    """Artifacts of the parent run by name."""
    header = projection.header
    files = {}
    if "space_text" in header:
        files["space.yaml"] = str(header["space_text"])
    if "environment" in header:
        files["environment.txt"] = "\n".join(header["environment"]) + "\n"
    return files


def candidate_tags(name: str, one: Candidate, projection: Projection) -> dict[str, str]:
    """Tags of a child run that never change."""
    tags = {
        "mlflow.runName": f"{name}-{one.number:04d}",
        "ptxsweep.sweep": name,
        SWEEP_ID: sweep_id(name, projection.header),
        CANDIDATE: str(one.number),
        "ptxsweep.varied": ", ".join(sorted(one.parameters)),
        "ptxsweep.phantom": str(projection.header.get("phantom", False)),
        LOWER: ", ".join(sorted(LOWER_IS_BETTER)),
        "ptxsweep.selection": str(one.settings.get("selection", "monitor")),
    } | _data_tags(projection.header)
    return tags | ({"ptxsweep.default": "True"} if one.number == 0 else {})


def candidate_params(one: Candidate) -> dict[str, str]:
    """The whole configuration."""
    return dict(_flat({**one.settings, **one.parameters}))


def inference_text(one: Candidate) -> str:
    """The common choice for inference; empty without one."""
    return json.dumps(one.inference, sort_keys=True) if one.inference else ""


def standing_tags(one: Candidate) -> dict[str, str]:
    """Tags of a child run that change with its candidate."""
    tags = {"ptxsweep.state": one.state.value, LOGGED: logged(sorted(one.folds))}
    if one.inference:
        tags[INFERENCE] = inference_text(one)
    if one.batch_parts > 1:
        tags["ptxsweep.batch_parts"] = str(one.batch_parts)
    if one.reason:
        tags["ptxsweep.reason"] = one.reason[:_MAX_TAG]
    return tags


def logged(folds: list[int]) -> str:
    """The value of the tag `LOGGED`."""
    return ",".join(map(str, folds))


def fold_metrics(one: Candidate, fold: int, projection: Projection) -> list[Metric]:
    """Everything that a finished fold adds: its scores, its curves, the means up to it."""
    score, at = one.folds[fold], max(_fold_time(one, fold), _choice_time(one))
    values = {**score.metrics, **_effort(score), "objective": projection.displayed(score.score)}
    metrics = [_metric(f"fold/{key}", value, at, fold) for key, value in values.items()]
    for key, curve in score.curves.items():
        metrics += [
            _metric(f"fold-{fold}/{key}", value, _fold_time(one, fold), epoch)
            for epoch, value in enumerate(curve, start=1)
        ]
    for choice in score.choices:
        key = "_".join(f"{name}-{str(value).lower()}" for name, value in choice.inference.items())
        value = projection.displayed(choice.score)
        metrics.append(_metric(f"inference/{key}", value, _fold_time(one, fold), fold))
    earlier = [one.folds[number] for number in sorted(one.folds) if number <= fold]
    metrics += _means(earlier, at, projection)
    if "dice_all_empty" in score.metrics:
        metrics.append(_metric("dice_all_empty", score.metrics["dice_all_empty"], at, fold))
    return [metric for metric in metrics if math.isfinite(metric.value)]


def winner_metrics(projection: Projection) -> list[Metric]:
    """The winner's statistics over all folds, and its difference to the default candidate."""
    best = projection.best()
    if best is None:
        return []
    complete = [one for one in projection.candidates if one.state is State.COMPLETE]
    at, step = max(milliseconds(one.ended_at or "") for one in complete), len(complete)
    metrics = []
    for key, scores in _scores(best, projection).items():
        if key in _PLAIN:
            metrics.append(_metric(f"winner/mean/{key}", mean_sd(scores)[0], at, step))
            continue
        interval = corrected_interval(scores)
        for part in ("mean", "sd", "low", "high"):
            metrics.append(_metric(f"winner/{part}/{key}", getattr(interval, part), at, step))
    default = projection.candidates[0]
    if default.state is State.COMPLETE and best.number != 0:
        theirs = _scores(default, projection)
        for key, scores in _scores(best, projection).items():
            if key in _PLAIN or key not in theirs:
                continue
            difference = paired_difference(
                scores, theirs[key], num_compared=num_compared(projection)
            )
            for part in ("mean", "low", "high", "p_value"):
                value = getattr(difference, part)
                metrics.append(_metric(f"difference/{part}/{key}", value, at, step))
    return [metric for metric in metrics if math.isfinite(metric.value)]


def winner_tags(projection: Projection) -> dict[str, str]:
    """Who wins, among how many, and what it is corrected for: as long as these stand, so do the
    winner's metrics.
    """
    best = projection.best()
    if best is None:
        return {}
    num_complete = sum(one.state is State.COMPLETE for one in projection.candidates)
    return {
        "ptxsweep.winner": str(best.number),
        "ptxsweep.complete": str(num_complete),
        "ptxsweep.compared": str(num_compared(projection)),
    }


def progress_tags(projection: Projection) -> dict[str, str]:
    """Where the sweep stands."""
    tags = {
        "ptxsweep.state": projection.sweep_state,
        "ptxsweep.folds_run": str(sum(len(one.folds) for one in projection.candidates)),
        "ptxsweep.candidates": str(len(projection.candidates)),
    }
    if projection.sweep_reason:
        tags["ptxsweep.reason"] = projection.sweep_reason[:_MAX_TAG]
    return tags


def last_time(one: Candidate) -> int:
    """When something last happened to a candidate, in milliseconds."""
    times = [one.ended_at, *(attempt.ended_at for attempt in one.log), one.created_at]
    return max(milliseconds(at) for at in times if at is not None)


def sweep_time(projection: Projection) -> int:
    """When something last happened in a sweep, in milliseconds."""
    created = milliseconds(str(projection.header.get("created_at", "")))
    return max([created, *(last_time(one) for one in projection.candidates)])


def _scores(one: Candidate, projection: Projection) -> dict[str, list[float]]:
    """Values over the folds of every metric that is a number on each of them."""
    folds = [one.folds[fold] for fold in sorted(one.folds)]
    found = {"objective": [projection.displayed(score.score) for score in folds]}
    for key in folds[0].metrics:
        found[key] = [score.metrics.get(key, math.nan) for score in folds]
    return {key: values for key, values in found.items() if all(map(math.isfinite, values))}


def _means(folds: list[FoldScore], at: int, projection: Projection) -> list[Metric]:
    """Mean and sample SD of the folds so far; the step is their number."""
    metrics, step = [], len(folds)
    for key in ("objective", *folds[-1].metrics):
        values = [
            projection.displayed(score.score)
            if key == "objective"
            else score.metrics.get(key, math.nan)
            for score in folds
        ]
        if not all(map(math.isfinite, values)):
            continue
        mean, sd = mean_sd(values)
        metrics.append(_metric(f"mean/{key}", mean, at, step))
        metrics.append(_metric(f"sd/{key}", sd, at, step))
    return metrics


def _effort(score: FoldScore) -> dict[str, float]:
    return {
        "seconds": score.seconds,
        "num_epochs": float(score.num_epochs),
        "best_epoch": float(score.best_epoch),
    }


def _fold_time(one: Candidate, fold: int) -> int:
    for attempt in one.log:
        if attempt.fold == fold and attempt.outcome == "finished":
            return milliseconds(attempt.ended_at or one.created_at)
    return milliseconds(one.created_at)


def _choice_time(one: Candidate) -> int:
    """When a candidate's scores came to stand at its present choice for inference; 0 without one.

    Scores sent again after a change are newer to MLflow, and by a time that the ledger tells.
    """
    since, known, before = 0, {}, None
    for attempt in one.log:
        if attempt.outcome != "finished" or not one.inference:
            continue
        known[attempt.fold] = one.folds[attempt.fold]
        now = at_common(known)[attempt.fold].inference
        if now != before:
            since, before = milliseconds(attempt.ended_at or one.created_at), now
    return since


def _metric(key: str, value: float, at: int, step: int) -> Metric:
    return Metric(key, float(value), at, step)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
