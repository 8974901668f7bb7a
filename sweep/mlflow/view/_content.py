"""What a sweep and its trials become in MLflow: pure functions of the projection.

Keys, steps, values and times follow from the ledger alone. The same entry sent twice is the same
row to MLflow, so nothing can be there twice, whichever process sends it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from ptxcore.metrics import CONVENTIONS, LOWER_IS_BETTER
from sweep.analysis.cohort import cohort_of, has_positives_alone
from sweep.analysis.operating_point import FIXED, OTHER_FOLDS, known_point, rule_text
from sweep.analysis.resampling import known_resampling, sentences
from sweep.analysis.selection_bias import cautions, of_data, spoken
from sweep.analysis.standing import num_compared, standing
from sweep.analysis.verdict import SweepVerdict
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.view._metrics import (
    END,
    LAYOUT,
    Reference,
    Sent,
    milliseconds,
    parts_of,
)
from sweep.mlflow.view._words import glossary, progress_text, stopped_text
from sweep.records import State

#: Tags of runs. `logged` holds what a run has already been sent.
SWEEP_ID, TRIAL, LOGGED = "ptxsweep.sweep_id", "ptxsweep.trial", "ptxsweep.logged"
#: Tags of earlier builds: a trial's number, read where the new tag is missing, and how many there
#: are, which is removed.
OLD_TRIAL, OLD_TRIALS = "ptxsweep.candidate", "ptxsweep.candidates"
#: Tags: of which layout a run's keys are, which a trial's says in `LOGGED`; the rule that makes the
#: masks behind its metrics.
LAYOUT_TAG, THRESHOLD = "ptxsweep.layout", "ptxsweep.threshold"
#: Tag: the choice for inference at which a run's scores stand; params hold the first choice.
INFERENCE = "ptxsweep.inference"
#: Of which metrics a tag says what empty masks do; the description of the sweep's run has all.
_SAID = ("dice", "iou", "dice_positive", "iou_positive", "dice_all_empty")
#: Tag: where and why a trial was stopped, in words.
STOPPED = "ptxsweep.stopped"
#: Tag: what a complete trial's model is called in MLflow.
MODEL = "ptxsweep.model_id"
#: The whole configuration of a trial. Its run has it from the start: MLflow's page that compares
#: runs fails if the first run has an artifact and another has none.
SETTINGS_FILE = "settings.json"
#: Tag: metrics of which the lowest value is the best; of all others the highest is.
LOWER = "ptxsweep.lower_is_better"
#: Tags: number of the winner and its run, "none yet" while the sweep is not over.
WINNER, WINNER_RUN = "ptxsweep.winner", "ptxsweep.winner_run_id"
#: Facts of the header that identify rather than set something.
_TAGGED = ("git_sha", "version", "data_hash", "plan_digest", "space_digest", "phantom", "metric")
_SETTINGS = (
    *("metric", "maximize", "num_folds", "seed"),
    *("num_cases", "cohort", "versions", "runtime"),
)
_SPACE_SETTINGS = ("policy", "pruner", "sampler", "fixed")
_LAYOUT_PART = f"layout-{LAYOUT}"
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
    """Tells apart sweeps of one name in different ledgers that share a server.

    A sweep that was renamed keeps the one of its first name.
    """
    if header.sweep_id is not None:
        return header.sweep_id
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
    files = {"metrics.md": glossary()}
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
    }
    for key, says in (("phantom", projection.header.is_phantom), ("default", trial.is_default)):
        if says:
            tags[f"ptxsweep.{key}"] = "True"
    if (selection := str(trial.settings.get("selection", "monitor"))) != "monitor":
        tags["ptxsweep.selection"] = selection
    return tags


def trial_params(trial: Trial) -> dict[str, str]:
    """What varies; the rest is the same in all trials and stands in `SETTINGS_FILE`."""
    return dict(_flat(trial.parameters))


def trial_settings(trial: Trial) -> str:
    """The whole configuration as JSON."""
    return json.dumps({**trial.settings, **trial.parameters}, sort_keys=True, indent=1)


def inference_text(trial: Trial) -> str:
    """The common choice for inference; empty without one."""
    return json.dumps(trial.inference, sort_keys=True) if trial.inference else ""


def threshold_text(trial: Trial) -> str:
    """Which rule makes the masks behind a trial's metrics, where they depend on one."""
    if known_point(trial) is None:
        return rule_text(FIXED, trial.settings)
    return rule_text(OTHER_FOLDS)


def standing_tags(trial: Trial, reference: Reference) -> dict[str, str]:
    """Tags of a child run that change with its trial."""
    tags = {
        "ptxsweep.state": trial.state.value,
        "ptxsweep.progress": progress_text(trial),
        LOGGED: ",".join([_LAYOUT_PART, *parts_of(trial, reference)]),
        THRESHOLD: threshold_text(trial),
    }
    if (rank := reference.ranks.get(trial.number)) is not None:
        tags["ptxsweep.rank"] = f"{rank} of {len(reference.ranks)} complete"
        if (found := reference.difference(trial)) is not None:
            tags["ptxsweep.rank"] += f", {found.mean:+.3f} to the default"
    if trial.inference:
        tags[INFERENCE] = inference_text(trial)
    if trial.batch_parts > 1:
        tags["ptxsweep.batch_parts"] = str(trial.batch_parts)
    if (stopped := stopped_text(trial)) is not None:
        tags[STOPPED] = stopped[:_MAX_TAG]
    return tags


def sent_to(tags: Mapping[str, str], trial: Trial) -> Sent:
    """What was sent by the tags of a trial's run; nothing where its keys are of another layout,
    or all folds stand at another choice for inference by now.
    """
    parts = set(tags.get(LOGGED, "").split(",")) - {""}
    is_ours = _LAYOUT_PART in parts or (LOGGED in tags and tags.get(LAYOUT_TAG) == LAYOUT)
    if not is_ours or tags.get(INFERENCE, "") != inference_text(trial):
        return Sent()
    if tags.get(THRESHOLD) != threshold_text(trial):
        parts -= {END}
    return Sent(is_new=False, parts=frozenset(parts))


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
        **_resampled_tags(projection),
        LAYOUT_TAG: LAYOUT,
        THRESHOLD: threshold_text(projection.trials[winner]),
    }


def _resampled_tags(projection: Projection) -> dict[str, str]:
    found = known_resampling(projection)
    return {} if found is None else {"ptxsweep.resampled": " ".join(sentences(found))[:_MAX_TAG]}


def progress_tags(projection: Projection, said: SweepVerdict) -> dict[str, str]:
    """Where the sweep stands."""
    tags = {
        "ptxsweep.state": projection.sweep_state.value,
        "ptxsweep.folds_run": str(sum(len(trial.folds) for trial in projection.trials)),
        "ptxsweep.trials": str(len(projection.trials)),
        "ptxsweep.standing": said.text[:_MAX_TAG],
    }
    if projection.sweep_reason:
        tags["ptxsweep.reason"] = projection.sweep_reason[:_MAX_TAG]
    found = of_data(phantom=projection.header.is_phantom, positives_alone=False)
    if (warned := spoken([*found, *cautions(projection)])) is not None:
        tags["ptxsweep.caution"] = warned[:_MAX_TAG]
    return tags


def wants_fold_runs(header: SweepHeader) -> bool:
    """Whether the search space asks for a run of each fold."""
    space = yaml.safe_load(header.space_text or "") or {}
    return bool((space.get("mlflow") or {}).get("fold_runs"))


def gate_text(tags: Mapping[str, str]) -> str | None:
    """What the gate said, as `promote` tags the sweep's run; None before."""
    said = tags.get("ptxsweep.verdict")
    reasons = tags.get("ptxsweep.verdict_reasons")
    return f"{said}: {reasons}" if said and reasons else said or None


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
