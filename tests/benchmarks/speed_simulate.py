"""What `ptxsweep simulate` costs: the model policy to a gain of 0.25 on one table, 20 seeds.

The model of the policy is of matrices of 100 to 400 rows, on which a linear algebra library that
runs all cores gains nothing; and seeds are spread over processes.

    simulate_cpu        CPU over that of the earlier build with one thread (goal: at most 1.1)
    simulate_cpu_over_before    over that of the earlier build as it ran
    simulate_wall       time over that of the earlier build as it ran (at most 1/15 on two cores
                        that do nothing else)
    simulate_same       1 where the earlier build gives the same outcomes, digit by digit; a policy
                        that was changed since gives others

This build must give the same outcomes with one process and thread, else the part fails.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from two_builds import cpu_seconds

if TYPE_CHECKING:
    from bench_speed import Builds

GOALS = {"simulate_cpu": 1.1, "simulate_wall": 1 / 15}
NUM_SEEDS = 20
SMALLEST = {"NUM_SEEDS": 2}
TABLE = Path("tests", "data", "tables", "sk_wine_svm_k5.npz")

_COMMAND = """
import os, sys
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
from sweep.cli import main
sys.exit(main(sys.argv[2:]))
"""


def measure(builds: Builds) -> dict[str, float]:
    """The earlier build as it ran and with one thread, and this one likewise."""
    table = str(builds.now / TABLE)
    words = ("simulate", table, "--policy", "default:0.25", "--seeds", str(NUM_SEEDS), "--json")
    texts: dict[str, str] = {}

    def run(name: str, build: Path, threads: str | None) -> tuple[float, float]:
        """CPU and time."""
        file, given = builds.scratch / f"{name}.json", os.environ.get("OPENBLAS_NUM_THREADS")
        os.environ.pop("OPENBLAS_NUM_THREADS", None)
        if threads is not None:
            os.environ["OPENBLAS_NUM_THREADS"] = threads
        try:
            begun = time.perf_counter()
            cpu = cpu_seconds(build, _COMMAND, file, *words, threads=0)
            spent = time.perf_counter() - begun
        finally:
            os.environ.pop("OPENBLAS_NUM_THREADS", None)
            if given is not None:
                os.environ["OPENBLAS_NUM_THREADS"] = given
        texts[name] = file.read_text(encoding="utf-8")
        print(json.dumps({name: [cpu, spent]}), file=sys.stderr, flush=True)
        return cpu, spent

    before_one, _ = run("before_one_thread", builds.before, "1")
    now, now_wall = run("now", builds.now, None)
    now_one, _ = run("now_one_thread", builds.now, "1")
    before, before_wall = run("before", builds.before, None)
    if texts["now"] != texts["now_one_thread"]:
        raise RuntimeError("simulate: another number of threads gives other outcomes")
    return {
        "simulate_seconds_before": before,
        "simulate_seconds_before_one_thread": before_one,
        "simulate_seconds": now,
        "simulate_seconds_one_thread": now_one,
        "simulate_cpu": now / before_one,
        "simulate_cpu_over_before": now / before,
        "simulate_wall": now_wall / before_wall,
        "simulate_same": float(texts["now"] == texts["before"]),
    }
