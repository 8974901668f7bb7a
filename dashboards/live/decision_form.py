"""The form with which a reviewer decides, and why a button in it is off."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboards.live.held_out_cases import HardCase
from dashboards.live.registry import promote_url
from dashboards.report.markup import Markup, tag
from sweep.util.words import count

if TYPE_CHECKING:
    from sweep.promotion.dossier import Dossier

#: Characters of a reviewer's name.
MAX_NAME = 80


@dataclass(frozen=True, kw_only=True)
class Said:
    """What became of a form that was sent, and what stood in it.

    Attributes:
        text: In sentences.
        form: The form, to be filled in again.
    """

    text: str
    form: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Looker:
    """Who looks at the page.

    Attributes:
        csrf: Goes into the form; None where the page only reads.
        opened: Indices of the cases that were opened.
    """

    csrf: str | None = None
    opened: Collection[int] = ()


def hindrances(
    seen: Dossier, cases: tuple[HardCase, ...] | str, opened: Collection[int]
) -> list[str]:
    """Why a reviewer cannot approve now, in sentences; empty if nothing stands in the way.

    Args:
        seen: What is known.
        cases: Those that have to be opened, or why there are none.
        opened: Indices of those that were.
    """
    found = list(seen.hindrances)
    if seen.challenger is not None and seen.evidence is not None:
        if isinstance(cases, str):
            found.append(f"no case can be opened: {cases}")
        elif len(opened) < len(cases):
            left = len(cases) - len(opened)
            found.append(f"{count(left, 'case')} of {len(cases)} still to be opened")
    return found


def decision_form(
    seen: Dossier, cases: tuple[HardCase, ...] | str, looker: Looker, said: Said | None
) -> Markup:
    """The form; where the page only reads, how to decide elsewhere.

    Args:
        seen: What is known.
        cases: Those that have to be opened, or why there are none.
        looker: The one who looks.
        said: What became of the last form, whose words are kept.
    """
    if looker.csrf is None:
        return tag(
            "p",
            "This page only reads. Where ",
            tag("code", "ptxsweep dashboard --allow-promote"),
            " runs, the link that it printed lets one browser decide; ",
            tag("code", f"ptxsweep approve {seen.model.name}"),
            " and ",
            tag("code", "reject"),
            " do the same.",
        )
    if seen.evidence is None or seen.evidence.trial is None:
        return tag("p", "There is nothing to decide.")
    form: Mapping[str, str] = {} if said is None else said.form
    reasons = hindrances(seen, cases, looker.opened)
    return tag(
        "form",
        tag("input", type="hidden", name="csrf", value=looker.csrf),
        tag("input", type="hidden", name="revision", value=seen.model.revision),
        *_fields(form),
        tag(
            "p",
            _button("approve", "Approve", is_off=bool(reasons)),
            _button("reject", "Deny", is_off=seen.challenger is None),
            _button("ask", "Ask for more", is_off=False),
            class_="buttons",
        ),
        tag(
            "p",
            f"Approve is off: {'; '.join(reasons)}." if reasons else "Nothing is in the way.",
            id="why-not",
            class_="small",
        ),
        method="post",
        action=promote_url(seen.model.name),
        class_="decide",
    )


def _fields(form: Mapping[str, str]) -> tuple[Markup, Markup]:
    """Name and reason, with what stood in them."""
    from sweep.promotion.model_card import MAX_REASON

    return (
        _labelled(
            "Your name",
            tag(
                "input",
                type="text",
                name="reviewer",
                value=form.get("reviewer", ""),
                maxlength=MAX_NAME,
                required=True,
                autocomplete="name",
            ),
        ),
        _labelled(
            "Why, or what is missing (kept with the model, so no patient data)",
            tag(
                "textarea",
                form.get("reason", ""),
                name="reason",
                maxlength=MAX_REASON,
                rows=3,
                required=True,
            ),
        ),
    )


def _labelled(label: str, field: Markup) -> Markup:
    return tag("label", tag("span", label), field)


def _button(decision: str, text: str, *, is_off: bool) -> Markup:
    return tag(
        "button",
        text,
        type="submit",
        name="decision",
        value=decision,
        disabled=is_off,
        aria_describedby="why-not",
        class_=decision,
    )
