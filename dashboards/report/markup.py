"""HTML that cannot forget to escape.

Every string is escaped unless it is a `Markup`, and a `Markup` is made by `tag` or, for the few
trusted blocks of script and style, by calling it on purpose.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

_VOID = frozenset({"meta", "link", "img", "br", "col", "hr"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Any value as text inside HTML, quotes included; `Markup` passes unchanged."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=True))


def join(parts: Iterable[object]) -> Markup:
    """Parts one after another, each escaped where needed; None is left out."""
    return Markup("".join(escape(part) for part in parts if part is not None))


def tag(name: str, /, *children: object, **attributes: Any) -> Markup:
    """An element.

    Args:
        name: Name of the element.
        children: Inside it, in order; None is left out.
        attributes: `class_` gives `class`, underscores become hyphens; None and False leave the
            attribute out, True gives it without a value.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written.append(f" {key}" if value is True else f' {key}="{escape(str(value))}"')
    head = f"<{name}{''.join(written)}>"
    return Markup(head if name in _VOID else f"{head}{join(children)}</{name}>")


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numeric: Iterable[int] = (),
    row_classes: Sequence[str | None] | None = None,
) -> Markup:
    """A table that scrolls sideways where the page is too narrow for it.

    Args:
        header: One cell per column.
        rows: Cells by row; the first cell of each heads its row.
        numeric: Columns to align at their right.
        row_classes: CSS class of each row.
    """
    right = set(numeric)
    head = [
        tag("th", cell, scope="col", class_="num" if i in right else None)
        for i, cell in enumerate(header)
    ]
    body = []
    for number, row in enumerate(rows):
        cells = [
            tag(
                "td" if i else "th",
                cell,
                scope=None if i else "row",
                class_="num" if i in right else None,
            )
            for i, cell in enumerate(row)
        ]
        body.append(tag("tr", *cells, class_=row_classes[number] if row_classes else None))
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *head)),
            tag("tbody", *body),
        ),
        class_="scroll",
    )
