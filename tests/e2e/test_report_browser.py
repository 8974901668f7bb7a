"""The report in a real browser: it draws every figure, without an error and without a network."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from axe import AXE, SERIOUS
from browser import find_browser, main, measure, visit
from figure_texts import CUT
from PIL import Image
from synthetic_sweeps import Story, operating_points, run_sweep

from dashboards.report.export import check_browser, write_pdf, write_pngs
from dashboards.report.page import write_report
from dashboards.report.predictions import Choice, Example, PredictionsInfo, gallery
from sweep.errors import UsageError

BROWSER = find_browser()
#: Where continuous integration asks for it, a missing browser fails.
REQUIRED = os.environ.get("PTXSWEEP_BROWSER") == "required"
pytestmark = pytest.mark.skipif(
    BROWSER is None and not REQUIRED, reason="no Chromium or Chrome is installed"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    ledger = run_sweep(
        f"sqlite:///{folder / 'ledger.db'}",
        num_trials=36,
        num_completions=3,
        story=Story(diverges=frozenset({4})),
    )
    choice = Choice(
        kind="best", case_id="0123abcd", fold=0, dice=0.9, truth_share=0.01, predicted_share=0.01
    )
    pictures = PredictionsInfo(
        trial=0,
        examples=(Example(choice=choice, picture=np.zeros((8, 16, 3), np.uint8)),),
        num_positive=1,
        num_found=1,
        num_negative=0,
        num_false_alarms=0,
    )
    path = write_report(
        ledger,
        folder / "report.html",
        operating_points=operating_points(ledger),
        predictions=gallery(pictures),
    )
    ledger.close()
    return path


def test_it_draws_every_figure_and_asks_nobody(report: Path) -> None:
    assert BROWSER is not None
    seen = visit(BROWSER, report)
    assert seen.console == ()
    assert seen.requests == ()
    keys = (
        "leaderboard",
        "folds",
        "curves",
        "regret",
        "schedule",
        "slices",
        "parallel",
        "importance",
    )
    for key in keys:
        _, _, plot = seen.dom.partition(f'id="plot-{key}"')
        assert 'class="main-svg"' in plot.partition("</figure>")[0], key


_WIDTHS = """
  if (%s) { dispatchEvent(new Event("beforeprint")); }
  var edges = Array.from(document.querySelectorAll(".main-svg")).map(function (svg) {
    return svg.getBoundingClientRect().right; });
  var widths = Array.from(document.querySelectorAll(".main-svg")).map(function (svg) {
    return Number(svg.getAttribute("width")); });
  return {page: document.documentElement.scrollWidth, edge: Math.max.apply(null, edges),
          widest: Math.max.apply(null, widths),
          figures: document.querySelectorAll(".js-plotly-plot").length};"""


def test_on_a_phone_nothing_is_cut_off(report: Path) -> None:
    assert BROWSER is not None
    found = measure(BROWSER, report, _WIDTHS % "false", width=390)
    assert found["page"] <= 390
    assert found["edge"] <= 390
    assert found["figures"] >= 9
    assert measure(BROWSER, report, CUT, width=390) == []


def test_figures_are_drawn_as_wide_as_a4_before_printing(report: Path) -> None:
    assert BROWSER is not None
    found = measure(BROWSER, report, _WIDTHS % "true", width=1280)
    assert found["widest"] <= 182 / 25.4 * 96  # 210 mm without two margins of 14


def test_tables_sort_and_filter(report: Path) -> None:
    assert BROWSER is not None
    code = """
      var table = document.querySelector("table.sortable"), body = table.tBodies[0];
      function first() { return body.rows[0].cells[0].textContent; }
      var found = [first()];
      table.tHead.rows[0].cells[0].querySelector("button").click();
      found.push(first(), table.tHead.rows[0].cells[0].getAttribute("aria-sort"));
      var box = document.querySelector(".filter input");
      box.value = "failed"; box.dispatchEvent(new Event("input"));
      var shown = Array.from(body.rows).filter(function (row) { return !row.hidden; });
      found.push(shown.length, document.querySelector(".filter [role=status]").textContent);
      return found;"""
    best, lowest, order, num_shown, said = measure(BROWSER, report, code, width=1280)
    assert best != "#0 default"
    assert (lowest, order) == ("#0 default", "ascending")
    assert (num_shown, said) == (1, "1 of 36 rows")


def test_axe_finds_nothing_serious(report: Path) -> None:
    assert BROWSER is not None
    code = f"{AXE}; return (await axe.run()).violations.map(function (fault) {{ return [" + (
        "fault.impact, fault.id, fault.nodes.map(function (node) { return node.html; })]; });"
    )
    found = measure(BROWSER, report, code, width=1280)
    assert [fault for fault in found if fault[0] in SERIOUS] == []


def test_it_is_dark_where_the_reader_is_and_light_on_paper(report: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="dark")
        page.goto(report.as_uri())
        paper = "() => getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(paper) == "rgb(18, 23, 29)"
        page.emulate_media(media="print")
        assert page.evaluate(paper) == "rgb(255, 255, 255)"
        browser.close()


def test_paper_and_pictures(report: Path, tmp_path: Path) -> None:
    write_pdf(report, tmp_path / "made" / "report.pdf")
    assert (tmp_path / "made" / "report.pdf").read_bytes().startswith(b"%PDF-")
    files = write_pngs(report, tmp_path / "figures")
    assert {"leaderboard.png", "folds.png", "importance.png"} <= {file.name for file in files}
    with Image.open(files[0]) as image:
        assert image.width > 1000


def test_without_a_browser_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match=r"found none of chromium.*install Chromium"):
        check_browser()


def test_the_check_itself_sees_errors_and_requests(tmp_path: Path) -> None:
    assert BROWSER is not None
    page = tmp_path / "page.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png"><script>missing()</script>')
    seen = visit(BROWSER, page)
    assert seen.requests == ("http://127.0.0.1:9/x.png",)
    assert "missing is not defined" in seen.console[0]


def test_the_picture_for_the_readme(report: Path, tmp_path: Path) -> None:
    picture = tmp_path / "report.png"
    assert main([str(report), str(picture), "--width", "900", "--height", "700"]) == 0
    with Image.open(picture) as image:
        assert image.size == (900, 700)
        colors = image.convert("RGB").getcolors(maxcolors=1 << 20)
        assert colors is not None
        assert len(colors) > 50  # not a blank page
