"""Ray Tune alone with the trainable of `sleeping_sweep.py`: what no platform on it can save.

Each fold is a trial of Tune's: no ledger, no MLflow, no policy, first come, first served, actors
reused. `python tests/benchmarks/sleeping_tune.py FOLDER FOLDS WORKERS` prints one JSON object as
its last line; `bench_load.py` starts it and compares.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# First: it sets what Ray reads when it is imported.
from sweep.ray.cluster import ray_cluster  # isort: skip
from ray import tune
from sleeper import FOLD_SECONDS, NUM_EPOCHS, Sleeper
from sleeping_sweep import shipped_space

from sweep.ray.resources import ResourceRequest
from sweep.records import Assignment


def run(folder: Path, num_folds: int, num_workers: int) -> dict[str, Any]:
    """Sleep through all folds; figures of time."""
    space = shipped_space(num_folds)
    settings = space.complete(space.defaults())
    given = [
        Assignment(
            trial=number // space.num_folds,
            fold=number % space.num_folds,
            attempt=1,
            settings=settings,
        )
        for number in range(num_folds)
    ]
    with ray_cluster(ResourceRequest(gpus=0, workers=num_workers)):
        tuner = tune.Tuner(
            tune.with_resources(Sleeper, {"cpu": 1}),
            param_space={"assignment": tune.grid_search(given)},
            tune_config=tune.TuneConfig(max_concurrent_trials=num_workers, reuse_actors=True),
            run_config=tune.RunConfig(
                name="run",
                storage_path=str(folder),
                stop={"training_iteration": NUM_EPOCHS},
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        began, cpu = time.perf_counter(), time.process_time()
        found = tuner.fit()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "num_folds": num_folds,
        "num_workers": num_workers,
        "seconds": seconds,
        "driver_cpu_seconds": cpu,
        "overhead_ms": 1000 * (seconds * num_workers / num_folds - FOLD_SECONDS),
        "complete": len(found) == num_folds and not found.errors,
    }


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # workers import the formula
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
