"""Does the order of folds matter? Easy folds first, hard ones first, or any order.

    python tests/benchmarks/bench_orders.py [TABLE ...] [--seeds 8]

A table is one that `ptxsweep simulate` reads, or an archive of several data sets with `dice` and
`hours` [data sets, methods, folds]; methods without all folds are left out. A fold is easy where
the mean score over configurations is high. Prints the mean cost of each policy over tables and
seeds in each order, and the largest over the smallest; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from sweep.simulate import Cluster, ReplayOrder, Table, load_table, parse_arm, replay, replay_order

POLICIES = ("default", "greedy:1", "greedy:3", "halving", "intensify")
DEFAULT_TABLES = sorted((Path(__file__).resolve().parents[1] / "data" / "tables").glob("sk_*.npz"))
ORDERS = ("easy", "hard", "any")


def read(path: Path) -> list[Table]:
    with np.load(path) as arrays:
        if "dice" not in arrays.files:
            return [load_table(path)]
        dice, hours, names = arrays["dice"], arrays["hours"], arrays["datasets"]
    tables = []
    for name, scores, times in zip(names.tolist(), dice, hours, strict=True):
        whole = np.isfinite(scores).all(axis=1) & np.isfinite(times).all(axis=1)
        table = Table(
            name=str(name),
            scores=scores[None, whole].astype(np.float64),
            seconds=3600 * times[None, whole].astype(np.float64),
            curves=None,
            params=({},) * int(whole.sum()),
        )
        tables.append(table)
    return tables


def ordered(table: Table, order: str, seed: int) -> ReplayOrder:
    """The layout of a seed with its folds in another order."""
    layout = replay_order(table, seed)
    if order == "any":
        return layout
    means = table.scores.mean(axis=1)
    folds = sorted(layout.folds, key=lambda place: means[place], reverse=order == "easy")
    return dataclasses.replace(layout, folds=tuple(folds))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    tables = [table for path in arguments.tables or DEFAULT_TABLES for table in read(path)]
    found = {}
    print(f"{'policy':12}" + "".join(f" {order:>6}" for order in ORDERS) + "  ratio")
    for name in POLICIES:
        costs = {}
        for order in ORDERS:
            runs = [
                replay(table, parse_arm(name), Cluster(), seed, ordered(table, order, seed))[
                    1
                ].num_folds
                / (table.num_trials * table.num_folds)
                for table in tables
                for seed in range(arguments.seeds)
            ]
            costs[order] = round(float(np.mean(runs)), 4)
        ratio = round(max(costs.values()) / min(costs.values()), 3)
        found[name] = {**costs, "ratio": ratio}
        print(f"{name:12}" + "".join(f" {costs[o]:6.3f}" for o in ORDERS) + f" {ratio:6.2f}")
    print(json.dumps({"num_tables": len(tables), "num_seeds": arguments.seeds, "cost": found}))


if __name__ == "__main__":
    main()
