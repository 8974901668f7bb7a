"""A card as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sweep.promotion.card._checklists import Answer, Answered, Status

if TYPE_CHECKING:
    from sweep.promotion.card._card import ModelCard


def render(card: ModelCard) -> str:
    """The card as one Markdown text.

    Args:
        card: Card to write.
    """
    return "\n\n".join([*_head(card), *_plan(card), *_lists(card)]) + "\n"


def _head(card: ModelCard) -> list[str]:
    trial = "no winner yet" if card.trial is None else f"trial {card.trial}"
    return [
        f"# Model card: sweep {card.sweep}, {trial}",
        f"**{card.intended_use}**",
        "Written from the ledger and from what the gate and the hold-out said; nothing here was "
        "typed in. It has the shape of a predetermined change-control plan (FDA guidance of "
        "December 2024 on AI-enabled device software functions): what may be modified, by which "
        "protocol, with which impact. Reporting checklists follow.",
        _table(("", ""), [(key, value) for key, value in card.origin.items()]),
    ]


def _plan(card: ModelCard) -> list[str]:
    plan = card.plan
    parts = ["## 1. Description of modifications"]
    if plan.parameters:
        rows = [
            (one.name, one.values, _value(one.default), _value(one.chosen))
            for one in plan.parameters
        ]
        parts.append(_table(("may be modified", "values", "default", "this model"), rows))
    else:
        parts.append("The search space is not in the ledger.")
    if plan.fixed:
        fixed = ", ".join(f"{name} {_value(value)}" for name, value in plan.fixed.items())
        parts.append(f"Not modified: {fixed}. A change of these, or of the data, is another plan.")
    parts += ["## 2. Modification protocol", _numbered(plan.protocol)]
    parts += ["## 3. Impact assessment", "### In the search"]
    parts += [_bullets(plan.search), "### On fresh folds"] if plan.search else []
    parts += [_bullets(plan.verdict)]
    parts += ["### On the locked hold-out"]
    parts.append(_bullets(plan.holdout) if card.is_confirmed else "Not scored there yet.")
    if plan.subgroups:
        place = "of the hold-out" if card.is_confirmed else "of the folds"
        parts += [f"### Groups of cases, {place}", _bullets(plan.subgroups)]
    if plan.checks:
        answers = [
            ["passed" if check.get("passed") else "**FAILED**",
             *(str(check.get(key, "")) for key in ("name", "found", "expected"))]
            for check in plan.checks
        ]  # fmt: skip
        parts += ["### The gate", _table(("", "check", "found", "expected"), answers)]
    parts += ["## 4. Limits", _bullets(plan.limits)]
    if plan.rollbacks:
        parts += ["## 5. Since then", _bullets(plan.rollbacks)]
    return parts


def _lists(card: ModelCard) -> list[str]:
    parts = ["# Reporting checklists"]
    rows = [
        (found.title, str(len(found.items)), *(str(found.count(status)) for status in Status))
        for found in card.checklists
    ]
    parts.append(_table(("checklist", "items", *(str(status) for status in Status)), rows))
    for found in card.checklists:
        parts += _list(found)
    return parts


def _list(found: Answered) -> list[str]:
    parts = [f"## {found.title}", f"{found.source}. Items are in words of our own."]
    for section, answers in groupby(found.items, key=lambda answer: answer.section):
        rows = [(answer.number, answer.item, _answer(answer)) for answer in answers]
        parts += [f"### {section}", _table(("no.", "item", "answer"), rows)]
    return parts


def _answer(answer: Answer) -> str:
    if answer.status is Status.NOT_APPLICABLE:
        return f"Not applicable because {answer.text}."
    if answer.status is Status.OPEN:
        return f"**To be filled by the author:** {answer.author}."
    more = f" *To be added by the author: {answer.author}.*" if answer.author else ""
    return f"Filled by: {answer.text}{more}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _numbered(texts: Iterable[str]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
