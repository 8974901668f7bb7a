"""What `ptxsweep compare` prints: no more than a screen, and no number that is cut."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic_sweeps import SPACE, run_sweep

from sweep.cli import main

NUM_TRIALS = 22


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a sweep of which all trials are complete."""
    made = tmp_path_factory.mktemp("home")
    space = SPACE
    for old, new in (
        ("folds: 5", "folds: 2"),
        ("{name: greedy, num_trials: 8, num_completions: 3}", "{name: standard, num_trials: 22}"),
        ("{name: percentile, percentile: 97, scope: epochs, n_startup_trials: 4, "
         "n_warmup_steps: 5}", "{name: none}"),
    ):  # fmt: skip
        assert old in space
        space = space.replace(old, new)
    run_sweep(
        f"sqlite:///{made}/ledger.db",
        num_trials=NUM_TRIALS,
        num_completions=NUM_TRIALS,
        policy="standard",
        space_text=space,
    ).close()
    return made


def rows(
    folder: Path, capfd: pytest.CaptureFixture[str], *words: str
) -> tuple[list[list[str]], str]:
    """Rows of the table of the Dice, cell by cell, and all that was printed."""
    words = ("compare", "synthetic", "--metric", "dice", "--home", str(folder), *words)
    assert main(words) == 0
    out = capfd.readouterr().out
    lines = [line for line in out.splitlines() if re.match(r" *\d+  \d\.\d{4} \+- ", line)]
    return [re.split(r" {2,}", line.strip()) for line in lines], out


@pytest.mark.parametrize("columns", [80, 200])
def test_the_reference_and_the_best(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    found, out = rows(folder, capfd)
    assert len(found) == 20
    assert found[0][0] == "0"
    means = [float(row[1].split()[0]) for row in found[1:]]
    assert means == sorted(means, reverse=True)
    assert "2 more trials: --all shows them" in out
    table = out.partition("\nTrial #")[0]
    assert max(map(len, table.splitlines())) <= columns
    # Two folds and twenty-one trials: of some nothing at all is known.
    span = r"[+-]\d\.\d{4} to [+-]\d\.\d{4}|says nothing"
    assert all(re.fullmatch(span, row[3]) for row in found[1:])
    is_wide = columns == 200
    assert ("a wider terminal shows what changed" in out) is not is_wide
    assert [len(row) for row in found[1:]] == [9 if is_wide else 6] * 19
    everything, _ = rows(folder, capfd, "--all")
    assert len(everything) == NUM_TRIALS
