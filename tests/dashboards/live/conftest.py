from __future__ import annotations

from pathlib import Path

import pytest
from live_page import ODD
from synthetic_sweeps import SPACE, Story, run_sweep

from sweep.storage.home import Home


@pytest.fixture(scope="session")
def live_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Sweeps of eight trials, and those that have little to show. Tests do not change it."""
    folder = tmp_path_factory.mktemp("live")
    home = Home.from_environment(folder)
    story = Story(diverges=frozenset({4}), lost=frozenset({(1, 0)}))
    few = SPACE.replace("num_trials: 8, num_completions: 3", "num_trials: 3, num_completions: 1")
    run_sweep(home.ledger_url, "first", story=story).close()
    run_sweep(home.ledger_url, "second", seed=2).close()
    run_sweep(home.ledger_url, "stopped", story=Story(stop_after=6)).close()
    run_sweep(home.ledger_url, "nofold", space_text=few, story=Story(stop_after=0)).close()
    run_sweep(
        home.ledger_url, "allnan", num_trials=3, num_completions=1, space_text=few,
        story=Story(diverges=frozenset(range(3))),
    ).close()  # fmt: skip
    run_sweep(
        home.ledger_url, ODD, num_trials=1, num_completions=1, header={"plan_digest": "c3" * 32,
        "search_plan_digest": "d4" * 32},
    ).close()  # fmt: skip
    old = dict.fromkeys(
        ("space_text", "plan_digest", "search_plan_digest", "runtime", "versions", "created_at",
         "data_hash", "num_cases", "phantom", "version", "git_sha")
    )  # fmt: skip
    run_sweep(home.ledger_url, "old", num_trials=2, num_completions=1, header=old).close()
    assert Path(folder, "ledger.db").is_file()
    return home
