"""MLflow's own pages in a headless Chromium: a real server, opened as a user opens it.

Also takes the picture of ten compared trials of a sweep:

    python -m mlflow_pages runs demo picture.png
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright
from processes import answers, end_with_children, free_ports, wait_until

from dashboards.report.export import check_browser

#: MLflow's pages take seconds on a busy machine.
PATIENCE_MILLISECONDS = 60_000
_SELECT = "Press Space to toggle row selection (unchecked)"
#: The first visit opens a panel of MLflow's assistant over a quarter of the page.
_NO_ASSISTANT = """if (location.protocol === "http:") {
  localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
  localStorage.setItem("mlflow.assistant.panelOpen_v1", "false"); }"""
_ROW_PIXELS = 45
_TABLES = """() => Array.from(document.querySelectorAll(".mlflow-compare-table tr"),
  row => Array.from(row.cells, cell => cell.innerText.trim()))"""
_CELLS = """async top => {
  const grids = Array.from(document.querySelectorAll(".ReactVirtualized__Grid"));
  grids[1].scrollTop = top;
  await new Promise(go => setTimeout(go, 200));
  return grids.map(grid => Array.from(grid.querySelectorAll("[style*=absolute]"), cell =>
    [parseInt(cell.style.top), parseInt(cell.style.left), cell.innerText]));
}"""


@contextmanager
def serving(store: Path, artifacts: Path) -> Iterator[str]:
    """Address of `mlflow server` for a SQLite store, which tells nobody of its use.

    Args:
        store: The database.
        artifacts: Folder of its artifacts.
    """
    (port,) = free_ports(1)
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--backend-store-uri", f"sqlite:///{store}", "--workers", "1"]
    words += ["--artifacts-destination", str(artifacts)]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (store.parent / "server.log").open("wb") as log:
        server = subprocess.Popen(words, env={**os.environ, **quiet}, stdout=log, stderr=log)
    try:
        wait_until(lambda: server.poll() is not None or answers(port), seconds=120)
        assert server.poll() is None, (store.parent / "server.log").read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}"
    finally:
        end_with_children(server)


@contextmanager
def browsing(address: str, asked: list[str], faults: list[str]) -> Iterator[BrowserContext]:
    """A browser that reaches one server alone.

    Args:
        address: Address of the server.
        asked: Gets the addresses elsewhere that pages ask for, none of which is answered.
        faults: Gets what pages complain of.
    """

    def complained(message: ConsoleMessage) -> None:
        # MLflow's pages ask who the user is, and a server without users does not know.
        if message.type == "error" and "/users/current" not in message.location["url"]:
            faults.append(message.text)

    def elsewhere(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=check_browser(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1500, "height": 1400})
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        context.add_init_script(_NO_ASSISTANT)
        context.route(lambda url: not url.startswith((f"{address}/", "data:", "blob:")), elsewhere)
        context.on("console", complained)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        try:
            yield context
        finally:
            browser.close()


def open_sweep(context: BrowserContext, address: str, name: str) -> Page:
    """The page of a sweep's run: MLflow's first page, model training, the sweeps, this one."""
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    page = context.new_page()
    page.goto(address)
    page.get_by_text("Model training").first.click()
    page.goto(f"{address}/#/experiments")
    page.get_by_role("link", name="ptxsweep", exact=True).click()
    page.get_by_role("link", name=name, exact=True).click()
    # No link in a long description can be clicked before.
    page.get_by_text("Show more", exact=True).first.click()
    return page


def open_trials(context: BrowserContext, page: Page, name: str) -> Page:
    """The table of its trials, by the link in its description, which opens another page."""
    with context.expect_page() as opened:
        page.get_by_role("link", name=f"ptxsweep/{name}", exact=True).click()
    trials = opened.value
    trials.get_by_label(_SELECT).first.wait_for()
    return trials


def compare(page: Page, number: int) -> None:
    """Select the first rows of the table and compare them."""
    for _ in range(number):
        page.get_by_label(_SELECT).first.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text(f"Comparing {number} Runs").wait_for()
    page.get_by_text("ptxsweep.rank", exact=True).wait_for()


def compared(page: Page) -> dict[str, list[str]]:
    """What a page that compares runs says, a text for each run: tables by row, metrics by key.

    Metrics stand in a window of some rows, whose cells know where they are. `page` must be so wide
    that all runs are in it.
    """
    cells = dict[tuple[int, int], str]()
    names = dict[int, str]()
    height = page.evaluate("() => document.querySelector('.ReactVirtualized__Grid').scrollHeight")
    for top in [*range(0, height, _ROW_PIXELS)] * 3:
        rows, columns = page.evaluate(_CELLS, top)
        names |= {row // _ROW_PIXELS: text for row, _, text in rows}
        cells |= {(row // _ROW_PIXELS, column): text for row, column, text in columns}
        if len(names) * _ROW_PIXELS == height:
            break
    found = {name: texts for name, *texts in page.evaluate(_TABLES)}
    for row, name in names.items():
        found[name] = [text for (at, _), text in sorted(cells.items()) if at == row]
    return found


def main() -> int:
    """Take the picture."""
    parser = argparse.ArgumentParser(prog="python -m mlflow_pages", description=main.__doc__)
    parser.add_argument("home", type=Path, help="home of the sweep")
    parser.add_argument("name", help="its name")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    given = parser.parse_args()
    store, artifacts = given.home.absolute() / "mlflow.db", given.home.absolute() / "mlartifacts"
    with serving(store, artifacts) as address, browsing(address, [], []) as context:
        sweep = open_sweep(context, address, given.name)
        page = open_trials(context, sweep, given.name)
        page.set_viewport_size({"width": 2000, "height": 1640})
        compare(page, min(10, page.get_by_label(_SELECT).count()))
        # Names of metrics are a step of scrolling behind their values, so the last step is small.
        page.get_by_text("case_sensitivity", exact=True).first.wait_for()
        page.locator(".ReactVirtualized__Grid").nth(1).hover()
        for step in (10_000, -150, -1):  # past what a trial took, up to its score
            page.mouse.wheel(0, step)
            page.wait_for_timeout(500)
        for section in ("Visualizations", "Parameters", "Artifacts"):
            page.get_by_role("button", name=section).first.click()
        page.wait_for_timeout(1000)  # sections fold slowly
        page.screenshot(path=given.picture)
    with Image.open(given.picture) as image:  # a repository keeps every version of it
        image.convert("RGB").quantize(128).save(given.picture, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
