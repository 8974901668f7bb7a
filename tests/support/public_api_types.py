"""Read by mypy and never run: what type checkers know of `from sweep import ...`."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from sweep import Home, compare, load_sweep, predict, promote, resume, run
from sweep.analysis.compare import Comparison
from sweep.analysis.summary import SweepSummary
from sweep.ledger import Projection
from sweep.promotion.promote import Promotion
from sweep.segment import Prediction


def check(home: Home) -> None:
    """An ignore that is not needed is an error too."""
    assert_type(home, Home)
    assert_type(run("demo", store="store", home=home), SweepSummary)
    assert_type(resume("demo", home=home), SweepSummary)
    assert_type(load_sweep(home, "demo").projection, Projection)
    assert_type(compare(load_sweep("home", "demo").projection), Comparison)
    assert_type(promote(home, "demo"), Promotion)
    files = [Path("image.dcm")]
    assert_type(predict(home, "models:/demo@champion", files, Path("out")), list[Prediction])
    run("demo", store=3, home=home)  # type: ignore[arg-type]
