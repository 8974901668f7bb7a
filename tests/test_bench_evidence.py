"""The bench of the gate, on a few sweeps; the figures themselves are `make bench-evidence`."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest


def test_equal_challengers_pass_the_gate_as_it_was_and_not_the_gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # which a benchmark run by hand lengthens
    path = Path(__file__).with_name("benchmarks") / "bench_evidence.py"
    figures = runpy.run_path(str(path))["main"](["--quick"])
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == figures
    for found in figures["gate"].values():
        for name, one in found.items():
            if name.startswith(("equal", "0.02 worse", "worth")):
                assert one["now"]["verdict"] <= 0.05, name
        assert found["equal"]["before"]["champion"] >= 0.3
        assert found["worth predicting nothing"]["before"]["nothing"] >= 0.3
        assert found["worth predicting nothing"]["now"]["nothing"] <= 0.05
        assert found["0.02 worse than the default"]["now"]["default"] <= 0.05
    for failing, found in figures["patients"]["errors"].items():
        assert max(found.values()) <= 0.05, failing
    (row,) = figures["spending"]["rows"].values()
    assert row["points"]["false promotion in a row"] >= 0.8
    assert row["spent"]["false promotion in a row"] <= 0.05
    assert row["spent"]["last champion's Dice above the truth"] < 0.01
    for found in figures["confirmed"].values():
        assert abs(found["confirmed"]) < found["search"]
