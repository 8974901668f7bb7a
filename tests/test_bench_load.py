"""The load benchmark judges its own figures; the sweeps themselves are `make bench-load`."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

BENCHMARK = runpy.run_path(str(Path(__file__).with_name("benchmarks") / "bench_load.py"))
MISSED: FunctionType = BENCHMARK["missed"]
MAIN: FunctionType = BENCHMARK["main"]

#: As measured, see docs/results/load.md; `over_tune` stands at its goal.
MEASURED = {
    "complete": True, "peak_gib": 0.686, "overhead_ms": 42.4, "over_tune": 1.3,
    "overhead_growth": 0.81, "time_growth": 0.967, "memory_growth": 1.08, "speedup": 1.87,
}  # fmt: skip


def test_what_was_measured_meets_the_goals() -> None:
    assert MISSED(MEASURED) == []


@pytest.mark.parametrize(
    ("name", "met", "too_bad"),
    [
        ("complete", True, False),
        ("peak_gib", 1.499, 1.5),
        ("overhead_ms", 49.9, 50.0),
        ("over_tune", 1.3, 1.31),
        ("overhead_growth", 1.2, 1.21),
        ("time_growth", 1.2, 1.201),
        ("speedup", 1.8, 1.79),
        ("overhead_ms", -1.0, float("nan")),
    ],
)
def test_a_missed_goal_is_told_with_what_was_found(name: str, met: object, too_bad: object) -> None:
    assert MISSED({**MEASURED, name: met}) == []
    (told,) = MISSED({**MEASURED, name: too_bad})
    assert told.startswith(name)
    assert told.endswith(f"found {too_bad}")


@pytest.mark.parametrize(("milliseconds", "code"), [(40.0, 0), (80.0, 1)])
def test_the_exit_code_and_the_last_line(
    milliseconds: float,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def invented_sweep(num_trials: int, num_workers: int) -> dict[str, Any]:
        num_folds = 5 * num_trials
        found = {f"{kind}_complete": True for kind in ("ledger", "reopened", "mlflow")}
        seconds = num_folds / num_workers
        return {"num_folds": num_folds, "seconds": seconds, "driver_peak_mib": 512.0,
                "overhead_ms": milliseconds, "driver_cpu_seconds": 3.0, **found}  # fmt: skip

    def invented_tune(num_folds: int, num_workers: int) -> dict[str, Any]:
        return {"overhead_ms": milliseconds / 1.25, "driver_cpu_seconds": 2.0}

    monkeypatch.setitem(MAIN.__globals__, "tune_alone", invented_tune)
    monkeypatch.setitem(MAIN.__globals__, "sweep", invented_sweep)
    monkeypatch.setattr(sys, "argv", ["bench_load.py"])
    assert MAIN() == code
    shown = capsys.readouterr()
    figures = json.loads(shown.out.splitlines()[-1])
    assert figures["overhead_ms"] == milliseconds
    assert figures["speedup"] == 2.0
    assert (figures["over_tune"], figures["cpu_over_tune"]) == (1.25, 1.5)
    assert figures["time_growth"] == 1.0
    assert ("missed: overhead_ms < 50, found 80.0" in shown.err) == (code == 1)
