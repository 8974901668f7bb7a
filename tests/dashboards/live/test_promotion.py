"""From a challenger to a champion in a browser, and a second browser that comes too late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe import serious
from chromium import chromium, watched
from live_page import ask
from live_server import serving
from playwright.sync_api import Browser, Page
from signing_keys import line_of, write_key
from tiny_sweep import NAME

from dashboards.live.app import create_app
from dashboards.live.settings import Settings
from sweep.ledger.evidence import Evidence
from sweep.mlflow.decision import approval_of
from sweep.mlflow.registry import aliases
from sweep.mlflow.view import connect
from sweep.promotion.promote import promote
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"
TOKEN = "printed-by-the-terminal"


@pytest.fixture
def keys(tiny_home: Home, tmp_path: Path) -> dict[str, Path]:
    """Alice asked for the challenger; she, bob and carol may approve."""
    made = {name: write_key(tmp_path / name) for name in ("alice", "bob", "carol")}
    lines = [line_of(name, key) for name, key in made.items()]
    tiny_home.approvers.write_text("".join(lines), encoding="utf-8")
    promote(tiny_home, NAME, request=True, key=made["alice"])
    return made


@contextmanager
def reviewing(browser: Browser, home: Home, key: Path) -> Iterator[Page]:
    """A reviewer's own server and browser, come in by the link."""
    settings = Settings(home=home, promote_token=TOKEN, key=key)
    with serving(create_app(settings)) as address:
        context = browser.new_context(base_url=address)
        page = context.new_page()
        seen = watched(page)
        page.goto(f"/promote/{NAME}?token={TOKEN}")
        yield page
        refusals = [line for line in seen.console if "409" not in line and "422" not in line]
        assert (refusals, seen.foreign) == ([], [])
        context.close()


def fill(page: Page, name: str, reason: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Why, or what is missing").fill(reason)


def open_every_case(page: Page) -> int:
    page.get_by_text("Open them one after another").click()
    number = 1
    while True:
        picture = page.locator("figure.hard-case img")
        assert picture.evaluate("image => image.naturalWidth") > 1000
        if page.get_by_text("Next case").count() == 0:
            page.get_by_text("Back to the decision").click()
            return number
        page.get_by_text("Next case").click()
        number += 1


def test_two_reviewers_and_one_decision(tiny_home: Home, keys: dict[str, Path]) -> None:
    def standing() -> dict[str, str]:
        return aliases(connect(tiny_home.tracking_uri), MODEL)

    with (
        chromium() as browser,
        reviewing(browser, tiny_home, keys["bob"]) as bob,
        reviewing(browser, tiny_home, keys["carol"]) as carol,
    ):
        assert "token" not in bob.url
        assert serious(bob) == []
        assert "trial #1 of tiny) would become the first champion" in bob.inner_text("p.lead")
        assert "Dice over positive cases" in bob.inner_text("#evidence")
        assert "dice above the all-empty baseline" in bob.inner_text("#evidence")
        assert "1 of 20" in bob.inner_text("#rests")
        approve = bob.get_by_role("button", name="Approve")
        assert approve.is_disabled()
        fill(bob, "Carl & <b>Bob</b>", "what of lateral views?")
        bob.get_by_role("button", name="Ask for more").click()
        assert "what of lateral views? (Carl & <b>Bob</b>, by bob)" in bob.inner_text("#asked")
        assert standing() == {"challenger": "1"}
        num_cases = open_every_case(bob)
        assert f"Case {num_cases}" in bob.inner_text("#cases")
        assert bob.locator("#cases .good").count() == num_cases
        carol.reload()
        assert "what of lateral views?" in carol.inner_text("#asked")
        assert open_every_case(carol) == num_cases
        fill(bob, "Bob", "looked at every case")
        approve.click()
        assert "Last decision: approval" in bob.inner_text("p.notice")
        assert "by bob (Bob); looked at every case" in bob.inner_text("p.notice")
        assert standing() == {"champion": "1"}
        fill(carol, "Carol", "too many misses")
        carol.get_by_role("button", name="Approve").click()
        alert = carol.inner_text("[role=alert]")
        assert alert.startswith("Too late. ")
        assert "by bob (Bob); looked at every case" in alert
        assert carol.get_by_label("Your name").input_value() == "Carol"
        assert carol.get_by_role("button", name="Deny").is_disabled()
        carol.get_by_role("link", name="Registry").first.click()
        assert "Version 1 is champion, trial #1 of tiny" in carol.inner_text("main")
        assert carol.locator(".timeline li").count() == 2
        assert serious(carol) == []
    version = connect(tiny_home.tracking_uri).get_model_version(MODEL, "1")
    approval = approval_of(tiny_home, version)
    assert approval is not None
    assert (approval["approved"], approval["by"]) == (True, "bob")
    assert len(Evidence(tiny_home.ledger_url, NAME).uses()) == 1


def test_what_is_refused_in_words(tiny_home: Home, keys: dict[str, Path]) -> None:
    """A wrong token, foreign names and origins, the requester, cases that nobody opened."""
    app = create_app(Settings(home=tiny_home, promote_token=TOKEN, key=keys["alice"]))
    page = f"/promote/{MODEL}"
    assert ask(app, f"{page}?token=wrong").code == 403
    assert ask(app, page, host="example.org").code == 421
    cookie = ask(app, f"{page}?token={TOKEN}").headers["set-cookie"].partition(";")[0]
    text = ask(app, page, cookie=cookie).text
    csrf = text.partition('name="csrf" value="')[2].partition('"')[0]
    revision = text.partition('name="revision" value="')[2].partition('"')[0]

    def decide(how: str, origin: str = "http://127.0.0.1:8765", **more: str) -> tuple[int, str]:
        form = {"csrf": csrf, "revision": revision, "reviewer": "Al", "reason": "r", **more}
        body = "&".join(f"{key}={value}" for key, value in {**form, "decision": how}.items())
        found = ask(
            app,
            page,
            method="POST",
            body=body.encode(),
            cookie=cookie,
            origin=origin,
            content_type="application/x-www-form-urlencoded",
        )
        return found.code, found.text.partition('role="alert">')[2].partition("</p>")[0]

    assert decide("reject", origin="http://example.org")[0] == 403
    assert decide("reject", csrf="other")[0] == 403
    assert decide("approve")[1].endswith("still to be opened")
    assert decide("reject", reason="")[1].startswith("Nothing was decided. found no reason")
    assert decide("reject", revision="")[1].startswith("Nothing was decided. found no revision")
    assert "expected approve, reject or ask" in decide("else")[1]
    for number in range(1, text.count("/case/")):  # one link more begins the round
        assert ask(app, f"{page}/case/{number}", cookie=cookie).code == 200
    code, words = decide("approve")
    assert (code, "found the requester (alice)" in words) == (422, True)
    assert ask(app, f"{page}/case/99").code == 404
    assert ask(app, "/promote/nothing").code == 404
    assert aliases(connect(tiny_home.tracking_uri), MODEL) == {"challenger": "1"}
    Path(tiny_home.tracking_uri.removeprefix("sqlite:///")).unlink()
    away = ask(app, "/registry").text
    assert "MLflow cannot be reached." in away
    assert "Version 1 waits for a decision" in away
    assert "mlflow.db is not there" in ask(app, page).text
    assert "mlflow.db is not there" in decide("reject")[1]
    assert not Path(tiny_home.tracking_uri.removeprefix("sqlite:///")).exists()
