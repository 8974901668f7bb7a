"""Fold policies side by side over tables: `make bench-policies TABLES=folder [SEEDS=5]`.

    python tests/benchmarks/bench_policies.py [FOLDER] [SEEDS] [WORKERS] [OPTIONS]

Prints cost (and its share of the epochs), regret, regret on fresh partitions and hits, means over
tables and seeds, for every number of folds apart; how far our policy is from the exhaustive search
on fresh partitions, paired over tables and seeds, with a 95% interval over tables; and which goals
it misses; beside them Optuna's own pruners in plain Optuna. Where tables have three partitions,
also the search over two of them; over the tables with curves, of the folder and of the tests, also
what `bench_epochs` says. The last line is one JSON object. Five seeds of the twelve tables of 200
and twenty with curves take about a quarter of an hour on two processors.
"""

from __future__ import annotations

import argparse
import json
from argparse import RawTextHelpFormatter
from collections import defaultdict
from pathlib import Path
from typing import Any

import bench_epochs
import numpy as np
from optuna_peers import bench_peers

from sweep.simulate import Cluster, Outcome, Table, load_table, mean_outcome, parse_arm, replay_all

CURVES = Path(__file__).resolve().parent.parent / "data" / "curves"
DEFAULT_TABLES = Path(__file__).resolve().parent.parent / "data" / "tables"
POLICIES = (
    "default",
    "expected_improvement",
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
    10: {"cost": 0.20, "regret": 0.020, "hit": 0.85},
}
#: No table may cost more at a regret of at most the second.
MOST_COST, AT_REGRET = 0.5, 0.01


def bench(tables: list[Table], num_seeds: int, num_workers: int) -> dict[str, Any]:
    cluster = Cluster(num_workers=num_workers)
    fresh: dict[str, list[float]] = {}
    means: dict[str, Any] = {}
    print(
        f"{'policy':25} {'cost':>6} {'epochs':>6} {'regret':>7} {'hit':>5} {'fresh':>7} {'idle':>5}"
    )
    arms = [parse_arm(name) for name in POLICIES]
    if min(table.num_partitions for table in tables) >= 3:
        arms += map(parse_arm, OVER_TWO)
    for arm, results in zip(arms, replay_all(tables, arms, cluster, range(num_seeds)), strict=True):
        name = arm.label
        found = [result.outcome for result in results]
        fresh[name] = [one.regret_fresh for one in found]
        _show(name, mean_outcome(found), means)
        if name == "default":
            means["default by table"] = {
                table.name: [round(one.cost, 3), round(one.regret, 4), round(one.hit, 3)]
                for table, one in zip(tables, found, strict=True)
            }
    for name, mean in bench_peers(tables, num_seeds).items():
        _show(f"optuna {name}", mean, means)
    _say_goals(tables, fresh, means)
    return means


def _show(name: str, mean: Outcome, means: dict[str, Any]) -> None:
    shown = ("cost", "cost_epochs", "cost_seconds", "regret", "hit", "regret_fresh",
             "makespan_seconds", "idle")  # fmt: skip
    # A table with one partition has no fresh one.
    values = {key: getattr(mean, key) for key in shown}
    means[name] = {key: round(value, 4) for key, value in values.items() if value == value}
    print(
        f"{name:25} {mean.cost:6.3f} {mean.cost_epochs:6.3f} {mean.regret:7.4f} "
        f"{mean.hit:5.2f} {mean.regret_fresh:7.4f} {mean.idle:5.2f}",
        flush=True,
    )


def _say_goals(tables: list[Table], fresh: dict[str, list[float]], means: dict[str, Any]) -> None:
    gaps = np.array(fresh["default"]) - np.array(fresh["standard"])
    gaps = gaps[~np.isnan(gaps)]
    if len(gaps) > 1:
        width = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps))
        print(f"default - standard, fresh: {gaps.mean():+.4f} +- {width:.4f}, {len(gaps)} tables")
    for key, goal in GOALS.get(tables[0].num_folds, {}).items():
        found = means["default"][key]
        if found < goal if key == "hit" else found > goal:
            print(f"missed: {key} {found:.4f}, goal {goal}")
    for name, (cost, regret, _) in means["default by table"].items():
        if cost > MOST_COST and regret <= AT_REGRET:
            print(f"missed: {name} costs {cost:.3f} at a regret of {regret:.4f}, goal {MOST_COST}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_TABLES)
    parser.add_argument("seeds", nargs="?", type=int, default=3)
    parser.add_argument("workers", nargs="?", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="without the tests' tables")
    parser.add_argument("--curves", action="store_true", help="those with curves alone")
    parser.add_argument("--only", type=int, help="of so many configurations of those with curves")
    given = parser.parse_args()
    paths = sorted(given.folder.glob("*.npz"))
    if not given.alone:
        paths += sorted(CURVES.glob("*.npz"))
        if given.folder.resolve() != DEFAULT_TABLES:
            paths.append(DEFAULT_TABLES / "siim_unet_k5.npz")
    num_seeds, num_workers = given.seeds, given.workers
    by_folds: dict[int, list[Table]] = defaultdict(list)
    curved: list[Table] = []
    seen: set[bytes] = set()  # a table that is judged twice would choose for itself
    for path in paths:
        with np.load(path) as arrays:
            is_table = "scores" in arrays.files
        if is_table:
            table = load_table(path)
            if (content := table.scores.tobytes()) in seen:
                print(f"{path}: has the scores of another table, left out")
                continue
            seen.add(content)
            if table.curves is not None:
                curved.append(bench_epochs.some(table, given.only) if given.only else table)
            elif not given.curves:
                by_folds[table.num_folds].append(table)
    results: dict[str, Any] = {}
    epochs = bench_epochs.bench(curved, num_seeds, num_workers) if len(curved) > 1 else None
    for num_folds, tables in sorted(by_folds.items()):
        print(f"k = {num_folds}, {len(tables)} tables, {num_seeds} seeds, {num_workers} workers")
        results[str(num_folds)] = bench(tables, num_seeds, num_workers)
    told = {"num_seeds": num_seeds, "num_workers": num_workers, "only": given.only}
    goals = {"by_folds": GOALS, "most_cost": MOST_COST, "at_regret": AT_REGRET}
    print(json.dumps({**told, "goals": goals, "by_folds": results, "epochs": epochs}))


if __name__ == "__main__":
    main()
