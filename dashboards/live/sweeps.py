"""`/`: every sweep of the home, those that run first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboards.live.ledgers import Ledgers
from dashboards.live.page import Page, plain, status_line, sweep_url
from dashboards.live.settings import Settings
from dashboards.report.markup import Markup, join, tag
from sweep.errors import UnknownSweep
from sweep.util.words import count


def routes(ledgers: Ledgers, settings: Settings) -> list[BaseRoute]:
    """Where this page is."""

    def index(request: Request) -> Response:
        return plain(request, Page(title="Sweeps: ptxsweep", body=_body(ledgers), is_live=True))

    return [Route("/", index)]


def _body(ledgers: Ledgers) -> Markup:
    try:
        listed = ledgers.listed()
    except UnknownSweep as error:
        return join((tag("h1", "Sweeps"), tag("p", f"No sweep yet: {error}.")))
    rows = (tag("li", tag("a", name, href=sweep_url(name))) for name in listed)
    return join((status_line(count(len(listed), "sweep")), tag("h1", "Sweeps"), tag("ul", *rows)))
