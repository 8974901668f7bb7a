"""How long a browser waits for the page of a sweep, and for what is new of it.

    python tests/benchmarks/live_times.py FOLDER

FOLDER holds a `ledger.db` with a sweep "see", which stays as it is. The server has read the ledger
once, as `ptxsweep dashboard NAME` does before it says its address. Prints one JSON object: median
seconds to the first text on the screen of a new window, and from a poll's request until what it
brought is on the page.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import uvicorn
from playwright.sync_api import sync_playwright

from dashboards.live.app import create_app
from dashboards.live.settings import Settings
from dashboards.report.export import find_browser
from sweep.ledger import Ledger
from sweep.records import Epoch
from sweep.storage.home import Home

NUM_PAINTS, NUM_UPDATES = 5, 5
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_WATCH = """
    window.took = [];
    document.addEventListener("htmx:before:request", () => { window.asked = performance.now(); });
    document.addEventListener("htmx:after:swap", () => {
        window.took.push(performance.now() - window.asked);
    });
"""


def times(folder: Path) -> dict[str, float]:
    """Seconds to the first paint and of an update."""
    with tempfile.TemporaryDirectory() as copied:
        shutil.copy(folder / "ledger.db", Path(copied) / "ledger.db")
        home = Home.from_environment(copied)
        app = create_app(Settings(home=home))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            with app.state.ledgers.opened("see"):
                pass
            port = server.servers[0].sockets[0].getsockname()[1]
            return _browse(f"http://127.0.0.1:{port}/s/see", home)
        finally:
            server.should_exit = True
            thread.join()


def _browse(address: str, home: Home) -> dict[str, float]:
    path = find_browser()
    if path is None:
        raise RuntimeError("found no Chromium, which this needs")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        paints = []
        for _ in range(NUM_PAINTS):
            # Waiting for a condition evaluates it, which the page's policy forbids.
            page = browser.new_context(bypass_csp=True).new_page()
            page.goto(address)
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint')[0]")
            paints.append(page.evaluate(_PAINT) / 1e3)
            page.close()
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(address)
        page.evaluate(_WATCH)
        writer = Ledger.open(home.ledger_url, "see")
        writer.acquire("bench", ttl_seconds=1e6)
        trial = writer.add_trial({}, {}, {"max_epochs": 12})
        attempt = writer.start_fold(trial, 0)
        page.wait_for_selector(f"text=#{trial}")
        page.wait_for_timeout(7000)  # both entries are there, in one poll or in two
        for epoch in range(1, NUM_UPDATES + 1):
            known = page.evaluate("window.took.length")
            writer.record_epoch(
                Epoch(trial=trial, fold=0, attempt=attempt, epoch=epoch, value=0.5, seconds=1.0)
            )
            writer.flush()
            page.wait_for_function(f"window.took.length > {known}")
        took = page.evaluate(f"window.took.slice(-{NUM_UPDATES})")
        writer.close()
        browser.close()
    return {"paint": median(paints), "update": median(took) / 1e3}


if __name__ == "__main__":
    print(json.dumps(times(Path(sys.argv[1]))))
