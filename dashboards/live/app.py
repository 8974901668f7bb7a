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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.live import sweeps
from dashboards.live.ledgers import Ledgers
from dashboards.live.page import POLICY, Page, plain, read_asset
from dashboards.live.settings import Settings
from dashboards.report.markup import join, tag
from ptxcore.errors import CoreError
from sweep.errors import LedgerError, SweepError, UnknownSweep, UsageError
from sweep.util.redaction import redact

_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_FOR_A_YEAR = "public, max-age=31536000, immutable"


def create_app(settings: Settings) -> Starlette:
    """The application; a server such as uvicorn runs it.

    Args:
        settings: Home that it shows, and whether it may approve.
    """
    ledgers = Ledgers(settings)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        ledgers.close()

    return Starlette(
        routes=[
            Route("/assets/{name}", _asset),
            *sweeps.routes(ledgers, settings),
        ],
        middleware=[Middleware(_Headers)],
        exception_handlers={
            SweepError: _explain,
            CoreError: _explain,
            HTTPException: _explain,
        },
        lifespan=life,
    )


class _Headers:
    """Gives every answer its policy; what is no file of ours is never kept by a browser."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = [*headers, *_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


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
