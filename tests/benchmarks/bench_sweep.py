"""Greedy against the full grid on the demo's phantom, and the gap between two folds of a worker.

Both sweeps see the same configurations (random proposals depend on seed and number alone) and the
same folds. Prints one JSON object as its last line:

    folds_share     folds that greedy ran, over those of the full grid
    winner_gap      objective of the grid's best minus that of greedy's winner, five-fold means
    idle_gap_ms     median time from a fold's end to the next start on the same slot count
    num_folds       folds in the full grid

Run with `make bench`, or `python tests/benchmarks/bench_sweep.py [NUM_TRIALS]`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import yaml

from ptxcore.data.importing import import_cases
from ptxcore.data.phantom import write_phantom
from sweep import launch
from sweep.demo import NUM_CASES, PHANTOM_SIZE_PX
from sweep.home import Home
from sweep.ledger import Ledger
from sweep.projection import Projection
from sweep.ray_run import Resources
from sweep.space import load_space


def idle_gaps_ms(projection: Projection, num_slots: int) -> list[float]:
    """Time from each fold's end to the next start, while work was still waiting.

    With as many starts as ends, the n-th end frees the slot that the (n + slots)-th start takes.
    """
    attempts = [attempt for one in projection.candidates for attempt in one.log]
    starts = sorted(datetime.fromisoformat(one.started_at) for one in attempts)
    ends = sorted(datetime.fromisoformat(one.ended_at) for one in attempts if one.ended_at)
    pairs = zip(ends, starts[num_slots:], strict=False)
    return [(start - end).total_seconds() * 1000 for end, start in pairs if start >= end]


def _sweep(folder: Path, store: Path, policy: str, num_trials: int) -> Projection:
    tree = yaml.safe_load(load_space("demo").text)
    tree["policy"] = {**tree["policy"], "name": policy, "num_trials": num_trials}
    if policy == "standard":
        tree["policy"]["num_completions"] = None
    tree["sampler"] = {"name": "random"}
    tree["pruner"] = {"name": "none"}
    space = folder / f"{policy}.yaml"
    space.write_text(yaml.safe_dump(tree, sort_keys=False))
    home = Home.at(folder / policy)
    launch.run(str(space), store=store, home=home, name=policy, resources=Resources(workers=2))
    return Ledger.open(home.ledger_url, policy).projection


def main(num_trials: int) -> None:
    """Run both sweeps and print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_phantom(folder / "phantom", num_cases=NUM_CASES, size=PHANTOM_SIZE_PX, seed=0)
        import_cases(files.dicom, files.rle, folder / "store")
        greedy = _sweep(folder, folder / "store", "greedy", num_trials)
        grid = _sweep(folder, folder / "store", "standard", num_trials)
    winner, best = greedy.best(), grid.best()
    assert winner is not None
    assert best is not None
    num_run = sum(len(one.folds) for one in greedy.candidates)
    num_grid = sum(len(one.folds) for one in grid.candidates)
    print(
        json.dumps(
            {
                "folds_share": round(num_run / num_grid, 3),
                "winner_gap": round(best.mean - grid.candidates[winner.number].mean, 4),
                "idle_gap_ms": round(statistics.median(idle_gaps_ms(greedy, 2)), 1),
                "num_folds": num_grid,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
