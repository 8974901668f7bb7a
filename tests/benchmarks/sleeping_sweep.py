"""One sweep whose trainable only sleeps: what is left is the platform. A process of its own.

Ray, the SQLite ledger, the MLflow store, sampler, controller and feed are the real ones, wired
as `sweep.launch` wires them; every fold sleeps for the same time and reports curves and scores of
the usual size. `python tests/benchmarks/sleeping_sweep.py FOLDER TRIALS WORKERS` prints one JSON
object as its last line; `bench_load.py` starts it and compares.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from sleeper import FOLD_SECONDS, NUM_EPOCHS, Sleeper
from synthetic_sweeps import make_header

from sweep import launch
from sweep.analysis.summary import summarise
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection
from sweep.mlflow.feed import MlflowFeed
from sweep.policies import make_policy
from sweep.ray.cluster import ray_cluster
from sweep.ray.resources import ResourceRequest, Resources
from sweep.ray.run import Interrupt, drive
from sweep.ray.trainable import Job
from sweep.records import State
from sweep.search.budget import Budget
from sweep.search.controller import Controller
from sweep.search.stop_rules import make_stop_rule
from sweep.space import SearchSpace, parse_space
from sweep.space.overrides import Overrides, effective_space
from sweep.storage.home import Home

NAME = "load"


def shipped_space(num_trials: int) -> SearchSpace:
    """The shipped space and its sampler, with all folds of every trial."""
    tree = effective_space("attention_unet", Overrides(num_trials=num_trials)).tree()
    tree["policy"] = {"name": "standard", "num_trials": num_trials}
    tree["pruner"] = {"name": "none"}
    return parse_space(json.dumps(tree), "load.json")  # JSON is YAML


def run(folder: Path, num_trials: int, num_workers: int) -> dict[str, Any]:
    """Drive the whole sweep; figures of time, memory and completeness."""
    space = shipped_space(num_trials)
    home = Home.from_environment(
        folder,
        ledger=f"sqlite:///{folder / 'ledger.db'}",
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        storage=folder / "sweeps",
    )
    Ledger.create(home.ledger_url, NAME, header=make_header(space, seed=0)).close()
    with ray_cluster(ResourceRequest(gpus=0, workers=num_workers)) as resources:
        began, cpu = time.perf_counter(), time.process_time()
        ledger = _drive(home, space, resources)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    num_folds = num_trials * space.num_folds
    return {
        "num_trials": num_trials,
        "num_folds": num_folds,
        "num_workers": num_workers,
        "seconds": seconds,
        "driver_cpu_seconds": cpu,
        "overhead_ms": 1000 * (seconds * num_workers / num_folds - FOLD_SECONDS),
        "driver_peak_mib": _peak_mib(),
        "ledger_complete": _is_complete(ledger.projection, num_trials),
        "reopened_complete": _is_complete(
            Ledger.open(home.ledger_url, NAME).projection, num_trials
        ),
        "mlflow_complete": _mlflow_is_complete(folder / "mlflow.db", num_trials, num_folds),
    }


def _drive(home: Home, space: SearchSpace, resources: Resources) -> Ledger:
    """As `sweep.launch` does, without a case store."""
    ledger = Ledger.open(home.ledger_url, NAME)
    ledger.acquire("bench", ttl_seconds=launch.LEASE_SECONDS)
    spec = space.policy
    controller = Controller(
        ledger,
        space,
        make_policy(spec.name, spec.settings(), space.num_folds),
        make_stop_rule(spec.num_trials, spec.num_completions, space.num_folds),
        seed=0,
    )
    folder, interrupt = home.sweep_folder(NAME), Interrupt()
    folder.mkdir(parents=True)
    feed = MlflowFeed(home, ledger)
    limit = launch._limit(Budget(), ledger, resources)
    with feed.running():
        drive(
            controller,
            _job(folder),
            resources,
            folder=folder,
            interrupt=interrupt,
            on_poll=launch._poller(
                ledger, controller, feed, limit, interrupt, lambda projection: None
            ),
            trainable=Sleeper,
        )
        controller.close("the sweep was not over")
        feed.finish()
    ledger.release()
    summarise(ledger)
    return ledger


def _job(folder: Path) -> Job:
    return Job(
        store="", data_hash="", plan="", plan_digest="", folder=str(folder), seed=0,
        metric="average_precision", maximize=True, runtime={}, version="",
    )  # fmt: skip


def _is_complete(projection: Projection, num_trials: int) -> bool:
    """Whether every trial ended with every fold, each trained once."""
    return (
        projection.sweep_state == "finished"
        and len(projection.trials) == num_trials
        and all(
            one.state is State.COMPLETE
            and sorted(one.folds) == list(range(projection.num_folds))
            and set(one.attempts.values()) == {1}
            and all(len(epochs) == NUM_EPOCHS for epochs in one.epochs.values())
            for one in projection.trials
        )
    )


def _mlflow_is_complete(file: Path, num_trials: int, num_folds: int) -> bool:
    """Whether MLflow has a finished run per trial and one for the sweep, and every fold's score."""
    with contextlib.closing(sqlite3.connect(file)) as store:
        statuses = store.execute("SELECT status, COUNT(*) FROM runs GROUP BY status").fetchall()
        scores = store.execute("SELECT COUNT(*) FROM metrics WHERE key LIKE 'score/fold-%'")
        return statuses == [("FINISHED", num_trials + 1)] and scores.fetchone() == (num_folds,)


def _peak_mib() -> float:
    """Largest resident memory of this process so far, in MiB.

    From /proc, since `getrusage` starts with the peak of whoever started the process.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # workers import the formula
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
