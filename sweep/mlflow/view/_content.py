"""What a sweep and its trials become in MLflow: pure functions of the projection.

Keys, steps, values and times follow from the ledger alone. The same entry sent twice is the same
row to MLflow, so nothing can be there twice, whichever process sends it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from mlflow.entities import Metric

from ptxcore.metrics import CONVENTIONS, LOWER_IS_BETTER, better
from sweep.analysis.cohort import cohort_of, describe, has_positives_alone, overlap_ratio
from sweep.analysis.operating_point import FIXED, OTHER_FOLDS, known_point, rule_text
from sweep.analysis.selection_bias import cautions, of_data, spoken
from sweep.analysis.standing import num_compared, standing
from sweep.analysis.statistics import corrected_interval, mean_sd, paired_difference
from sweep.analysis.verdict import SweepVerdict, verdict
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.view._metrics import (
    END,
    FIXED_PREFIX,
    LAYOUT,
    Sent,
    bounds_of,
    is_plain,
    metric_values,
    milliseconds,
    num_reported,
)
from sweep.records import DEFAULT_TRIAL, State

#: Tags of runs. `logged` holds what a run has already been sent.
SWEEP_ID, TRIAL, LOGGED = "ptxsweep.sweep_id", "ptxsweep.trial", "ptxsweep.logged"
#: Tags of earlier builds: a trial's number, read where the new tag is missing, and how many there
#: are, which is removed.
OLD_TRIAL, OLD_TRIALS = "ptxsweep.candidate", "ptxsweep.candidates"
#: Tags: of which layout a run's keys are; epochs it was sent of folds that were not finished; the
#: rule that makes the masks behind its metrics.
LAYOUT_TAG, EPOCHS, THRESHOLD = "ptxsweep.layout", "ptxsweep.epochs", "ptxsweep.threshold"
#: Tag: the choice for inference at which a run's scores stand; params hold the first choice.
INFERENCE = "ptxsweep.inference"
#: Of which metrics a tag says what empty masks do; the description of the sweep's run has all.
_SAID = ("dice", "iou", "dice_positive", "iou_positive", "dice_all_empty")
#: Tag: metrics of which the lowest value is the best; of all others the highest is.
LOWER = "ptxsweep.lower_is_better"
#: Tags: number of the winner and its run, "none yet" while the sweep is not over.
WINNER, WINNER_RUN = "ptxsweep.winner", "ptxsweep.winner_run_id"
#: The tag that MLflow shows as a run's description.
DESCRIPTION = "mlflow.note.content"
#: Facts of the header that identify rather than set something.
_TAGGED = ("git_sha", "version", "data_hash", "plan_digest", "space_digest", "phantom", "metric")
_SETTINGS = (
    *("metric", "maximize", "num_folds", "seed"),
    *("num_cases", "cohort", "versions", "runtime"),
)
_SPACE_SETTINGS = ("policy", "pruner", "sampler", "fixed")
_MAX_TAG = 4_000  # characters; MLflow refuses tags somewhat longer than that

STATUS = {
    State.RUNNING: "RUNNING",
    State.PARKED: "SCHEDULED",
    State.COMPLETE: "FINISHED",
    State.PRUNED: "KILLED",
    State.ABANDONED: "KILLED",
    State.FAILED: "FAILED",
}


def sweep_id(name: str, header: SweepHeader) -> str:
    """Tells apart sweeps of one name in different ledgers that share a server."""
    text = json.dumps([name, header.to_stored()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def sweep_tags(name: str, projection: Projection) -> dict[str, str]:
    """Tags of the parent run that never change."""
    header = projection.header
    known = header.to_stored()
    tags = {f"ptxsweep.{key}": str(known[key]) for key in _TAGGED if key in known}
    if header.environment is not None:
        tags["ptxsweep.environment"] = digest_of(header.environment)
    return (
        tags
        | {
            "mlflow.runName": name,
            "ptxsweep.sweep": name,
            SWEEP_ID: sweep_id(name, header),
            "ptxsweep.objective": f"{'maximize' if projection.maximize else 'minimize'} "
            f"{header.metric}",
            "ptxsweep.empty_masks": "; ".join(f"{name}: {CONVENTIONS[name]}" for name in _SAID),
            LOWER: ", ".join(sorted(LOWER_IS_BETTER)),
        }
        | _data_tags(header)
    )


def _data_tags(header: SweepHeader) -> dict[str, str]:
    """What a run's scores are not because of the data; nothing of what is not known."""
    alone = has_positives_alone(cohort_of(header))
    warned = spoken(of_data(phantom=header.is_phantom, positives_alone=alone))
    tags = {} if alone is None else {"ptxsweep.positives_alone": str(alone)}
    return tags | ({} if warned is None else {"ptxsweep.caution": warned})


def data_description(header: SweepHeader) -> str:
    """Which cases took part and what to mind of them, as Markdown; empty if nothing is known."""
    cohort = cohort_of(header)
    found = of_data(phantom=header.is_phantom, positives_alone=has_positives_alone(cohort))
    lines = [
        f"**{caution.head}** {caution.text[0].upper()}{caution.text[1:]}." for caution in found
    ]
    lines += [f"Cases: {text}." for text in (describe(cohort),) if text is not None]
    return "".join(f"{line}\n\n" for line in lines)


def verdict_description(said: SweepVerdict) -> str:
    """What every view says of a sweep, as Markdown."""
    lead, *rest = said.sentences
    return f"**{lead}** {' '.join((*rest, *said.cautions[:1]))}\n\n"


def sweep_description() -> str:
    """How to read a sweep's metrics, as Markdown."""
    head = (
        "Trials: `score` is the mean of the objective over all folds, of complete trials "
        "alone; `partial/...` are means over fewer folds and do not compare with it. Masks behind "
        "`complete/...` are made with the threshold that the other folds choose, as a model is "
        "deployed; behind `.../fixed/...` with the fixed one of the settings. The tag "
        "`ptxsweep.threshold` says which a run has. Steps of `fold-.../...` are epochs; folds.json "
        "has every metric of every fold.",
        "",
        "Metrics by the last part of their names; those that end in `_size_...` or `_view_...` are "
        "the same of a group of cases.",
        "",
        "| metric | better | what it counts, and what empty masks do |",
        "| --- | --- | --- |",
    )
    rows = (f"| {key} | {better(key) or '-'} | {text} |" for key, text in CONVENTIONS.items())
    return "\n".join((*head, *rows))


def digest_of(lines: Sequence[str]) -> str:
    """SHA-256 of a text given by its lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sweep_params(projection: Projection) -> dict[str, str]:
    """Settings of the sweep, flat."""
    header, known = projection.header, projection.header.to_stored()
    space = yaml.safe_load(header.space_text or "") or {}
    found = {key: known[key] for key in _SETTINGS if key in known}
    found |= {key: space[key] for key in _SPACE_SETTINGS if space.get(key)}
    return dict(_flat(found))


def sweep_files(projection: Projection) -> dict[str, str]:
    """Artifacts of the parent run by name."""
    header = projection.header
    files = {}
    if header.space_text is not None:
        files["space.yaml"] = header.space_text
    if header.environment is not None:
        files["environment.txt"] = "\n".join(header.environment) + "\n"
    return files


def trial_tags(name: str, trial: Trial, projection: Projection) -> dict[str, str]:
    """Tags of a child run that never change."""
    tags = {
        "mlflow.runName": f"{name}-{trial.number:04d}",
        "ptxsweep.sweep": name,
        SWEEP_ID: sweep_id(name, projection.header),
        TRIAL: str(trial.number),
        "ptxsweep.varied": ", ".join(sorted(trial.parameters)),
        "ptxsweep.phantom": str(projection.header.is_phantom),
        LOWER: ", ".join(sorted(LOWER_IS_BETTER)),
        "ptxsweep.selection": str(trial.settings.get("selection", "monitor")),
    } | _data_tags(projection.header)
    return tags | ({"ptxsweep.default": "True"} if trial.is_default else {})


def trial_params(trial: Trial) -> dict[str, str]:
    """The whole configuration."""
    return dict(_flat({**trial.settings, **trial.parameters}))


def inference_text(trial: Trial) -> str:
    """The common choice for inference; empty without one."""
    return json.dumps(trial.inference, sort_keys=True) if trial.inference else ""


def threshold_text(trial: Trial) -> str:
    """Which rule makes the masks behind a trial's metrics."""
    fixed = f"{FIXED_PREFIX}...: {rule_text(FIXED, trial.settings)}"
    return fixed if known_point(trial) is None else f"{rule_text(OTHER_FOLDS)}; {fixed}"


def standing_tags(trial: Trial) -> dict[str, str]:
    """Tags of a child run that change with its trial."""
    parts = [*map(str, sorted(trial.folds)), *([END] if trial.state.is_final else [])]
    unfinished = sorted(set(trial.epochs) - set(trial.folds))
    tags = {
        TRIAL: str(trial.number),  # here too, for runs of builds that gave it another name
        "ptxsweep.state": trial.state.value,
        LAYOUT_TAG: LAYOUT,
        LOGGED: ",".join(parts),
        EPOCHS: ",".join(f"{fold}:{num_reported(trial.epochs[fold])}" for fold in unfinished)
        or "-",
        THRESHOLD: threshold_text(trial),
    }
    if trial.inference:
        tags[INFERENCE] = inference_text(trial)
    if trial.batch_parts > 1:
        tags["ptxsweep.batch_parts"] = str(trial.batch_parts)
    if trial.reason:
        tags["ptxsweep.reason"] = trial.reason[:_MAX_TAG]
    return tags


def sent_to(tags: Mapping[str, str], trial: Trial) -> Sent:
    """What was sent by the tags of a trial's run; nothing where its keys are of another layout,
    or all folds stand at another choice for inference by now.
    """
    is_ours = LOGGED in tags and tags.get(LAYOUT_TAG) == LAYOUT
    if not is_ours or tags.get(INFERENCE, "") != inference_text(trial):
        return Sent()
    parts = set(tags[LOGGED].split(",")) - {""}
    if tags.get(THRESHOLD) != threshold_text(trial):
        parts -= {END}
    pairs = (pair.partition(":") for pair in tags.get(EPOCHS, "").split(",") if ":" in pair)
    epochs = {int(fold): int(number) for fold, _, number in pairs}
    return Sent(is_new=False, parts=frozenset(parts), epochs=epochs)


def winner_metrics(projection: Projection) -> list[Metric]:
    """The winner's statistics over all folds, and its difference to the default trial.

    Nothing while a sweep is not over: what was sent cannot be taken back.
    """
    winner = standing(projection).winner
    if winner is None:
        return []
    best = projection.trials[winner]
    complete = [trial for trial in projection.trials if trial.state is State.COMPLETE]
    at, step = max(milliseconds(trial.ended_at or "") for trial in complete), len(complete)
    at += int(LAYOUT)  # newer to MLflow than what another layout said of the same winner
    ratio = overlap_ratio(projection.header)
    metrics = []
    for key, scores in metric_values(best, projection).items():
        if is_plain(key):
            metrics.append(Metric(f"winner/mean/{key}", mean_sd(scores)[0], at, step))
            continue
        interval = corrected_interval(scores, test_train_ratio=ratio)
        interval = interval.within(*bounds_of(key, projection))
        for part in ("mean", "sd", "low", "high"):
            metrics.append(Metric(f"winner/{part}/{key}", getattr(interval, part), at, step))
    default = projection.trials[DEFAULT_TRIAL]
    if default.state is State.COMPLETE and not best.is_default:
        theirs = metric_values(default, projection)
        for key, scores in metric_values(best, projection).items():
            if is_plain(key) or key not in theirs:
                continue
            difference = paired_difference(
                scores,
                theirs[key],
                test_train_ratio=ratio,
                num_compared=num_compared(projection),
            ).within(*bounds_of(key, projection))
            for part in ("mean", "low", "high", "p_value"):
                value = getattr(difference, part)
                metrics.append(Metric(f"difference/{part}/{key}", value, at, step))
    return [metric for metric in metrics if math.isfinite(metric.value)]


def winner_tags(projection: Projection) -> dict[str, str]:
    """The winner, of how many trials, and what it is corrected for: as long as these stand, so do
    the winner's metrics.
    """
    winner = standing(projection).winner
    if winner is None:
        return {WINNER: "none yet"}
    num_complete = sum(trial.state is State.COMPLETE for trial in projection.trials)
    return {
        WINNER: str(winner),
        "ptxsweep.complete": str(num_complete),
        "ptxsweep.compared": str(num_compared(projection)),
        LAYOUT_TAG: LAYOUT,
        THRESHOLD: threshold_text(projection.trials[winner]),
    }


def progress_tags(projection: Projection) -> dict[str, str]:
    """Where the sweep stands."""
    said, header = verdict(projection), projection.header
    tags = {
        "ptxsweep.state": projection.sweep_state.value,
        "ptxsweep.folds_run": str(sum(len(trial.folds) for trial in projection.trials)),
        "ptxsweep.trials": str(len(projection.trials)),
        "ptxsweep.standing": said.text[:_MAX_TAG],
        DESCRIPTION: verdict_description(said) + data_description(header) + sweep_description(),
    }
    if projection.sweep_reason:
        tags["ptxsweep.reason"] = projection.sweep_reason[:_MAX_TAG]
    found = of_data(phantom=header.is_phantom, positives_alone=False)
    if (warned := spoken([*found, *cautions(projection)])) is not None:
        tags["ptxsweep.caution"] = warned[:_MAX_TAG]
    return tags


def last_time(trial: Trial) -> int:
    """When something last happened to a trial, in milliseconds."""
    times = [trial.ended_at, *(attempt.ended_at for attempt in trial.log), trial.created_at]
    return max(milliseconds(at) for at in times if at is not None)


def sweep_time(projection: Projection) -> int:
    """When something last happened in a sweep, in milliseconds."""
    created = milliseconds(projection.header.created_at or "")
    return max([created, *(last_time(trial) for trial in projection.trials)])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
