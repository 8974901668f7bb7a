"""What stands between the live page and whoever else can reach its port.

A page on localhost is reached by every web page that the same browser has open. So the name that
was asked for must be ours (against DNS rebinding, which gives a foreign name our address), a form
must come from a page of ours, and nothing may be decided without the link that the terminal
printed: its token works once, and is exchanged for a cookie that no script and no other site sees.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import secrets
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.live.page import POLICY

#: Names of this machine for itself.
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
#: Addresses that stand for all of a machine's; compared with, nothing is bound here.
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # nosec B104
#: Bytes of a form; a reason has 500 characters.
_MAX_FORM = 64 * 1024
_FORM = "application/x-www-form-urlencoded"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" a browser sends forms with the origin "null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_READ_ONLY = (
    "This page is read-only. `ptxsweep dashboard --allow-promote` prints a link with which models "
    "can be approved and denied here; `ptxsweep approve` and `ptxsweep reject` always can."
)


@dataclass(kw_only=True, eq=False)
class Reviewer:
    """Whoever exchanged the token, as long as the server runs.

    Attributes:
        csrf: Every form carries it.
        opened: Cases that were looked at, with what they belong to.
    """

    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    opened: set[tuple[str, ...]] = field(default_factory=set)


class Access:
    """Which names the page answers to, and who may decide on it."""

    def __init__(self, host: str, *, token: str | None = None) -> None:
        """Nobody has come yet.

        Args:
            host: Name or address that the server listens on.
            token: What is exchanged for a session that may decide; None where nobody may.
        """
        self._hosts = LOCAL | {host.lower().strip("[]")}
        self._is_everywhere = host in _EVERYWHERE
        if self._is_everywhere:
            self._hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self.may_decide = token is not None
        self._token = token
        self._sessions: dict[str, Reviewer] = {}
        self._lock = threading.Lock()

    def answers_to(self, host: str) -> bool:
        """Whether a request for this host, with or without a port, is for us.

        Args:
            host: Value of the header.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return self._is_everywhere  # an address cannot be rebound to another one
        return False

    def exchange(self, token: str) -> str | None:
        """The value of a session's cookie for the token, once; None for another one.

        Args:
            token: As it was given.
        """
        with self._lock:
            if self._token is None or not _same(token, self._token):
                return None
            self._token = None
            session = secrets.token_urlsafe(32)
            self._sessions[session] = Reviewer()
            return session

    def reviewer(self, session: str | None) -> Reviewer | None:
        """Who has this cookie; None for nobody.

        Args:
            session: Value of the cookie; None where there is none.
        """
        if session is None:
            return None
        found = [one for known, one in self._sessions.items() if _same(session, known)]
        return found[0] if found else None


class Guard:
    """Middleware that refuses, lets in, and sends the headers of `HEADERS` with every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Wrap an application.

        Args:
            app: Finds its reviewer by `reviewer_of` and its form by `form_of`.
            access: Access to this server.
        """
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = _with_headers(send)
        request = Request(scope, receive)
        answer = self._refusal(request) or self._entrance(request)
        if answer is None:
            reviewer = self._access.reviewer(request.cookies.get(_cookie(scope)))
            scope.setdefault("state", {})["reviewer"] = reviewer
            if request.method == "POST":
                answer = await self._form(request, reviewer)
        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._access.answers_to(hosts[0]):
            return _no(
                421,
                "This page answers only to the name it was started under (localhost unless "
                "`--host` says another one).",
            )
        if request.method in ("GET", "HEAD"):
            return None
        if request.method != "POST":
            return _no(405, "Pages are read, and forms are posted; there is nothing else.")
        source = request.headers.get("origin") or request.headers.get("referer") or ""
        if _place(source) != hosts[0].lower():
            return _no(403, "A form counts only when it is sent from a page of this server.")
        return None if self._access.may_decide else _no(403, _READ_ONLY)

    def _entrance(self, request: Request) -> Response | None:
        """The exchange of a token for a cookie; None without a token."""
        token = request.query_params.get("token")
        if token is None or request.method != "GET":
            return None
        if not self._access.may_decide:
            return _no(403, _READ_ONLY)
        session = self._access.exchange(token)
        if session is None:
            if self._access.reviewer(request.cookies.get(_cookie(request.scope))) is None:
                return _no(
                    403,
                    "This link is not the one that the terminal printed, or it was used already: "
                    "it works once. Start `ptxsweep dashboard --allow-promote` anew for another.",
                )
            return _inside(request)  # the same browser, by the same link once more
        answer = _inside(request)
        answer.set_cookie(_cookie(request.scope), session, httponly=True, samesite="strict")
        return answer

    async def _form(self, request: Request, reviewer: Reviewer | None) -> Response | None:
        if reviewer is None:
            return _no(
                403,
                "This browser did not come by the link that the terminal printed, so it may look "
                "and not decide.",
            )
        if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
            return _no(415, f"Found another kind of content, expected a form ({_FORM}).")
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _MAX_FORM:
                return _no(413, f"Found more than {_MAX_FORM:,} bytes, expected a short form.")
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if not _same(form.pop("csrf", ""), reviewer.csrf):
            return _no(403, "This form is not from this session; load the page again.")
        request.scope["state"]["form"] = form
        return None


def reviewer_of(request: Request) -> Reviewer | None:
    """Who may decide in this request; None for those that only look.

    Args:
        request: Request to an application behind a `Guard`.
    """
    found: Reviewer | None = getattr(request.state, "reviewer", None)
    return found


def form_of(request: Request) -> Mapping[str, str]:
    """What was posted, without its proof of origin.

    Args:
        request: A POST of an application behind a `Guard`, which read the body.
    """
    found: Mapping[str, str] = request.state.form
    return found


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return guarded


def _inside(request: Request) -> Response:
    """The same page without the token in its address, which the browser would remember."""
    left = [(key, text) for key, text in request.query_params.multi_items() if key != "token"]
    # Two slashes, of either kind, would be another server's address.
    path = "/" + request.url.path.lstrip("/\\")
    return RedirectResponse(f"{path}?{urlencode(left)}" if left else path, 303)


def _cookie(scope: Scope) -> str:
    """Browsers keep cookies by host, and two servers of one host differ by port alone."""
    _, port = scope.get("server") or (None, None)
    return f"ptxsweep-session-{port}"


def _place(address: str) -> str:
    """Host and port of an address of the web; empty for anything else."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _no(status: int, sentence: str) -> Response:
    return PlainTextResponse(f"{sentence}\n", status)
