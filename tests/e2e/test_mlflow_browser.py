"""MLflow's own pages in a real browser: ten trials compared tell which won, by how much, and why
the others stopped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from browser import find_browser
from synthetic_sweeps import Story, run_sweep

from sweep.cli import main

BROWSER = find_browser()
#: Where continuous integration asks for it, a missing browser fails.
REQUIRED = os.environ.get("PTXSWEEP_BROWSER") == "required"
pytestmark = pytest.mark.skipif(
    BROWSER is None and not REQUIRED, reason="no Chromium or Chrome is installed"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four trials are complete, one failed, the others were pruned or abandoned."""
    folder = tmp_path_factory.mktemp("home")
    story = Story(diverges=frozenset({3}), lost=frozenset({(1, 0)}))
    url = f"sqlite:///{folder / 'ledger.db'}"
    run_sweep(url, "seen", num_trials=16, num_completions=4, story=story).close()
    return folder


@pytest.fixture
def shown(home: Path, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What `show --json` says, of a sweep that MLflow has."""
    assert main(["sync", "seen", "--home", str(home)]) == 0
    capfd.readouterr()
    assert main(["show", "seen", "--home", str(home), "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_ten_compared_trials_say_who_won_by_how_much_and_why_the_others_stopped(
    home: Path, shown: dict[str, Any]
) -> None:
    from mlflow_pages import browsing, compare, compared, open_sweep, open_trials, serving

    asked: list[str] = []
    faults: list[str] = []
    trials = {f"seen-{one['number']:04d}": one for one in shown["trials"]}
    winner = f"seen-{shown['best']:04d}"
    with (
        serving(home / "mlflow.db", home / "mlartifacts") as address,
        browsing(address, asked, faults) as context,
    ):
        sweep = open_sweep(context, address, "seen")
        text = sweep.locator("body").inner_text()
        for sentence in shown["sentences"]:
            assert sentence in text
        assert "1 failed: objective is NaN" in text
        row = sweep.get_by_role("row").filter(has=sweep.get_by_text("score", exact=True))
        assert float(row.first.inner_text().split()[-1]) == shown["standing"]["mean"]

        page = open_trials(context, sweep, "seen")
        assert page.get_by_role("link", name="seen-").first.inner_text() == winner
        page.set_viewport_size({"width": 2500, "height": 1500})
        compare(page, 10)
        found = compared(page)
    assert faults == []
    assert asked == []

    runs = found["Run Name:"]
    assert len(runs) == 10
    complete = {name for name in runs if trials[name]["state"] == "complete"}
    assert len(complete) == 4
    for at, name in enumerate(runs):
        one = trials[name]
        score, dice = (found[key][at] for key in ("score", "dice_both_empty_1"))
        if name not in complete:
            assert (score, dice) == ("NaN", "NaN")  # as MLflow shows what is not there
            assert found["ptxsweep.stopped"][at].startswith(one["state"])
            continue
        assert float(score) == pytest.approx(one["mean"], abs=6e-4)
        assert float(dice) == pytest.approx(one["metrics"]["dice"]["mean"], abs=6e-4)
        assert found["ptxsweep.stopped"][at] == ""
    at, standing = runs.index(winner), shown["standing"]
    assert float(found["score"][at]) == max(
        float(found["score"][at]) for at, name in enumerate(runs) if name in complete
    )
    assert found["ptxsweep.rank"][at] == (
        f"1 of 4 complete, {standing['difference']['mean']:+.3f} to the default"
    )
    for key, part in (("score_vs_default", "mean"), ("vs_default_low", "low")):
        assert float(found[key][at]) == pytest.approx(standing["difference"][part], abs=6e-4)
