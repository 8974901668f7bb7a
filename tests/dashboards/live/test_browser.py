"""The live page in the system's Chromium, against a server on a small ledger."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from axe import serious
from chromium import chromium, watched
from figure_texts import CUT
from live_server import serving
from playwright.sync_api import Browser, Page, expect

from dashboards.live.app import create_app
from dashboards.live.settings import Settings
from dashboards.text import score
from sweep.analysis.compare import compare
from sweep.analysis.summary import summarise
from sweep.ledger import Ledger
from sweep.records import Epoch
from sweep.storage.home import Home


@pytest.fixture(scope="module")
def home(live_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy, since the tests here write to it."""
    folder = tmp_path_factory.mktemp("browsed")
    shutil.copy(live_home.folder / "ledger.db", folder / "ledger.db")
    return Home.from_environment(folder)


@pytest.fixture(scope="module")
def address(home: Home) -> Iterator[str]:
    with serving(create_app(Settings(home=home))) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window that fails the test if a page complains or asks anything of another host."""
    window = browser.new_page(viewport={"width": 1280, "height": 900})
    seen = watched(window)
    yield window
    window.close()
    assert (seen.console, seen.foreign) == ([], [])


def summary_of(home: Home) -> Any:
    ledger = Ledger.open(home.ledger_url, "first")
    found = summarise(ledger)
    ledger.close()
    return found


def test_from_the_sweeps_to_a_trial_and_to_a_comparison(
    page: Page, address: str, home: Home
) -> None:
    summary = summary_of(home)
    page.goto(address)
    expect(page.locator("#sweeps")).to_contain_text(summary.short)  # rows come one by one
    page.get_by_role("link", name="first", exact=True).click()
    expect(page.locator(".lead")).to_have_text(summary.sentences[0])

    boxes = page.locator("#select tbody input")
    boxes.nth(0).check()
    boxes.nth(1).check()
    chosen = [int(box.get_attribute("data-number") or "") for box in boxes.all()[:2]]
    assert page.url.endswith(f"?sel={chosen[0]}&sel={chosen[1]}"), "the address has the selection"
    page.reload()
    expect(boxes.nth(1)).to_be_checked()
    page.get_by_role("button", name="Compare those selected").click()
    ledger = Ledger.open(home.ledger_url, "first")
    found = compare(ledger.projection, reference=chosen[0])
    ledger.close()
    other = next(trial for trial in found.trials if trial.number == chosen[1])
    for value in other.values:
        expect(page.locator("main")).to_contain_text(score(value))
    page.get_by_role("table").first.get_by_role("link", name=f"#{chosen[1]}").click()
    expect(page.locator("h1")).to_have_text(f"Trial {chosen[1]} of first")
    for value in summary.trials[chosen[1]].fold_scores:
        expect(page.locator("main")).to_contain_text(score(value))


def test_every_figure_is_drawn_and_a_mark_leads_to_its_trial(page: Page, address: str) -> None:
    page.goto(f"{address}/s/first")
    for group in ("comparisons", "search", "training", "cost"):
        box = page.locator(f"#figures-{group}")
        box.scroll_into_view_if_needed()
        expect(box).to_have_attribute("data-drawn", "yes", timeout=60_000)
        plots = box.locator("figure .plot")
        for place in range(plots.count()):
            if box.locator("figure").nth(place).evaluate("figure => Boolean(figure.plot)"):
                expect(plots.nth(place).locator(".main-svg").first).to_be_visible()
    board = page.locator('figure[data-key="leaderboard"] .plot')
    board.evaluate("place => place.emit('plotly_click', {points: [{customdata: 6}], event: {}})")
    page.wait_for_url("**/s/first/t/6")
    box = page.locator("#figures-trial")
    box.scroll_into_view_if_needed()
    expect(box.locator('figure[data-key="epochs"] .main-svg').first).to_be_visible()


def test_an_entry_of_the_ledger_appears_by_itself(page: Page, address: str, home: Home) -> None:
    page.goto(f"{address}/s/stopped?sort=number&sel=1")
    expect(page.locator(".status")).to_contain_text("interrupted")
    page.evaluate("scrollTo(0, 500)")
    writer = Ledger.open(home.ledger_url, "stopped")
    writer.acquire("test")
    number = next(t.number for t in writer.projection.trials if not t.state.is_final)
    fold = writer.projection.trials[number].next_fold(5)
    assert fold is not None
    attempt = writer.start_fold(number, fold)
    row = page.locator(f"#trial-{number}")
    expect(row).to_contain_text(f"running fold {fold}, epoch 0", timeout=15_000)
    writer.record_epoch(
        Epoch(trial=number, fold=fold, attempt=attempt, epoch=1, value=0.123, seconds=1.0)
    )
    writer.flush()
    expect(row).to_contain_text("epoch 1", timeout=15_000)
    expect(page.get_by_role("region", name="What runs now")).to_contain_text("0.123")
    writer.close()
    assert page.evaluate("scrollY") > 0, "where the reader was"
    expect(page.locator("#trial-1 input")).to_be_checked()
    asked: list[int] = []
    page.on("response", lambda answer: asked.append(answer.status))
    page.wait_for_timeout(4000)
    assert set(asked) == {304}, "nothing is sent while nothing is new"


def test_keys_and_dark_colours(page: Page, address: str) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/s/first")

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = paper()
    assert max(map(int, re.findall(r"\d+", dark)[:3])) < 64
    page.keyboard.press("d")
    assert paper() == "rgb(255, 255, 255)"
    page.reload()
    assert paper() == "rgb(255, 255, 255)", "the choice is kept"
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#select tbody input").nth(1)).to_be_checked()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("pruned")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=pruned**")
    for text in page.locator("#select tbody tr").all_text_contents():
        assert "pruned" in text


@pytest.mark.parametrize("path", ["/", "/s/first", "/s/first/t/3", "/compare?t=first:3&t=second:0"])
def test_no_page_is_wider_than_a_phone(page: Page, address: str, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_no_text_of_a_figure_is_cut_on_a_phone(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/s/first", "/s/first/t/3"):
        page.goto(f"{address}{path}")
        for figures in page.locator("[data-figures]").all():
            figures.scroll_into_view_if_needed()
        expect(page.locator("[data-figures]:not([data-drawn])")).to_have_count(0)
        assert page.evaluate(f"() => {{ {CUT} }}") == [], path


def test_axe_finds_nothing_serious(page: Page, address: str) -> None:
    for path in ("/", "/s/first", "/s/first/t/3", "/compare?t=first:3&t=second:0"):
        page.goto(f"{address}{path}")
        assert serious(page) == [], path
