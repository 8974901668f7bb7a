"""Facts of a card about the cases."""

from __future__ import annotations

from collections.abc import Callable

from sweep.analysis.cohort import describe, how_grouped
from sweep.promotion.card._evidence import CardEvidence
from sweep.promotion.card._settings import listed, versions
from sweep.records import State
from sweep.util.words import count


def _design(evidence: CardEvidence) -> str | None:
    made = evidence.projection.header.created_at
    if made is None:
        return None
    return f"Retrospective: images and masks were in the store before the sweep began ({made})."


def _dates(evidence: CardEvidence) -> str | None:
    header, found = evidence.projection.header, evidence.confirmation
    parts = [f"Sweep begun {header.created_at}."] if header.created_at else []
    parts += [f"Hold-out opened {found.timestamp}."] if found is not None else []
    return " ".join(parts)


def _data(evidence: CardEvidence) -> str | None:
    header = evidence.projection.header
    if header.data_hash is None:
        return None
    drawn = " All are drawings, not taken from patients." if header.is_phantom else ""
    number = "" if header.num_cases is None else f" {count(header.num_cases, 'case')} took part."
    return f"A case store with SHA-256 {header.data_hash}.{number}{drawn}"


def _cohort(evidence: CardEvidence) -> str | None:
    text = describe(evidence.cohort)
    return None if text is None else f"{text}."


def _subset(evidence: CardEvidence) -> str | None:
    asked = evidence.cohort.get("cases")
    return None if asked is None else f"Cases asked for: {asked}."


def _preprocessing(evidence: CardEvidence) -> str | None:
    if evidence.winner is None:
        return None
    settings = evidence.winner.settings
    names = ("image_size", "resampling", "patch_size", "context_factor", "position_channels")
    shown = listed(settings, names)
    under = versions(evidence.projection.header.versions)
    return (
        f"Grey values are decoded and scaled as the modality and window say, brought to the "
        f"network's grid and normalised image by image ({shown}). Masks stay on their original "
        f"grid, where scores are computed.{under}"
    )


def _missing(evidence: CardEvidence) -> str | None:
    trials = evidence.projection.trials
    if not trials:
        return None
    failed = sum(trial.state is State.FAILED for trial in trials)
    text = (
        f"A trial without a finite score on every fold cannot win ({count(failed, 'trial')} of "
        f"{len(trials):,} failed). "
    )
    metrics = {} if evidence.confirmation is None else evidence.confirmation.metrics
    spaced, cases = metrics.get("num_with_spacing"), metrics.get("num_cases")
    if spaced is not None and cases is not None:
        text += (
            f"Distances leave out cases without pixel spacing ({spaced:.0f} of {cases:.0f} locked "
            "cases have one). "
        )
    return f"{text}A mean leaves out folds without a case that it speaks of."


def _partition(evidence: CardEvidence) -> str | None:
    cohort, header = evidence.cohort, evidence.projection.header
    if "num_holdout" not in cohort:
        return None
    held, watch = count(cohort["num_holdout"], "case"), count(cohort["num_monitor"], "case")
    return (
        f"Cases are parted at random with seed {header.seed}, stratified by positive patients: a "
        f"locked hold-out of {held} ({cohort['holdout_fraction']:g} asked for), the others in "
        f"{header.num_folds} folds; up to {watch} of each training part watch it. "
        f"Plan {header.plan_digest}."
    )


def _disjoint(evidence: CardEvidence) -> str | None:
    if not evidence.cohort:
        return None
    return (
        f"No patient is in two of folds, monitors and hold-out: {how_grouped(evidence.cohort)}; "
        "checked again before the hold-out is opened."
    )


def _sample_size(evidence: CardEvidence) -> str | None:
    cohort, found = evidence.cohort, evidence.confirmation
    if "num_cases" not in cohort:
        return None
    text = (
        f"All cases that the store and the search space give: {cohort['num_cases']}, "
        f"{cohort['num_positive']} positive, {cohort['num_groups']} patients."
    )
    if found is not None and found.num_positive_groups is not None:
        text += (
            f" The hold-out has {found.num_positive_groups} patients with a pneumothorax and "
            f"{found.num_groups - found.num_positive_groups} without; below five of either the "
            "gate refuses."
        )
    return text


def _flow(evidence: CardEvidence) -> str | None:
    cohort = evidence.cohort
    if "num_cases" not in cohort:
        return None
    left = cohort["num_store_cases"] - cohort["num_cases"]
    return (
        f"{cohort['num_store_cases']} cases in the store, {left} left out, "
        f"{cohort['num_cases'] - cohort['num_holdout']} in the folds, {cohort['num_holdout']} in "
        "the hold-out."
    )


def _partitions(evidence: CardEvidence) -> str | None:
    cohort = evidence.cohort
    if "num_holdout_positive" not in cohort:
        return None
    folds = {
        key: cohort[f"num_{key}"] - cohort[f"num_holdout_{key}"] for key in ("positive", "groups")
    }
    num_folds = cohort["num_cases"] - cohort["num_holdout"]
    return (
        f"Folds: {num_folds} cases of {folds['groups']} patients, {folds['positive']} positive. "
        f"Hold-out: {cohort['num_holdout']} cases of {cohort['num_holdout_groups']} patients, "
        f"{cohort['num_holdout_positive']} positive."
    )


def prevalence(evidence: CardEvidence) -> str | None:
    """Share of positive cases, in words; None where it is not known."""
    cohort = evidence.cohort
    if not cohort.get("num_cases") or "num_positive" not in cohort:
        return None
    return f"{cohort['num_positive'] / cohort['num_cases']:.1%} of the cases have a pneumothorax."


def _dependence(evidence: CardEvidence) -> str | None:
    cohort = evidence.cohort
    if "num_groups" not in cohort:
        return None
    return (
        f"{cohort['num_cases']} images of {cohort['num_groups']} patients; patients are never "
        "parted, and intervals on the hold-out are over patients."
    )


DATA: dict[str, Callable[[CardEvidence], str | None]] = {
    "design": _design,
    "dates": _dates,
    "data": _data,
    "selection_of_cases": _cohort,
    "subset": _subset,
    "preprocessing": _preprocessing,
    "missing": _missing,
    "partition": _partition,
    "disjoint": _disjoint,
    "sample_size": _sample_size,
    "flow": _flow,
    "partitions": _partitions,
    "prevalence": prevalence,
    "dependence": _dependence,
}
