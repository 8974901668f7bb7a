"""A picture of a sweep's live page: its head, and its first figures in the dark.

python -m live_picture runs demo picture.png
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from chromium import chromium
from live_server import serving
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from dashboards.live.app import create_app
from dashboards.live.settings import Settings
from sweep.storage.home import Home

WIDTH, HEIGHT = 900, 1100
#: Figures are drawn when they come into view.
PATIENCE_MILLISECONDS = 60_000
_TOP = "document.querySelector('[data-figures]').getBoundingClientRect().top + scrollY"


def head(browser: Browser, address: str) -> Image.Image:
    """The upper part of a page: the verdict and the best trials."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    page.goto(address)
    return taken(page)


def figures(browser: Browser, address: str) -> Image.Image:
    """The first figures of a page, in the dark."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
    page.goto(address)
    place = page.locator("[data-figures]").first
    place.scroll_into_view_if_needed()
    expect(place.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE_MILLISECONDS)
    page.evaluate(f"scrollTo(0, {page.evaluate(_TOP)} - 80)")
    page.wait_for_timeout(1000)  # what came into view now is drawn too
    return taken(page)


def taken(page: Page) -> Image.Image:
    """What a page shows now; closes it."""
    shot = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    return shot


def main(words: Sequence[str]) -> int:
    """Take it."""
    home, name, out = Path(words[0]), words[1], Path(words[2])
    app = create_app(Settings(home=Home.from_environment(home)))
    both = Image.new("RGB", (2 * WIDTH, HEIGHT))
    with chromium() as browser, serving(app) as address:
        both.paste(head(browser, f"{address}/s/{name}"), (0, 0))
        both.paste(figures(browser, f"{address}/s/{name}"), (WIDTH, 0))
    both.quantize(128).save(out, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
