"""Cautions: selection bias and other reasons not to take a score at its word.

Every command and page repeats these sentences; none has words of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sweep.analysis.cohort import cohort_of, has_positives_alone
from sweep.analysis.emptied import emptied_folds
from sweep.ledger.projection import Projection
from sweep.util.provenance import differences


@dataclass(frozen=True, kw_only=True)
class Caution:
    """One thing to know before a score is believed.

    Attributes:
        label: Few words, for a list.
        head: Above a banner.
        text: A sentence without its capital and its stop.
    """

    label: str
    head: str
    text: str


PHANTOM = Caution(
    label="phantom",
    head="PHANTOM DATA.",
    text="these radiographs are drawn by a program, not taken from patients: they show that the "
    "path works, and no score of them says anything about real pneumothoraces",
)
POSITIVES_ALONE = Caution(
    label="positive cases alone",
    head="POSITIVE CASES ALONE.",
    text="only cases with a pneumothorax took part: no false alarm on a healthy image was ever "
    "seen, and the scores say nothing about healthy images",
)

UNKNOWN_ORIGIN = Caution(
    label="unknown origin",
    head="UNKNOWN ORIGIN.",
    text="the model does not say what it was trained on: it may be a phantom's, or one that has "
    "seen no healthy image",
)


def of_data(*, phantom: bool | None, positives_alone: bool | None) -> list[Caution]:
    """What a model that was trained on such data is not; None is not known and says nothing."""
    return [PHANTOM] * bool(phantom) + [POSITIVES_ALONE] * bool(positives_alone)


def of_model(facts: Mapping[str, Any]) -> list[Caution]:
    """What a model is not, by what its package says of its origin (`model_card.facts_of`)."""
    phantom, alone = facts.get("phantom"), model_positives_alone(facts)
    unknown = phantom is None and alone is None
    found = [UNKNOWN_ORIGIN] if unknown else of_data(phantom=phantom, positives_alone=alone)
    if facts.get("forced"):
        said = "; ".join(facts.get("reasons") or ()) or "unknown"
        found.append(
            Caution(
                label="against the gate",
                head="AGAINST THE GATE.",
                text=f"the model was promoted against the gate, because: "
                f"{facts.get('force_reason') or 'unknown'}; the gate said: {said}",
            )
        )
    return found


def other_versions(
    facts: Mapping[str, Any], here: Mapping[str, str]
) -> dict[str, dict[str, str]] | None:
    """Versions of what changes pixels here that are not those under which a model was trained.

    Args:
        facts: Facts of its package (`model_card.facts_of`).
        here: From `sweep.util.provenance.pixel_versions`.

    Returns:
        By package, "model" and "here"; None where the model does not tell its own.
    """
    known = facts.get("versions")
    if not isinstance(known, Mapping) or not known:
        return None
    return {
        name: {"model": theirs, "here": ours} for name, theirs, ours in differences(known, here)
    }


def model_positives_alone(facts: Mapping[str, Any]) -> bool | None:
    """Whether a model has seen no healthy case; None where its package does not tell.

    Earlier packages tell by their hold-out: predicting nothing scores 0 where no case is healthy.
    """
    known, baseline = facts.get("positives_alone"), facts.get("holdout_dice_all_empty")
    if isinstance(known, bool):
        return known
    return baseline == 0 if isinstance(baseline, int | float) else None


def cautions(projection: Projection) -> list[Caution]:
    """All that holds of a sweep, finished or not, but for phantoms, which the header tells."""
    found = of_data(phantom=False, positives_alone=had_positives_alone(projection))
    chosen = [trial.settings.get("selection") == "fold" for trial in projection.trials]
    if any(chosen):
        of = "" if all(chosen) else f" of {sum(chosen)} of {len(chosen)} trials"
        found.append(
            Caution(
                label="checkpoint-selected",
                head="Checkpoint-selected scores.",
                text=f"checkpoints{of} were chosen on the scored folds themselves "
                "(checkpoint-selected): these scores are optimistic and not comparable with "
                "leak-free ones",
            )
        )
    if (mixed := mixed_versions(projection)) is not None:
        found.append(Caution(label="mixed versions", head="Mixed versions.", text=mixed))
    if (emptied := emptied_folds(projection)) is not None:
        found.append(Caution(label="empty networks", head="Empty networks.", text=emptied))
    return found


def mixed_versions(projection: Projection) -> str | None:
    """What changed under a sweep when it was resumed; None where nothing did, as far as known."""
    steps = [
        f"{name} {after}, not {before}"
        for earlier, later in pairwise(projection.versions)
        for name, before, after in differences(earlier, later)
    ]
    if not steps:
        return None
    return (
        f"the sweep went on under other versions ({', '.join(steps)}): the same seed gives other "
        "pixels, so folds before and after are not quite comparable"
    )


def caution(projection: Projection) -> str | None:
    """The cautions of a sweep as one text without its capital and its stop; None without one."""
    return spoken(cautions(projection))


def spoken(found: Sequence[Caution]) -> str | None:
    """Cautions as one text without its capital and its stop; None where there are none."""
    return "; ".join(caution.text for caution in found) or None


def had_positives_alone(projection: Projection) -> bool | None:
    """Whether no healthy case took part in a sweep; None while that is not known.

    Headers of older sweeps do not say so, but their scored folds do.
    """
    if (known := has_positives_alone(cohort_of(projection.header))) is not None:
        return known
    counts = [
        (score.metrics.get("num_cases"), score.metrics.get("num_positive"))
        for trial in projection.trials
        for score in trial.folds.values()
    ]
    if not counts or any(None in pair for pair in counts):
        return None
    return all(cases == positive for cases, positive in counts)
