"""The report in a real browser: it draws every figure, without an error and without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import find_browser, main, visit
from PIL import Image
from synthetic_sweeps import operating_points, run_sweep

from dashboards.report.page import write_report
from dashboards.report.predictions import Choice, Example, PredictionsInfo

BROWSER = find_browser()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    ledger = run_sweep(f"sqlite:///{folder / 'ledger.db'}", num_trials=36, num_completions=3)
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
        predictions=pictures,
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
