"""What `ptxsweep demo` says of a winner that predicts no better than nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sweep.cli.demo import _print, _warn, _where_to_look


def dice(found: float) -> dict[str, dict[str, float]]:
    return {"dice": {"mean": found, "sd": 0.0}, "dice_all_empty": {"mean": 0.78, "sd": 0.0}}


@pytest.mark.parametrize(
    ("fixed", "tuned", "expected"),
    [
        (0.71, 0.87, None),  # what is deployed has the tuned threshold, and beats it
        (0.71, 0.70, "0.7000 against 0.7800 (both empty = 1, with the threshold from the other"),
        (0.71, None, "0.7100 against 0.7800 (both empty = 1, at the threshold of its settings)"),
        (0.87, None, None),
    ],
)
def test_the_warning_speaks_of_the_threshold_that_is_deployed(
    fixed: float, tuned: float | None, expected: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    result = SimpleNamespace(
        metrics=dice(fixed), tuned_metrics=None if tuned is None else dice(tuned)
    )
    _warn(cast(Any, result))
    shown = capfd.readouterr().err
    assert shown.count("warning:") == (expected is not None)
    assert (expected or "") in shown


@pytest.mark.parametrize(
    ("tracking_uri", "expected"),
    [
        ("sqlite:////else/where.db", "; ptxsweep ui demo --home runs/demo"),
        ("https://me:geheim@host/mlflow", " at https://me:***@host/mlflow"),
    ],
)
def test_the_run_is_looked_at_where_it_was_kept(tracking_uri: str, expected: str) -> None:
    assert _where_to_look("demo", tracking_uri, "--home runs/demo") == expected


def test_each_number_stands_under_the_rule_that_made_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Average precision has no threshold, so it stands once."""
    one = {"mean": 0.5, "sd": 0.1}
    metrics = {"average_precision": one, "dice": one, "dice_positive": one}
    result = SimpleNamespace(
        phantom=True, sweep="demo", num_trials=1, num_folds_run=1, num_folds_stopped=2,
        num_folds_full_grid=5, best=0,
        configuration={}, metrics=metrics, tuned_metrics=metrics, baseline=0.4, verdict="Won.",
        short="won",
        holdout=None, refusals=("no",), stays="m stays.", model_uri=None, prediction=None,
        report=None,
        mlflow_run_id="none", home="home", seconds={},
    )  # fmt: skip
    where = "--home runs/demo --ledger sqlite:///l.db"
    _print(cast(Any, result), "sqlite:///mlflow.db", where, where)
    shown = capfd.readouterr().out.splitlines()
    assert shown[2] == (
        "sweep       demo: 1 trial, 1 fold trained and 2 stopped on the way, a full grid takes 5"
    )
    assert {"refused     no", "champion    m stays."} <= set(shown)
    assert f"next        ptxsweep show demo {where}" in shown
    assert [line.strip() for line in shown[4:7]] == [
        "no threshold: average_precision 0.500 +- 0.100",
        "fixed threshold: dice 0.500 +- 0.100, dice_positive 0.500 +- 0.100",
        "threshold from the other folds: dice 0.500 +- 0.100, dice_positive 0.500 +- 0.100",
    ]
