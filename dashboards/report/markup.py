"""HTML that cannot forget to escape.

Every string is escaped unless it is a `Markup`, and a `Markup` is made by `tag` or, for the few
trusted blocks of script and style, by calling it on purpose.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

_VOID = frozenset({"meta", "link", "img", "input", "br", "col", "hr"})


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


def breakable(name: str) -> Markup:
    """A name of a setting, which may go on in another line behind an underscore."""
    return Markup(escape(name).replace("_", "_<wbr>"))


def turn_button() -> Markup:
    """Turns a page light or dark; `theme.js` shows it."""
    return tag("button", "Light / dark", type="button", id="theme", class_="turn", hidden=True)


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    label: str,
    numeric: Iterable[int] = (),
    row_classes: Sequence[str | None] | None = None,
    row_ids: Sequence[str] | None = None,
    sortable: bool = False,
) -> Markup:
    """A table that scrolls where the page is too small for it, with the keyboard too.

    Args:
        header: One cell per column.
        rows: Cells by row; the first cell of each heads its row.
        label: What it shows, for those that cannot see it.
        numeric: Columns to align at their right.
        row_classes: CSS class of each row.
        row_ids: Id of each row, for links to it.
        sortable: Whether the page's script lets a reader sort and filter it; a tall one scrolls.
    """
    right = set(numeric)
    head = [
        tag("th", cell, scope="col", class_="num" if i in right else None)
        for i, cell in enumerate(header)
    ]
    # Written without `tag`: a thousand rows are most of a report's cells.
    starts = ['<th scope="row"' if not i else "<td" for i in range(len(header))]
    starts = [s + (' class="num">' if i in right else ">") for i, s in enumerate(starts)]
    body = []
    for number, row in enumerate(rows):
        cells = "".join(
            f"{start}{escape(cell)}{'</td>' if i else '</th>'}"
            for i, (start, cell) in enumerate(zip(starts, row, strict=True))
        )
        body.append(
            tag(
                "tr",
                Markup(cells),
                class_=row_classes[number] if row_classes else None,
                id=row_ids[number] if row_ids else None,
            )
        )
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *head)),
            tag("tbody", *body),
            class_="sortable" if sortable else None,
        ),
        class_="scroll tall" if sortable else "scroll",
        tabindex="0",
        role="region",
        aria_label=label,
    )
