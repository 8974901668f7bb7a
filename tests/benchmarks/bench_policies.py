"""Fold policies side by side over tables: `make bench-policies TABLES=folder [SEEDS=20]`.

Prints cost (and its share of the epochs), regret, regret on fresh partitions and hits, means over
tables and seeds, for every number of folds apart; how far our policy is from the exhaustive search
on fresh partitions, paired over tables and seeds, with a 95% interval over tables; and which goals
it misses. Where tables have three partitions, also the search over two of them; of tables with
curves also what `bench_epochs` says. The last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import bench_epochs
import numpy as np

from sweep.simulate import Cluster, Table, load_table, mean_outcome, parse_arm, replay_all

CURVES = Path(__file__).resolve().parent.parent / "data" / "curves"
DEFAULT_TABLES = Path(__file__).resolve().parent.parent / "data" / "tables"
POLICIES = (
    "default",
    "greedy:1",
    "greedy:3",
    "greedy:10",
    "greedy:20",
    "halving",
    "greedy_halving",
    "intensify",
    "standard",
)
#: Where a third partition is left to judge by.
OVER_TWO = ("default@2", "standard@2")
#: Of `default`, by number of folds: the largest cost and regret, the smallest share of hits.
GOALS = {
    5: {"cost": 0.30, "regret": 0.012, "hit": 0.85},
    10: {"cost": 0.22, "regret": 0.030, "hit": 0.80},
}


def bench(tables: list[Table], num_seeds: int, num_workers: int) -> dict[str, dict[str, float]]:
    cluster = Cluster(num_workers=num_workers)
    fresh: dict[str, list[float]] = {}
    means: dict[str, dict[str, float]] = {}
    print(
        f"{'policy':18} {'cost':>6} {'epochs':>6} {'regret':>7} {'hit':>5} {'fresh':>7} {'idle':>5}"
    )
    arms = [parse_arm(name) for name in POLICIES]
    if min(table.num_partitions for table in tables) >= 3:
        arms += map(parse_arm, OVER_TWO)
    for arm, results in zip(arms, replay_all(tables, arms, cluster, range(num_seeds)), strict=True):
        name = arm.label
        found = [result.outcome for result in results]
        fresh[name] = [one.regret_fresh for one in found]
        mean = mean_outcome(found)
        shown = ("cost", "cost_epochs", "cost_seconds", "regret", "hit", "regret_fresh",
                 "makespan_seconds", "idle")  # fmt: skip
        # A table with one partition has no fresh one.
        values = {key: getattr(mean, key) for key in shown}
        means[name] = {key: round(value, 4) for key, value in values.items() if value == value}
        print(
            f"{name:18} {mean.cost:6.3f} {mean.cost_epochs:6.3f} {mean.regret:7.4f} "
            f"{mean.hit:5.2f} {mean.regret_fresh:7.4f} {mean.idle:5.2f}",
            flush=True,
        )
    gaps = np.array(fresh["default"]) - np.array(fresh["standard"])
    gaps = gaps[~np.isnan(gaps)]
    if len(gaps) > 1:
        width = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps))
        print(f"default - standard, fresh: {gaps.mean():+.4f} +- {width:.4f}, {len(gaps)} tables")
    for key, goal in GOALS.get(tables[0].num_folds, {}).items():
        found = means["default"][key]
        if found < goal if key == "hit" else found > goal:
            print(f"missed: {key} {found:.4f}, goal {goal}")
    return means


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_TABLES
    paths = sorted(folder.glob("*.npz"))
    if folder.resolve() == DEFAULT_TABLES:
        paths += sorted(CURVES.glob("*.npz"))
    num_seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    num_workers = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    by_folds: dict[int, list[Table]] = defaultdict(list)
    curved: list[Table] = []
    for path in paths:
        with np.load(path) as arrays:
            is_table = "scores" in arrays.files
        if is_table:
            table = load_table(path)
            (curved if table.curves is not None else by_folds[table.num_folds]).append(table)
    results: dict[str, Any] = {}
    epochs = bench_epochs.bench(curved, num_seeds, num_workers) if len(curved) > 1 else None
    for num_folds, tables in sorted(by_folds.items()):
        print(f"k = {num_folds}, {len(tables)} tables, {num_seeds} seeds, {num_workers} workers")
        results[str(num_folds)] = bench(tables, num_seeds, num_workers)
    told = {"num_seeds": num_seeds, "num_workers": num_workers}
    print(json.dumps({**told, "by_folds": results, "epochs": epochs}))


if __name__ == "__main__":
    main()
