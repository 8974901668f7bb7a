"""What a registered model says of itself, and how the next one reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ptxcore.settings import FoldSettings
from ptxcore.types import Rule
from sweep.analysis.cohort import cohort_of, describe
from sweep.analysis.detection import FACT, known_detection
from sweep.analysis.selection_bias import POSITIVES_ALONE, had_positives_alone
from sweep.errors import UsageError
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.view import sweep_id
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.gate import Verdict

PREFIX = "ptxsweep."
#: Characters; MLflow refuses tags somewhat longer than that.
MAX_TAG = 4_000
#: Characters of a reason for a forced promotion, or for a rollback.
MAX_REASON = 500


def one_line(reason: str | None) -> str | None:
    """A reason as it is kept, None if there is none.

    Raises:
        UsageError: It is longer than `MAX_REASON` characters.
    """
    given = " ".join((reason or "").split())
    if len(given) > MAX_REASON:
        raise UsageError(
            f"reason: found {len(given)} characters, expected at most {MAX_REASON}; the ledger, "
            "MLflow and the model keep them"
        )
    return given or None


def facts_of(
    name: str,
    projection: Projection,
    best: Trial,
    found: Confirmation,
    said: Verdict,
    against: str | None = None,
) -> dict[str, Any]:
    """What a model says of its origin; plain JSON values.

    Args:
        name: Name of the sweep.
        projection: Projection of the sweep.
        best: Its winner.
        found: Result on the hold-out.
        said: Verdict of the gate.
        against: Why it was promoted against the gate; None where it was not.
    """
    header = projection.header
    return {
        "sweep": name,
        "sweep_id": sweep_id(name, header),
        "trial": best.number,
        "metric": header.metric,
        "mean_over_folds": best.mean_value,
        "num_folds": projection.num_folds,
        "phantom": found.phantom,
        "positives_alone": had_positives_alone(projection),
        "cohort": cohort_of(header),
        "versions": projection.versions[-1] if projection.versions else {},
        "holdout_versions": dict(found.versions or {}),
        "data_hash": found.data_hash,
        "plan_digest": found.plan_digest,
        "holdout_digest": found.holdout_digest,
        "holdout_dice": found.metrics["dice"],
        "holdout_dice_positive": found.metrics["dice_positive"],
        "holdout_dice_all_empty": found.baseline,
        "holdout_num_cases": found.num_cases,
        "holdout_use": found.use,
        "rule": found.rule.to_stored(),
        **(
            {}
            if found.promised is None or found.expected is None
            else {
                "prevalence": found.expected.prevalence,
                "promised_dice": found.promised.to_stored(),
                "expected_dice": found.expected.to_stored(),
            }
        ),
        FACT: _told_apart(projection, best, found.case_rule),
        "inference": best.inference,
        "git_sha": header.git_sha or "unknown",
        "version": header.version or "unknown",
        "forced": not said.passed,
        "reasons": list(said.reasons),
        "gate": said.gate,
        "pictures": found.pictures or "unknown",
        "gate_eased": list(said.eased),
        **({} if found.images is None else {"images": {**found.images, "grid_px": _grid_px(best)}}),
        **({} if against is None else {"force_reason": against}),
        "intended_use": "research; not for clinical use",
    }


def _told_apart(
    projection: Projection, best: Trial, case_rule: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """How a case becomes a probability, and how that did out of fold; None if it is not known.

    What it did is of single networks, how it does it of the ensemble, where that is known.
    """
    found = known_detection(projection)
    if found is None or found.trial != best.number:
        return None
    return found.to_stored() | ({} if case_rule is None else {"rule": dict(case_rule)})


def _grid_px(trial: Trial) -> int:
    """Longer side of the grid that a trial's networks see; 0 for that of the image."""
    return int(trial.settings.get("image_size", FoldSettings().image_size))


def tags_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts as tags of a version."""
    return {
        PREFIX + key: (value if isinstance(value, str) else json.dumps(value))[:MAX_TAG]
        for key, value in facts.items()
    }


def trial_of(tags: Mapping[str, str]) -> str | None:
    """Number of the trial that became a version; versions of earlier builds call it a candidate.

    Args:
        tags: Tags of the version.
    """
    return tags.get(PREFIX + "trial", tags.get(PREFIX + "candidate"))


def is_same(tags: Mapping[str, str], name: str, header: SweepHeader, number: int) -> bool:
    """Whether a champion is this trial.

    Args:
        tags: Tags of the champion's version.
        name: Name of the trial's sweep.
        header: Header of its ledger.
        number: Number of the trial.
    """
    ours = (sweep_id(name, header), str(number))
    return (tags.get(PREFIX + "sweep_id"), trial_of(tags)) == ours


def has_rule(tags: Mapping[str, str], rule: Rule) -> bool:
    """Whether a version makes masks by a rule; of one that does not tell it is taken to be so.

    Args:
        tags: Tags of the version.
        rule: What its trial would be registered with now.
    """
    kept = tags.get(PREFIX + "rule")
    return kept is None or bool(json.loads(kept) == json.loads(json.dumps(rule.to_stored())))


def description_of(
    found: Confirmation, said: Verdict, header: SweepHeader, against: str | None = None
) -> str:
    """The same for people."""
    lines = [
        f"Sweep {found.sweep}, trial {found.trial}. On {found.num_cases} locked cases "
        f"({found.num_positive} with a pneumothorax) Dice {found.metrics['dice']:.4f} "
        f"({found.stated_span('dice', '.4f')}; both empty = 1), against "
        f"{found.baseline:.4f} for predicting nothing; {found.metrics['dice_positive']:.4f} over "
        "positives."
    ]
    lines += found.at_prevalence
    if found.phantom:
        lines.append("Trained on a drawn phantom, not on patients.")
    if found.num_positive == found.num_cases:
        lines.append(f"Caution: {POSITIVES_ALONE.text}.")
    if (cohort := describe(cohort_of(header))) is not None:
        lines.append(f"Took part in the sweep: {cohort}.")
    if not said.passed:
        lines.append(
            f"Promoted against the gate, because: {against or 'unknown'}. The gate said: "
            + "; ".join(said.reasons)
            + "."
        )
    lines += [f"Caution: {text}." for text in said.cautions]
    if said.eased:
        lines.append(f"The gate asked for less than usual: {', '.join(said.eased)}.")
    lines.append("Not for clinical use.")
    return " ".join(lines)
