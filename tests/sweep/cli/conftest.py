"""A sweep in a real ledger: trial 0 complete, 1 parked after a fold, 2 in its first fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.records import Epoch, FoldScore, State, SweepState
from sweep.space import parse_space
from sweep.storage.home import Home

SPACE = """
name: small
objective: {metric: average_precision}
folds: 2
policy: {name: greedy, num_trials: 4, num_completions: 2}
pruner: {name: none}
parameters:
  learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true, default: 1.0e-3}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "home"
    folder.mkdir()
    return Home.from_environment(folder)


@pytest.fixture
def ledger(home: Home) -> Ledger:
    """The ledger of the sweep "small", lease released."""
    return made(home, "small", SPACE)


@pytest.fixture
def selected_ledger(home: Home) -> Ledger:
    """The ledger of the sweep "selected", whose checkpoints are chosen on the scored folds."""
    return made(home, "selected", SPACE + "fixed: {selection: fold}\n")


@pytest.fixture
def positives_ledger(home: Home) -> Ledger:
    """The ledger of the sweep "positives", in which no healthy case took part."""
    cohort = {
        **{"cases": "positive", "num_cases": 20, "num_positive": 20, "num_store_cases": 100},
        **{"num_groups": 18, "groups": "patient_id", "holdout_fraction": 0.15, "num_holdout": 3},
        **{"num_holdout_positive": 3, "monitor_fraction": 0.15, "num_monitor": 2},
    }
    return made(home, "positives", SPACE, cohort=cohort)


def made(home: Home, name: str, text: str, **more: Any) -> Ledger:
    """A ledger as the top of this file says, for a search space and with more in its header."""
    space = parse_space(text, "small.yaml")
    header = SweepHeader(
        space_text=text,
        metric="average_precision",
        maximize=True,
        num_folds=2,
        seed=0,
        phantom=True,
        created_at="2026-01-01T00:00:00+00:00",
        **more,
    )
    ledger = Ledger.create(home.ledger_url, name, header=header)
    ledger.acquire(owner="test")
    ledger.set_sweep_state(SweepState.RUNNING)
    for rate in (0.001, 0.002, 0.004):
        values = {"learning_rate": rate}
        ledger.add_trial(values, space.distributions(), settings=space.complete(values))
    for trial, fold, score in ((0, 0, 0.5), (0, 1, 0.7), (1, 0, 0.8)):
        attempt = ledger.start_fold(trial, fold)
        ledger.finish_fold(
            FoldScore(
                trial=trial,
                fold=fold,
                attempt=attempt,
                value=score,
                score=score,
                seconds=10.0 + fold,
                num_epochs=3,
                best_epoch=2,
                metrics={"average_precision": score, "dice": 0.9, "dice_all_empty": 0.78},
            )
        )
    ledger.end(0, State.COMPLETE)
    attempt = ledger.start_fold(2, 0)
    ledger.record_epoch(Epoch(trial=2, fold=0, attempt=attempt, epoch=1, value=0.1, seconds=1.0))
    ledger.flush()
    ledger.release()
    return ledger
