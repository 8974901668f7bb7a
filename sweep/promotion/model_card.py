"""What a registered model says of itself, and how the next one reads it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from sweep.analysis.cohort import cohort_of, describe
from sweep.analysis.selection_bias import POSITIVES_ALONE, had_positives_alone
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Candidate, Projection
from sweep.mlflow.view import sweep_id
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.gate import Verdict

PREFIX = "ptxsweep."
#: Characters; MLflow refuses tags somewhat longer than that.
MAX_TAG = 4_000


def facts_of(
    name: str,
    projection: Projection,
    best: Candidate,
    found: Confirmation,
    said: Verdict,
    against: str | None = None,
) -> dict[str, Any]:
    """What a model says of its origin; plain JSON values.

    Args:
        name: Of the sweep.
        projection: Of the sweep.
        best: Its winner.
        found: On the hold-out.
        said: Of the gate.
        against: Why it was promoted against the gate; None where it was not.
    """
    header = projection.header
    return {
        "sweep": name,
        "sweep_id": sweep_id(name, header),
        "candidate": best.number,
        "metric": header.metric,
        "mean_over_folds": projection.displayed(best.mean),
        "num_folds": projection.num_folds,
        "phantom": found.phantom,
        "positives_alone": had_positives_alone(projection),
        "cohort": cohort_of(header),
        "versions": dict(header.versions or {}),
        "data_hash": found.data_hash,
        "plan_digest": found.plan_digest,
        "holdout_digest": found.holdout_digest,
        "holdout_dice": found.metrics["dice"],
        "holdout_dice_positive": found.metrics["dice_positive"],
        "holdout_dice_all_empty": found.baseline,
        "holdout_num_cases": found.num_cases,
        "holdout_use": found.use,
        "rule": dataclasses.asdict(found.rule),
        "inference": best.inference,
        "git_sha": header.git_sha or "unknown",
        "version": header.version or "unknown",
        "forced": not said.passed,
        "reasons": list(said.reasons),
        "gate_eased": list(said.eased),
        **({} if against is None else {"force_reason": against}),
        "intended_use": "research; not for clinical use",
    }


def tags_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts as tags of a version."""
    return {
        PREFIX + key: (value if isinstance(value, str) else json.dumps(value))[:MAX_TAG]
        for key, value in facts.items()
    }


def is_same(tags: Mapping[str, str], name: str, header: SweepHeader, candidate: int) -> bool:
    """Whether a champion is this candidate.

    Args:
        tags: Of the champion's version.
        name: Of the candidate's sweep.
        header: Of its ledger.
        candidate: Its number.
    """
    ours = tags_of({"sweep_id": sweep_id(name, header), "candidate": candidate})
    return all(tags.get(key) == text for key, text in ours.items())


def description_of(
    found: Confirmation, said: Verdict, header: SweepHeader, against: str | None = None
) -> str:
    """The same for people."""
    lines = [
        f"Sweep {found.sweep}, candidate {found.candidate}. On {found.num_cases} locked cases "
        f"({found.num_positive} with a pneumothorax) Dice {found.metrics['dice']:.4f} "
        f"({found.span('dice', '.4f')}; both empty = 1), against "
        f"{found.baseline:.4f} for predicting nothing; {found.metrics['dice_positive']:.4f} over "
        "positives."
    ]
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
    if said.eased:
        lines.append(f"The gate asked for less than usual: {', '.join(said.eased)}.")
    lines.append("Not for clinical use.")
    return " ".join(lines)
