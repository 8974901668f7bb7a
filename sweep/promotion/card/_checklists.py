"""Reporting checklists: items in words of our own, and how the evidence answers each.

An item stands in a YAML file beside this one with its number, the facts of `_facts.known` that fill
it, why it does not apply, or what is left to the author.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import yaml

#: Files of the checklists, in the order of the card.
NAMES = ("claim_2024", "tripod_ai", "metrics_reloaded")


class Status(StrEnum):
    """How an item is answered."""

    FILLED = "filled"
    NOT_APPLICABLE = "not applicable"
    OPEN = "to be filled"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a checklist.

    Attributes:
        number: Number in the checklist, such as "12c".
        section: Section of the checklist.
        item: What it asks for, in few words.
        facts: Keys of the facts that fill it.
        author: What the ledger cannot know of it; empty if nothing.
        because: Why it does not apply; empty where it does.
    """

    number: str
    section: str
    item: str
    facts: tuple[str, ...] = ()
    author: str = ""
    because: str = ""


@dataclass(frozen=True, kw_only=True)
class Checklist:
    """A checklist.

    Attributes:
        title: Name of the checklist.
        source: Publication.
        items: Items in order.
    """

    title: str
    source: str
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An item and its answer.

    Attributes:
        number: Number of the item.
        section: Section of the item.
        item: What it asks for.
        status: How it is answered.
        text: What fills it, or why it does not apply; empty where it is open.
        author: What is left to the author; empty if nothing.
    """

    number: str
    section: str
    item: str
    status: Status
    text: str
    author: str


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A checklist with its answers.

    Attributes:
        title: Name of the checklist.
        source: Publication.
        items: Answers in order.
    """

    title: str
    source: str
    items: tuple[Answer, ...]

    def count(self, status: Status) -> int:
        """Number of items that are answered so."""
        return sum(answer.status is status for answer in self.items)


@cache
def checklists() -> tuple[Checklist, ...]:
    """All checklists, as their files have them."""
    return tuple(_read(name) for name in NAMES)


def answer(checklist: Checklist, facts: Mapping[str, str]) -> Answered:
    """A checklist, filled as far as the facts go.

    Args:
        checklist: Checklist to fill.
        facts: Known facts by key, see `_facts.known`.
    """
    return Answered(
        title=checklist.title,
        source=checklist.source,
        items=tuple(_answer(item, facts) for item in checklist.items),
    )


def _answer(item: Item, facts: Mapping[str, str]) -> Answer:
    text = " ".join(facts[key] for key in item.facts if key in facts)
    status, author = Status.OPEN, item.author
    if item.because:
        status, text = Status.NOT_APPLICABLE, item.because
    elif text:
        status = Status.FILLED
    elif item.facts and not author:
        author = "the evidence of this sweep does not hold it"
    return Answer(
        number=item.number,
        section=item.section,
        item=item.item,
        status=status,
        text=text,
        author=author,
    )


def _read(name: str) -> Checklist:
    text = files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)
    items = tuple(
        Item(number=number, section=section, **{**item, "facts": tuple(item.get("facts", ()))})
        for section, known in found["sections"].items()
        for number, item in known.items()
    )
    return Checklist(title=found["title"], source=found["source"], items=items)
