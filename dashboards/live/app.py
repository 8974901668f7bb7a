"""The live page's application: routes, files, headers, and errors in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboards.live import compare, promotion, registry, sweep, sweeps, trial
from dashboards.live.gallery import Drawer
from dashboards.live.guard import Access, Guard
from dashboards.live.ledgers import Ledgers
from dashboards.live.page import Page, plain, read_asset
from dashboards.live.settings import Settings
from dashboards.report.markup import join, tag
from ptxcore.errors import CoreError
from sweep.errors import LedgerError, SweepError, UnknownSweep, UsageError
from sweep.util.redaction import redact

_FOR_A_YEAR = "public, max-age=31536000, immutable"


def create_app(settings: Settings) -> Starlette:
    """The application; a server such as uvicorn runs it.

    Args:
        settings: Home that it shows, and whether it may approve.
    """
    ledgers, drawer = Ledgers(settings), Drawer(settings.home)
    access = Access(settings.host, token=settings.promote_token)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        drawer.close()
        ledgers.close()

    app = Starlette(
        routes=[
            Route("/assets/{name}", _asset),
            *sweeps.routes(ledgers, settings),
            *sweep.routes(ledgers, settings),
            *trial.routes(ledgers, settings, drawer),
            *compare.routes(ledgers, settings),
            *registry.routes(settings),
            *promotion.routes(settings),
        ],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={
            SweepError: _explain,
            CoreError: _explain,
            HTTPException: _explain,
        },
        lifespan=life,
    )
    app.state.ledgers = ledgers
    return app


def _asset(request: Request) -> Response:
    try:
        content, media_type = read_asset(request.path_params["name"])
    except KeyError:
        raise HTTPException(404) from None
    return Response(content, media_type=media_type, headers={"Cache-Control": _FOR_A_YEAR})


def _explain(request: Request, error: Exception) -> Response:
    """A mistake of whoever asks, or a database that is away, in words."""
    code, title = 400, "This cannot be shown"
    if isinstance(error, HTTPException):
        code, text = error.status_code, str(error.detail)
        title = "There is no such page" if code == 404 else title
    else:
        text = redact(" ".join(str(error).split()))
        if isinstance(error, UnknownSweep):
            code, title = 404, "There is no such sweep"
        elif isinstance(error, LedgerError):
            code, title = 503, "The ledger cannot be read"
        elif not isinstance(error, UsageError):
            code = 422
    body = join((tag("h1", title), tag("p", text), tag("p", tag("a", "All sweeps", href="/"))))
    return plain(request, Page(title=title, body=body, code=code))
