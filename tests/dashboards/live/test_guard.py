"""Whom the live page answers, and whose forms it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests
from live_server import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dashboards.live.guard import Access, Guard, form_of, reviewer_of


def page(request: Request) -> Response:
    reviewer = reviewer_of(request)
    if request.method == "POST":
        return PlainTextResponse(f"took {dict(form_of(request))}")
    return PlainTextResponse("read-only" if reviewer is None else reviewer.csrf)


PAGE = Starlette(routes=[Route("/", page, methods=["GET", "POST"])])


TOKEN = "printed-by-the-terminal"


class Browser(requests.Session):
    """Keeps cookies, and knows where the page is."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.trust_env = address, False

    def see(self, query: str = "", **headers: str) -> requests.Response:
        return self.get(f"{self.address}/{query}", headers=headers, timeout=10)

    def enter(self) -> str:
        """Come by the link; what every form carries then."""
        return self.see(f"?token={TOKEN}").text

    def submit(self, csrf: str, **headers: str) -> requests.Response:
        form = {"csrf": csrf, "reason": "ü & <b>"}
        return self.post(f"{self.address}/", data=form, headers=headers, timeout=10)

    def again(self) -> Browser:
        """Another browser."""
        return Browser(self.address)


Open = Callable[[Access], Browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Open]:
    """Makes browsers of one server, whose guard is the last one that was asked for."""
    guards: list[Guard] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await guards[-1](scope, receive, send)

    with serving(app) as address:

        def opened(access: Access) -> Browser:
            guards.append(Guard(PAGE, access))
            return Browser(address)

        yield opened


@pytest.fixture
def access() -> Access:
    return Access("127.0.0.1", token=TOKEN)


@pytest.mark.parametrize(
    ("host", "asked", "answers"),
    [
        ("127.0.0.1", "localhost:8765", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "[::1]:8765", True),
        ("127.0.0.1", "LOCALHOST:8765", True),
        ("127.0.0.1", "example.org:8765", False),
        ("127.0.0.1", "localhost.example.org", False),
        ("127.0.0.1", "192.0.2.7", False),
        ("127.0.0.1", "[::1", False),
        ("gpu7.example.org", "gpu7.example.org:8765", True),
        ("gpu7.example.org", "gpu8.example.org:8765", False),
        ("0.0.0.0", "192.0.2.7:8765", True),  # an address cannot be rebound
        ("0.0.0.0", "example.org:8765", False),
    ],
)
def test_it_answers_to_its_own_names(host: str, asked: str, answers: bool, browser: Open) -> None:
    found = browser(Access(host)).see(host=asked)
    assert found.status_code == (200 if answers else 421)


def test_every_answer_says_what_a_browser_may_do(browser: Open, access: Access) -> None:
    client = browser(access)
    for found in (client.see(), client.see(host="example.org")):
        policy = found.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert found.headers["cache-control"] == "no-store"
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["referrer-policy"] == "same-origin"


def test_without_the_option_nothing_is_decided(browser: Open) -> None:
    client = browser(Access("127.0.0.1"))
    for found in (client.submit("any", origin=client.address), client.see("?token=any")):
        assert found.status_code == 403
        assert "`ptxsweep dashboard --allow-promote` prints a link" in found.text
    assert client.see().text == "read-only"
    put = client.put(client.address, headers={"origin": client.address}, timeout=10)
    assert put.status_code == 405


def test_a_token_is_exchanged_once(browser: Open, access: Access) -> None:
    client = browser(access)
    wrong = client.see("?token=é")
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
    inside = client.see(f"?token={TOKEN}&sort=dice")
    (answer,) = inside.history
    assert (answer.status_code, answer.headers["location"]) == (303, "/?sort=dice")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"ptxsweep-session-{client.address.rpartition(':')[2]}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert inside.text == client.see().text != "read-only"
    assert client.see(f"?token={TOKEN}").status_code == 200  # the same browser once more
    late = client.again().see(f"?token={TOKEN}")
    assert late.status_code == 403
    assert "it was used already" in late.text
    assert client.again().see().text == "read-only"


def test_a_form_counts_from_a_page_of_ours(browser: Open, access: Access) -> None:
    client = browser(access)
    csrf, here = client.enter(), client.address
    done = client.submit(csrf, origin=here)
    assert (done.status_code, done.text) == (200, "took {'reason': 'ü & <b>'}")
    assert client.submit(csrf, referer=f"{here}/promote/a").status_code == 200
    foreign: list[dict[str, str]] = [
        {},
        {"origin": "null"},
        {"origin": "http://example.org"},
        {"origin": "http://127.0.0.1:9"},  # another server of this machine
        {"origin": "http://example.org", "referer": here},
        {"origin": here.replace("http", "file")},
        {"origin": "http://[::1"},
    ]
    for headers in foreign:
        refused = client.submit(csrf, **headers)
        assert (refused.status_code, "sent from a page of this" in refused.text) == (403, True)
    for wrong in ("of another session", ""):
        refused = client.submit(wrong, origin=here)
        assert (refused.status_code, "load the page again" in refused.text) == (403, True)


def test_a_form_needs_the_session_and_is_small(browser: Open, access: Access) -> None:
    client = browser(access)
    csrf, headers = client.enter(), {"origin": client.address}
    assert "may look and not decide" in client.again().submit(csrf, **headers).text
    how = {"url": client.address, "headers": headers, "timeout": 10}
    assert client.post(json={"csrf": csrf}, **how).status_code == 415
    assert client.post(data={"csrf": csrf, "reason": "x" * 70_000}, **how).status_code == 413
