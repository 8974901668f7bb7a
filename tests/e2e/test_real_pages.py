"""Every page of a sweep of real radiographs in a real browser: figures drawn, numbers of `show`.

The report, the live page's pages and MLflow's comparison of all trials; two tests beside this one
look at more trials, on synthetic scores. The pruner waits for two complete trials, since a front
needs two and nothing says which worker comes first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe import serious
from chromium import chromium, watched
from command_line import ptxsweep
from live_server import serving
from playwright.sync_api import Browser, Page, expect

from dashboards.live.app import create_app
from dashboards.live.settings import Settings
from dashboards.report.export import find_browser
from dashboards.text import score
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

SPACE = """
name: slice
description: real radiographs at a CPU size
objective: {metric: average_precision}
folds: 3
policy: {name: greedy, num_trials: 4, num_completions: 2}
pruner: {name: median, scope: epochs, n_startup_trials: 2, n_warmup_steps: 1}
sampler: {name: random}
fixed:
  channels: 4
  levels: 3
  image_size: 64
  patch_size: 0
  warmup_epochs: 0
  max_epochs: 3
  positive_fraction: 1.0
parameters:
  learning_rate: {type: float, low: 1.0e-3, high: 1.0e-2, log: true, default: 0.005}
"""
GROUPS = ("comparisons", "search", "training", "cost")
WHITE, DARK = "rgb(255, 255, 255)", "rgb(18, 23, 29)"


@pytest.fixture(scope="module")
def swept(siim: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Home and report of a small sweep over the positive cases."""
    folder = tmp_path_factory.mktemp("real-pages")
    home, store, space = folder / "home", folder / "store", folder / "slice.yaml"
    words = ("data", "import", "--dicom", siim / "dicom", "--rle", siim / "train-rle.csv")
    ptxsweep(*words, "--store", store, home=None)
    space.write_text(SPACE)
    ptxsweep("run", space, "--store", store, "--cases", "positive", home=home)
    report = ptxsweep("report", "slice", home=home)
    return home, Path(report["path"])


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Playwright runs once at a time, and MLflow's pages bring their own."""
    with chromium() as found:
        yield found


@pytest.mark.slow
@pytest.mark.siim
@pytest.mark.timeout(600)
def test_the_live_page_and_the_report(browser: Browser, swept: tuple[Path, Path]) -> None:
    home, report = swept
    shown = ptxsweep("show", "slice", home=home)
    best = shown["best"]
    other = next(one["number"] for one in shown["trials"] if one["number"] != best)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    seen = watched(page)
    with serving(create_app(Settings(home=Home.from_environment(home)))) as address:
        page.goto(address)
        expect(page.locator("#sweeps")).to_contain_text("slice")
        page.get_by_role("link", name="slice", exact=True).click()
        expect(page.locator(".lead")).to_have_text(shown["sentences"][0])
        drawn = sum(figures_of(page, group) for group in GROUPS)
        assert drawn >= 9
        assert serious(page) == []

        page.goto(f"{address}/s/slice/t/{best}")
        for value in shown["trials"][best]["fold_scores"]:
            expect(page.locator("main")).to_contain_text(score(value))
        assert figures_of(page, "trial") >= 1
        took = page.get_by_role("region", name="What each fold took")
        expect(took).to_contain_text("seconds an image")
        page.locator("#cases").scroll_into_view_if_needed()
        pictures = page.locator("#cases ul.cases img")
        expect(pictures.first).to_be_visible(timeout=240_000)  # another process draws them
        page.reload()
        page.locator("#cases").scroll_into_view_if_needed()
        expect(pictures.first).to_be_visible()
        assert serious(page) == []

        page.goto(f"{address}/compare?t=slice:{best}&t=slice:{other}")
        expect(page.locator("main")).to_contain_text(score(shown["trials"][best]["fold_scores"][0]))
        for path in ("/registry", "/promote/slice"):
            page.goto(f"{address}{path}")
            expect(page.locator("main h1")).to_be_visible()
            assert serious(page) == [], path
    with Sweep.open(Home.from_environment(home), "slice") as opened:
        assert opened.evidence.num_uses() == (0, 0), "no page opens the hold-out"
    page.goto(report.as_uri())
    page.locator("html[data-drawn]").wait_for()
    expect(page.locator("main")).to_contain_text(shown["sentences"][0])
    figures = page.locator("figure:has(.js-plotly-plot)")
    assert figures.count() >= 9
    pareto = page.locator("#figure-pareto")
    expect(pareto).to_contain_text("Seconds an image")
    assert page.locator(".js-plotly-plot:not(:has(.main-svg))").count() == 0
    for paper in (DARK, WHITE):
        page.get_by_role("button", name="Light / dark").click()
        expect(page.locator("body")).to_have_css("background-color", paper)
        assert serious(page) == [], paper
    page.close()
    assert (seen.console, seen.foreign) == ([], [])


def figures_of(page: Page, group: str) -> int:
    """How many figures of a group are drawn, once it came into view; the others say why not."""
    box = page.locator(f"#figures-{group}")
    box.scroll_into_view_if_needed()
    expect(box).to_have_attribute("data-drawn", "yes", timeout=60_000)
    count = 0
    for figure in box.locator("figure").all():
        if figure.evaluate("figure => Boolean(figure.plot)"):
            expect(figure.locator(".main-svg").first).to_be_visible()
            count += 1
    return count


@pytest.mark.slow
@pytest.mark.siim
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    find_browser() is None and os.environ.get("PTXSWEEP_BROWSER") != "required",
    reason="no Chromium or Chrome is installed",
)
def test_mlflow_compares_them(swept: tuple[Path, Path]) -> None:
    import mlflow_pages

    home, _ = swept
    shown = ptxsweep("show", "slice", home=home)
    asked: list[str] = []
    faults: list[str] = []
    with (
        mlflow_pages.serving(home / "mlflow.db", home / "mlartifacts") as address,
        mlflow_pages.browsing(address, asked, faults) as context,
    ):
        sweep = mlflow_pages.open_sweep(context, address, "slice")
        text = sweep.locator("body").inner_text()
        for sentence in shown["sentences"]:
            assert sentence in text
        trials = mlflow_pages.open_trials(context, sweep, "slice")
        trials.set_viewport_size({"width": 2500, "height": 1500})
        mlflow_pages.compare(trials, 4)
        found = mlflow_pages.compared(trials)
    assert (faults, asked) == ([], [])
    for at, name in enumerate(found["Run Name:"]):
        one = shown["trials"][int(name.rpartition("-")[2])]
        if one["state"] == "complete":
            assert float(found["score"][at]) == pytest.approx(one["mean"], abs=6e-4)
            assert "complete" in found["ptxsweep.rank"][at]
        else:
            assert found["ptxsweep.stopped"][at].startswith(one["state"])
