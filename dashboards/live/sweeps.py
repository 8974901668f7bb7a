"""`/`: every sweep of the home, those that run first.

A row of words needs a sweep's trials. Those of sweeps that run, and of those that were looked at,
are at hand; other rows are asked for one by one once the page stands, so that a home with many
sweeps opens as fast as one with few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from dashboards.live import progress
from dashboards.live.ledgers import Ledgers, OpenSweep
from dashboards.live.page import Page, answer, plain, status_line, sweep_url
from dashboards.live.settings import Settings
from dashboards.report.markup import Markup, join, tag
from dashboards.text import duration
from sweep.analysis.standing import Outcome
from sweep.analysis.verdict import verdict
from sweep.errors import LedgerError, UnknownSweep
from sweep.ledger.catalog import Listed
from sweep.records import SweepState
from sweep.util.words import count

#: Sweeps of a page.
PER_PAGE = 30
_HEAD = ("sweep", "state", "folds", "leads", "trials", "time")
_RANK = {SweepState.RUNNING: 0, SweepState.INTERRUPTED: 1, SweepState.CREATED: 2}
_BADGES = {
    Outcome.BETTER: "better than its default",
    Outcome.NOT_SHOWN: "not shown to be better",
    Outcome.DEFAULT: "the default won",
    Outcome.NONE: "no winner",
    Outcome.UNKNOWN: "not compared",
    Outcome.OPEN: "open",
}


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What a row shows, kept while the sweep stays as it is."""

    etag: str
    cells: Markup


def routes(ledgers: Ledgers, settings: Settings) -> list[BaseRoute]:
    """Where this page and its rows are."""
    kept: dict[str, _Row] = {}

    def index(request: Request) -> Response:
        """The list of sweeps."""
        try:
            listed = ledgers.listed()
        except UnknownSweep as error:
            return plain(request, Page(title="ptxsweep", body=_nothing(str(error)), is_live=True))
        shown, words, page = _chosen(request, listed)
        rows = [_row(ledgers, kept, name, listed[name]) for name in shown[page]]
        body = _body(len(listed), words, shown, page, rows)
        etag = f'"{hash(body) & 0xFFFFFFFFFFFF:x}"'
        return answer(
            request, etag, lambda: Page(title="Sweeps: ptxsweep", body=body, is_live=True)
        )

    def row(request: Request) -> Response:
        """One row of it, which opens the sweep."""
        name = request.path_params["name"]
        cells = _cells(ledgers, kept, name)
        return HTMLResponse(tag("tr", cells, id=f"sweep-{name}"))

    return [Route("/", index), Route("/s/{name}/row", row)]


def _nothing(why: str) -> Markup:
    return join(
        (
            tag("h1", "Sweeps"),
            tag("p", "No sweep yet.", class_="lead"),
            tag("p", f"{why[0].upper()}{why[1:]}."),
            tag("p", "This page looks again by itself; `ptxsweep run` starts a sweep."),
        )
    )


def _chosen(request: Request, listed: Mapping[str, Listed]) -> tuple[list[list[str]], str, int]:
    """Names by page: running ones first, then the youngest."""
    words = request.query_params.get("q", "")[:200]
    names = [
        name
        for name, one in listed.items()
        if all(word in f"{name} {one.state}".lower() for word in words.lower().split())
    ]
    age = {name: place for place, name in enumerate(listed)}
    names.sort(key=lambda name: (_RANK.get(listed[name].state, 3), -age[name]))
    pages = [names[i : i + PER_PAGE] for i in range(0, len(names), PER_PAGE)] or [[]]
    wanted = request.query_params.get("page", "1")
    page = int(wanted) - 1 if wanted.isdecimal() and len(wanted) < 7 else 0
    return pages, words, max(0, min(page, len(pages) - 1))


def _body(total: int, words: str, pages: list[list[str]], page: int, rows: list[Markup]) -> Markup:
    number = sum(map(len, pages))
    said = count(total, "sweep") if number == total else f"{number:,} of {count(total, 'sweep')}"
    head = tag(
        "thead",
        tag(
            "tr",
            *(
                tag("th", title, scope="col", class_="num" if title == "time" else None)
                for title in _HEAD
            ),
        ),
    )
    table = tag(
        "div",
        tag("table", head, tag("tbody", *rows), id="sweeps"),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label="Sweeps",
    )
    links = [
        tag("a", f"{i + 1}", href=f"/?page={i + 1}", aria_current="page" if i == page else None)
        for i in range(len(pages))
    ]
    find = tag("label", "Filter ", tag("input", type="search", name="q", id="q", value=words))
    return join(
        (
            status_line(said),
            tag("h1", "Sweeps"),
            tag("form", find, tag("button", "Show"), class_="controls"),
            table if rows else tag("p", "No sweep is like that." if total else "No sweep yet."),
            tag("p", "Pages ", *links, class_="pages") if len(pages) > 1 else None,
        )
    )


def _row(ledgers: Ledgers, kept: dict[str, _Row], name: str, listed: Listed) -> Markup:
    place = f"sweep-{name}"
    if listed.header is None:
        return tag("tr", _named(name), tag("td", listed.reason, colspan=len(_HEAD) - 1), id=place)
    if listed.state is SweepState.RUNNING or ledgers.is_open(name) or name in kept:
        return tag("tr", _cells(ledgers, kept, name), id=place)
    cells = (tag("td", _badge(str(listed.state))), tag("td", "…", colspan=len(_HEAD) - 2))
    address = sweep_url(name, "row")
    return tag(
        "tr",
        _named(name),
        *cells,
        id=place,
        hx_get=address,
        hx_trigger="load",
        hx_swap="outerHTML",
    )


def _cells(ledgers: Ledgers, kept: dict[str, _Row], name: str) -> Markup:
    """A row's cells; what was worked out for this revision is not worked out again."""
    try:
        with ledgers.opened(name) as one:
            etag = one.etag()
            if name not in kept or kept[name].etag != etag:
                kept[name] = _Row(etag=etag, cells=one.once("row", lambda: _worked_out(one)))
            return kept[name].cells
    except LedgerError as error:
        return join((_named(name), tag("td", str(error), colspan=len(_HEAD) - 1)))


def _worked_out(one: OpenSweep) -> Markup:
    projection = one.projection
    said, now = verdict(projection), progress.overview(projection)
    left = progress.time_left(projection, now)
    state = projection.sweep_state
    badge = _badge(str(state))
    if state is SweepState.FINISHED:
        kind = "better" if said.standing.outcome is Outcome.BETTER else ""
        badge = join((badge, " ", _badge(_BADGES[said.standing.outcome], kind)))
    seconds = math.fsum(trial.total_seconds for trial in projection.trials)
    return join(
        (
            _named(one.name, is_phantom=projection.header.is_phantom),
            tag("td", badge),
            tag("td", progress.bar(projection, now), _below(left)),
            tag("td", said.short),
            tag("td", progress.counts(projection) or "none yet"),
            tag("td", duration(seconds) if seconds else "–", class_="num"),
        )
    )


def _below(text: str | None) -> Markup | None:
    return None if text is None else tag("div", text, class_="small")


def _named(name: str, *, is_phantom: bool = False) -> Markup:
    # A name with a slash has no address of its own; only other programs make such studies.
    link: object = name if "/" in name else tag("a", name, href=sweep_url(name))
    return tag("th", link, " (phantom)" if is_phantom else None, scope="row")


def _badge(text: str, kind: str | None = None) -> Markup:
    return tag("span", text, class_=f"badge {text if kind is None else kind}".strip())
