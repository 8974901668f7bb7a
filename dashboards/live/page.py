"""What every page has: its head, its line of links, and an answer that a browser asks for again.

A page that is polled is asked for by htmx at its own address, which then gives what changes: the
inside of `main`. Where the ledger has nothing new the answer is 304 and has no body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from dashboards.report.markup import Markup, join, tag, turn_button

#: Scripts and styles come from this server alone, and no script stands in a page. Plotly sets
#: styles of elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: Files that pages load, by the name in their address.
ASSETS = {
    "report.css": ("report", "report.css", "text/css"),
    "live.css": ("live", "live.css", "text/css"),
    "theme.js": ("report", "theme.js", "text/javascript"),
    "layout.js": ("report", "layout.js", "text/javascript"),
    "live.js": ("live", "live.js", "text/javascript"),
    "htmx.js": ("vendor", "htmx.min.js", "text/javascript"),
    "plotly.js": ("vendor", "plotly-cartesian.min.js", "text/javascript"),
}
#: Seconds between two looks of a page at its ledger.
POLL_SECONDS = 3
#: Links of every page: address, text.
LINKS = (("/", "Sweeps"), ("/registry", "Registry"))
_KEYS = (
    ("j, k", "next and previous trial"),
    ("x", "select it, or not"),
    ("c", "compare those selected"),
    ("Enter", "open it"),
    ("/", "filter"),
    ("d", "light or dark"),
    ("?", "this list"),
)


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        title: Title of the window.
        body: What stands in `main`.
        is_live: Whether it asks again while it is open.
        code: HTTP status.
    """

    title: str
    body: Markup
    is_live: bool = False
    code: int = 200


def answer(request: Request, etag: str, build: Callable[[], Page]) -> Response:
    """A page, the part of it that changes, or that nothing has.

    Args:
        request: What was asked.
        etag: Changes whenever the page would.
        build: Makes the page; called only where it is needed.
    """
    headers = {"ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    page = build()
    if request.headers.get("hx-request") == "true":
        return HTMLResponse(page.body, status_code=page.code, headers=headers)
    return HTMLResponse(document(request, page), status_code=page.code, headers=headers)


def plain(request: Request, page: Page) -> HTMLResponse:
    """A page that is made anew each time."""
    is_part = request.headers.get("hx-request") == "true"
    return HTMLResponse(page.body if is_part else document(request, page), status_code=page.code)


def document(request: Request, page: Page) -> str:
    """A whole page as HTML."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="same-origin"),
        tag("link", rel="icon", href="data:,"),
        tag("title", page.title),
        tag("link", rel="stylesheet", href=asset("report.css")),
        tag("link", rel="stylesheet", href=asset("live.css")),
        tag("script", src=asset("theme.js")),  # before anything is painted
        tag("script", src=asset("htmx.js"), defer=True),
        tag("script", src=asset("layout.js"), defer=True),
        tag("script", src=asset("live.js"), defer=True),
    )
    path = request.url.path
    links = (
        tag("a", text, href=href, aria_current="page" if path == href else None)
        for href, text in LINKS
    )
    bar = tag(
        "header",
        tag("nav", tag("b", "ptxsweep"), *links, aria_label="Pages"),
        turn_button(),
        tag("button", "Keys", type="button", id="keys", aria_label="List of keys"),
        class_="bar",
    )
    poll = (
        {"hx_get": path, "hx_trigger": f"every {POLL_SECONDS}s", "hx_swap": "innerMorph"}
        if page.is_live
        else {}
    )
    main = tag("main", page.body, id="live", data_plotly=asset("plotly.js"), **poll)
    listed = join(join((tag("dt", tag("kbd", keys)), tag("dd", text))) for keys, text in _KEYS)
    help_ = tag(
        "dialog",
        tag("h2", "Keys"),
        tag("dl", listed),
        tag("form", tag("button", "Close"), method="dialog"),
        id="help",
    )
    body = tag("body", bar, main, help_)
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def status_line(*parts: object, at: str | None = None) -> Markup:
    """The line below the links: what this is, how old its data are, and of which revision.

    Args:
        parts: Between dots.
        at: ISO 8601 time of the newest entry; the page's script says how long ago that is.
    """
    shown = [tag("span", part) for part in parts if part is not None]
    if at is not None:
        moment = at[:19].replace("T", " ")
        shown.append(tag("span", "last entry ", tag("time", f"{moment} UTC", datetime=at)))
    return tag("p", *shown, class_="status")


def asset(name: str) -> str:
    """The address of a file, which changes with it."""
    return f"/assets/{name}?v={_digest(name)}"


def read_asset(name: str) -> tuple[bytes, str]:
    """A file and its media type.

    Raises:
        KeyError: There is no such file.
    """
    folder, file, media_type = ASSETS[name]
    return files("dashboards").joinpath(folder, file).read_bytes(), media_type


_digests: dict[str, str] = {}


def _digest(name: str) -> str:
    if name not in _digests:
        _digests[name] = sha256(read_asset(name)[0]).hexdigest()[:16]
    return _digests[name]


def sweep_url(name: str, *parts: object, **query: object) -> str:
    """Address of a sweep's page, or of one below it."""
    path = "/".join(["", "s", quote(name, safe=""), *(quote(str(part)) for part in parts)])
    return f"{path}?{urlencode(query, doseq=True)}" if query else path
