"""Asks the live page's application without a server and a network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

#: Name of a sweep that must never become markup, in a script that fonts may lack.
ODD = '<b>気胸 & "x"'


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; names of headers are in lower case."""

    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


def ask(
    app: Any, address: str, *, method: str = "GET", body: bytes = b"", **headers: str
) -> Answer:
    """One request; underscores in names of headers become hyphens.

    Args:
        app: An ASGI application.
        address: Path and query.
        method: Of HTTP.
        body: Of the request.
        headers: Of the request; `host` is that of the default address unless given.
    """
    parts = urlsplit(address)
    sent = {"host": "127.0.0.1:8765", **headers}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": unquote(parts.path), "raw_path": parts.path.encode(),
        "root_path": "", "query_string": parts.query.encode(), "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8765), "state": {},
        "headers": [(k.replace("_", "-").lower().encode(), v.encode()) for k, v in sent.items()],
    }  # fmt: skip
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    asyncio.run(app(scope, receive, send))
    start = next(message for message in told if message["type"] == "http.response.start")
    return Answer(
        code=start["status"],
        headers={k.decode().lower(): v.decode() for k, v in start["headers"]},
        body=b"".join(m.get("body", b"") for m in told if m["type"] == "http.response.body"),
    )
