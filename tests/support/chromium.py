"""The system's Chromium driven by Playwright, and what a page did that it should not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashboards.report.export import find_browser


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; skips the test where none is installed, unless one is required."""
    found = find_browser()
    if found is None:
        assert os.environ.get("PTXSWEEP_BROWSER") != "required", "no Chromium is installed"
        pytest.skip("no Chromium or Chrome is installed")
    expect.set_options(timeout=30_000)  # a busy machine takes its time
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Faults:
    """What a page wrote to its console, and whom it asked outside this machine."""

    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def watched(page: Page) -> Faults:
    """Begin to watch a page.

    Args:
        page: A page that was not opened yet.
    """
    found = Faults()

    def asked(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            found.foreign.append(url)

    page.on("console", lambda message: found.console.append(message.text))
    page.on("pageerror", lambda error: found.console.append(str(error)))
    page.on("request", lambda request: asked(request.url))
    return found
