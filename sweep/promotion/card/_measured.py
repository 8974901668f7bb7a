"""What was measured of a winner, in words, and what that does not show."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweep.analysis.metric_names import metric_name
from sweep.analysis.operating_point import NO_THRESHOLD, fold_values, rule_of, rule_text
from sweep.analysis.statistics import mean_sd
from sweep.promotion.card._evidence import CardEvidence
from sweep.promotion.confirmation import Confirmation

#: Parts of the names of metrics of groups of cases.
_GROUPS = ("_size_", "_view_")


def measured(evidence: CardEvidence, names: Sequence[str]) -> list[str]:
    """Metrics in words: of the hold-out with intervals; over the folds where it was not used.

    Args:
        evidence: What is known of the sweep.
        names: Metrics; those that were not measured are left out.
    """
    found = evidence.confirmation
    if found is None:
        return [text for name in names if (text := _over_folds(evidence, name)) is not None]
    texts = []
    for name in names:
        value = found.metrics.get(name, math.nan)
        if math.isfinite(value):
            span = f" ({found.stated_span(name, '.4f')})" if name in found.printed else ""
            texts.append(f"{metric_name(name)} {value:.4f}{span}")
    return texts


def _over_folds(evidence: CardEvidence, name: str) -> str | None:
    if evidence.winner is None:
        return None
    values = [
        value for value in fold_values(evidence.winner, name).values() if math.isfinite(value)
    ]
    if not values:
        return None
    mean, sd = mean_sd(values)
    rule = rule_of(evidence.winner, name)
    said = "" if rule == NO_THRESHOLD else f" ({rule_text(rule, evidence.winner.settings)})"
    return f"{metric_name(name)} {mean:.4f}{'' if math.isnan(sd) else f' ± {sd:.4f}'}{said}"


def beside(found: Confirmation | None) -> list[str]:
    """Dice on the hold-out above predicting nothing, the default and the champion, in words.

    Args:
        found: The winner on the hold-out; None gives nothing.
    """
    if found is None:
        return []
    texts = [
        f"Dice above predicting nothing ({found.baseline:.4f}, both empty = 1) {found.gain:+.4f} "
        f"({found.stated_span('gain')})"
    ]
    if found.difference is not None:
        texts.append(
            f"Dice above the default {found.difference:+.4f} ({found.stated_span('difference')})"
        )
    if found.challenge is not None and found.champion is not None:
        rival = f"{found.champion.name} version {found.champion.version}"
        texts.append(
            f"Dice above {rival} {found.challenge:+.4f} ({found.stated_span('challenge')})"
        )
    return texts


def parts(found: Confirmation | None) -> list[str]:
    """Dice on parts of the locked cases above that of the default and the champion, in words.

    Args:
        found: The winner on the hold-out; None gives nothing.
    """
    if found is None or found.subgroups is None:
        return []
    return [
        f"{part.words}, Dice above the {other}: {part.span}"
        for other, known in found.subgroups.items()
        for part in known
    ]


def subgroups(evidence: CardEvidence) -> list[str]:
    """Names of the metrics of groups of cases, by size of the mask and by view.

    Args:
        evidence: What is known of the sweep.
    """
    found, winner = evidence.confirmation, evidence.winner
    known = [] if winner is None else [score.metrics for score in winner.folds.values()]
    metrics = found.metrics if found is not None else known[0] if known else {}
    return [
        name
        for name in metrics
        if any(group in name for group in _GROUPS)
        and not name.startswith("num_")
        and not name.endswith("_all_empty")
    ]


def limits(evidence: CardEvidence) -> list[str]:
    """What the evidence does not show, in sentences; never empty."""
    said = list(evidence.verdict.cautions)
    found, judged = evidence.confirmation, evidence.judged
    if found is None:
        said.append("The winner was not scored on the locked hold-out.")
    else:
        if found.num_uses > 1:
            said.append(
                f"It was use {found.num_uses} of the hold-out's cases, so they are no longer quite "
                "unseen."
            )
        said += [f"{text[0].upper()}{text[1:]}." for text in found.cautions]
        if found.num_positive == found.num_cases:
            said.append("The hold-out has no healthy case, so false alarms were not measured.")
    if judged is not None:
        if not judged.get("passed", True):
            said.append("The gate refused this model.")
        if judged.get("forced"):
            said.append(f"It was promoted against the gate: {judged.get('reason') or 'unknown'}.")
        if eased := judged.get("eased"):
            said.append(f"The gate asked for less than usual: {', '.join(eased)}.")
        said += [f"{text[0].upper()}{text[1:]}." for text in judged.get("cautions") or ()]
    if evidence.cohort.get("groups") == "image":
        said.append("Each image was taken as a patient of its own; patients may be in two parts.")
    said += [
        "All cases come from one store: there was no test elsewhere.",
        "Age, sex, devices and sites are not in the ledger, so no group of persons was compared.",
    ]
    return list(dict.fromkeys(said))  # the verdict keeps the cautions of the hold-out too
