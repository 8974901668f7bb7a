"""The platform under load: 100 and 500 trials x 5 folds whose training only sleeps.

Each sweep runs in a process of its own (`sleeping_sweep.py`). Prints its figures on standard error
and one JSON object as its last line on standard output, and ends with exit code 1 where a goal is
missed:

    complete            whether ledger and MLflow hold every trial, fold and epoch, each once
    peak_gib            largest resident memory of the driver, at the most trials (goal < 1.5)
    overhead_ms         per fold, besides the sleep: slots x time / folds - sleep (goal < 50)
    overhead_growth     overhead per fold at the most trials over that at the fewest; 1 is linear
    time_growth         time of the most trials over that of the fewest, over their ratio; likewise
                        (goal of both: at most 1.2)
    over_tune           overhead per fold at the most trials over that of Ray Tune alone with the
                        same trainable, `sleeping_tune.py` (goal <= 1.3); start and end, which
                        `bench_speed.py` measures, count least there
    over_tune_fewest    likewise at the fewest, where they count most
    cpu_over_tune       CPU of the driver at the most trials likewise, which other work on the
                        machine changes less
    memory_growth       peak memory at the most trials over that at the fewest
    speedup             time with one worker over time with two, at the fewest trials (goal >= 1.8)

Run with `make bench-load`, or `python tests/benchmarks/bench_load.py [TRIALS TRIALS]`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TRIALS = (100, 500)
_HERE = Path(__file__).resolve().parent


def sweep(num_trials: int, num_workers: int) -> dict[str, Any]:
    """Figures of one sweep."""
    return _figures("sleeping_sweep.py", num_trials, num_workers)


def tune_alone(num_folds: int, num_workers: int) -> dict[str, Any]:
    """Figures of as many folds without the platform."""
    return _figures("sleeping_tune.py", num_folds, num_workers)


def _figures(script: str, number: int, num_workers: int) -> dict[str, Any]:
    ours = [str(_HERE.parent / "support"), str(_HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                sys.executable,
                str(_HERE / script),
                folder,
                str(number),
                str(num_workers),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, ours))},
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def missed(figures: Mapping[str, Any]) -> list[str]:
    """The goals that figures miss, with what was found; what is not a number misses."""
    met = {
        "complete": figures["complete"] is True,
        "peak_gib < 1.5": figures["peak_gib"] < 1.5,
        "overhead_ms < 50": figures["overhead_ms"] < 50,
        "over_tune <= 1.3": figures["over_tune"] <= 1.3,
        "overhead_growth <= 1.2": figures["overhead_growth"] <= 1.2,
        "time_growth <= 1.2": figures["time_growth"] <= 1.2,
        "speedup >= 1.8": figures["speedup"] >= 1.8,
    }
    return [f"{goal}, found {figures[goal.split()[0]]}" for goal in met if not met[goal]]


def main() -> int:
    """Run the sweeps and print the ratios."""
    counts = tuple(map(int, sys.argv[1:])) or TRIALS
    fewest, most = sweep(min(counts), 2), sweep(max(counts), 2)
    one = sweep(min(counts), 1)
    alone_fewest, alone = (tune_alone(found["num_folds"], 2) for found in (fewest, most))
    ratio = most["num_folds"] / fewest["num_folds"]
    figures = {
        "complete": all(
            found[f"{kind}_complete"]
            for found in (fewest, most, one)
            for kind in ("ledger", "reopened", "mlflow")
        ),
        "peak_gib": round(most["driver_peak_mib"] / 1024, 3),
        "overhead_ms": round(most["overhead_ms"], 1),
        "over_tune": round(most["overhead_ms"] / alone["overhead_ms"], 2),
        "over_tune_fewest": round(fewest["overhead_ms"] / alone_fewest["overhead_ms"], 2),
        "cpu_over_tune": round(most["driver_cpu_seconds"] / alone["driver_cpu_seconds"], 2),
        "overhead_growth": round(most["overhead_ms"] / fewest["overhead_ms"], 2),
        "time_growth": round(most["seconds"] / fewest["seconds"] / ratio, 3),
        "memory_growth": round(most["driver_peak_mib"] / fewest["driver_peak_mib"], 2),
        "speedup": round(one["seconds"] / fewest["seconds"], 2),
    }
    for goal in missed(figures):
        print(f"missed: {goal}", file=sys.stderr, flush=True)
    print(json.dumps(figures))
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
