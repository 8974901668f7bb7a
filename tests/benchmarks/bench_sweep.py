"""Greedy against the full grid on the demo's phantom, and the gap between two folds of a worker.

The greedy sweep is the demo as shipped, its pruner with it. The grid then trains every fold of the
same trials, on the same fold plan. Prints one JSON object as its last line:

    folds_share     folds that greedy finished, over those of the full grid
    winner_gap      objective of the grid's best minus that of greedy's winner, five-fold means,
                    both as the grid scored them
    means           five-fold means of the grid, by trial
    idle_gap_ms     median time from a fold's end to the next start on the same slot count
    num_folds       folds in the full grid

Run with `make bench`, or `python tests/benchmarks/bench_sweep.py`.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from datetime import datetime
from pathlib import Path

import yaml

from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom
from sweep import launch
from sweep.demo import NUM_CASES, PHANTOM_SIZE_PX
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection
from sweep.ray.resources import ResourceRequest
from sweep.space import load_space
from sweep.storage.home import Home


def idle_gaps_ms(projection: Projection, num_slots: int) -> list[float]:
    """Time from each fold's end to the next start, while work was still waiting.

    With as many starts as ends, the n-th end frees the slot that the (n + slots)-th start takes.
    """
    attempts = [attempt for one in projection.trials for attempt in one.log]
    starts = sorted(datetime.fromisoformat(one.started_at) for one in attempts)
    ends = sorted(datetime.fromisoformat(one.ended_at) for one in attempts if one.ended_at)
    pairs = zip(ends, starts[num_slots:], strict=False)
    return [(start - end).total_seconds() * 1000 for end, start in pairs if start >= end]


def _greedy(folder: Path, store: Path) -> Projection:
    """The demo's sweep as it is shipped."""
    home = Home.from_environment(folder / "greedy")
    launch.run("demo", store=store, home=home, name="greedy", resources=ResourceRequest(workers=2))
    return Ledger.open(home.ledger_url, "greedy").projection


def _grid(folder: Path, store: Path, greedy: Projection) -> Projection:
    """The same trials, every fold of each."""
    tree = yaml.safe_load(load_space("demo").text)
    tree["policy"] = {"name": "standard", "num_trials": len(greedy.trials)}
    tree["pruner"] = {"name": "none"}
    tree["candidates"] = [dict(one.parameters) for one in greedy.trials[1:]]
    space = folder / "grid.yaml"
    space.write_text(yaml.safe_dump(tree, sort_keys=False))
    precision = (greedy.header.runtime or {})["precision"]
    home = Home.from_environment(folder / "grid")
    launch.run(
        str(space),
        store=store,
        home=home,
        name="grid",
        resources=ResourceRequest(workers=2),
        precision=precision,
    )
    return Ledger.open(home.ledger_url, "grid").projection


def main() -> None:
    """Run both sweeps and print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_phantom(folder / "phantom", num_cases=NUM_CASES, size=PHANTOM_SIZE_PX, seed=0)
        import_cases(files.dicom, files.rle, folder / "store")
        greedy = _greedy(folder, folder / "store")
        grid = _grid(folder, folder / "store", greedy)
    winner, best = greedy.best(), grid.best()
    assert winner is not None
    assert best is not None
    num_run = sum(len(one.folds) for one in greedy.trials)
    num_grid = sum(len(one.folds) for one in grid.trials)
    print(
        json.dumps(
            {
                "folds_share": round(num_run / num_grid, 3),
                "winner_gap": round(best.mean - grid.trials[winner.number].mean, 4),
                "winner": winner.number,
                "means": [round(one.mean, 4) for one in grid.trials],
                "idle_gap_ms": round(statistics.median(idle_gaps_ms(greedy, 2)), 1),
                "num_folds": num_grid,
            }
        )
    )


if __name__ == "__main__":
    main()
