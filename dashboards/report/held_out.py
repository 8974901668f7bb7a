"""The section of the report on the hold-out and the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboards.queries import all_empty_on
from dashboards.report import sentences
from dashboards.report.evidence import Confirmation, Verdict
from dashboards.report.findings import GROUPS, SHOWN
from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import metric_name, score
from ptxcore.metrics import better
from sweep.util.words import count

#: Below the metrics, where distances are among them.
_DISTANCES = (
    "Masks are made by the rule that is deployed, chosen on the folds. A miss and a false alarm "
    "count as the image's diagonal and as a surface Dice of 0; distances trust the pixel spacing "
    "that the images state."
)


def held_out(
    confirmation: Confirmation | None, verdict: Verdict | None, *, subject: str = "the winner"
) -> Markup:
    """The hold-out and the gate, in full."""
    parts: list[Markup] = []
    if confirmation is None:
        parts.append(
            tag("p", f"{subject.capitalize()} has not been confirmed yet. Nothing here is a claim "
                "about new cases.")
        )  # fmt: skip
    else:
        parts += [
            tag("p", sentences.held_out(confirmation)),
            tag("p", sentences.held_out_gain(confirmation)),
            *(tag("p", sentence) for sentence in confirmation.at_prevalence),
            _table(confirmation, SHOWN),
            tag("p", _DISTANCES, class_="small")
            if any(name in confirmation.metrics for name in ("surface_dice", "hausdorff95_mm"))
            else Markup(),
            _groups(confirmation),
        ]
    if verdict is not None:
        word = "The gate passed it as champion." if verdict.passed else "The gate refused it."
        parts.append(tag("p", tag("strong", word, class_="good" if verdict.passed else "bad")))
        if verdict.overruled is not None:
            parts.append(
                tag("p", f"It was promoted against the gate, because: {verdict.overruled}")
            )
        if verdict.eased:
            parts.append(
                tag("p", f"The gate asked for less than usual: {', '.join(verdict.eased)}.")
            )
        parts += [tag("p", f"Caution: {text}.") for text in verdict.cautions]
        rows = [
            (check.name, check.found, check.expected, "passed" if check.passed else "refused")
            for check in verdict.checks
        ]
        head = ("the gate asked", "found", "expected", "answer")
        parts.append(table(head, rows, label="What the gate asked"))
        parts += [tag("p", sentence) for sentence in verdict.rollbacks]
    return join(parts)


def _groups(confirmation: Confirmation) -> Markup:
    if not any(name in confirmation.metrics for name in GROUPS):
        return Markup()
    note = (
        "Quarters are those of the folds' positive cases, so the hold-out need not fill them "
        "evenly; a group without a case is left out."
    )
    return tag(
        "details",
        tag("summary", "The hold-out by size of the mask and by view"),
        _table(confirmation, GROUPS),
        tag("p", note, class_="small"),
    )


def _table(confirmation: Confirmation, names: Sequence[str]) -> Markup:
    metrics, default = confirmation.metrics, confirmation.default or {}
    beside = None if confirmation.champion is None else confirmation.champion.metrics
    rows = [
        (
            metric_name(name) + _num_cases(metrics, name),
            score(metrics[name]),
            sentences.span(confirmation.printed.get(name)),
            score(all_empty_on(metrics, name)),
            score(default.get(name)),
            *(() if beside is None else (score(beside.get(name)),)),
            better(name) or "–",
        )
        for name in names
        if name in metrics
    ]
    head = (
        "metric",
        f"#{confirmation.trial}",
        f"{confirmation.printed_confidence('dice')} interval",
        "all empty",
        "default",
        *(() if beside is None else ("champion",)),
        "better",
    )
    label = "The hold-out by group" if names is GROUPS else "Scores on the hold-out"
    return table(head, rows, label=label, numeric=range(1, len(head) - 1))


def _num_cases(metrics: Mapping[str, float], name: str) -> str:
    """Number of a group's cases, in brackets: few say little."""
    for kind in ("_size_", "_view_"):
        if kind in name:
            number = metrics.get(f"num_cases{name[name.index(kind) :]}")
            return "" if number is None else f" ({count(int(number), 'case')})"
    return ""
