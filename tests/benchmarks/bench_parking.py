"""Does it pay to park a trial inside a fold, instead of stopping it for good?

    python tests/benchmarks/bench_parking.py [--seeds 200]

A replay apart from the simulator, over the table with real learning curves. Every trial begins
its first fold. After 5 and 10 epochs it goes on if the mean of its last five epochs is in the best
share of those who came so far (all go on while there are fewer than eight); else it is stopped, or
parked and promoted when later arrivals make it one of the best (Li et al., A System for Massively
Parallel Hyperparameter Tuning, 2020). Whoever finished the first fold goes on to whole folds, best
mean first, until so many are complete. Prints the share of all epochs, the regret and the hits; the
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

from sweep.simulate import Table, load_table

TABLE = Path(__file__).resolve().parents[1] / "data" / "tables" / "siim_unet_k5.npz"
RUNGS, FEWEST = (5, 10), 8


class FirstFold:
    """Everybody's first fold, rung by rung."""

    def __init__(self, table: Table, fold: int, *, share: float, parks: bool) -> None:
        assert table.curves is not None
        self.share, self.parks = share, parks
        curves = table.curves[0, :, fold]
        self.ends = np.isfinite(curves).sum(axis=1)
        self.values = {end: np.nanmean(curves[:, end - 5 : end], axis=1) for end in RUNGS}
        self.epochs: dict[int, int] = {}
        self.came: dict[int, list[int]] = {end: [] for end in RUNGS}
        self.stopped: set[int] = set()

    def begin(self, one: int) -> None:
        """A trial comes to the first rung; whoever may goes on."""
        self._to(one, RUNGS[0])
        while self._promote():
            pass

    def _promote(self) -> bool:
        moved = False
        for end, after in zip(reversed(RUNGS), (math.inf, RUNGS[1]), strict=True):
            for one in list(self.came[end]):
                if self.epochs[one] != end or one in self.stopped:
                    continue
                if self._is_good(one, end):
                    self._to(one, after)
                    moved = True
                elif not self.parks:
                    self.stopped.add(one)
        return moved

    def _is_good(self, one: int, end: int) -> bool:
        came = sorted(self.came[end], key=lambda other: -self.values[end][other])
        return len(came) < FEWEST or came.index(one) < math.ceil(self.share * len(came))

    def _to(self, one: int, end: float) -> None:
        self.epochs[one] = int(min(end, self.ends[one]))
        if self.epochs[one] in RUNGS and self.epochs[one] < self.ends[one]:
            self.came[self.epochs[one]].append(one)

    def finished(self) -> list[int]:
        return [one for one, epochs in self.epochs.items() if epochs == self.ends[one]]


def replay(
    table: Table, seed: int, *, share: float, parks: bool, most: int
) -> tuple[float, float, float]:
    """Share of the epochs, regret and hit of one order of trials and folds."""
    assert table.curves is not None
    generator, scores = np.random.default_rng(seed), table.scores[0]
    epochs = np.isfinite(table.curves[0]).sum(axis=2)
    order, folds = generator.permutation(len(scores)), generator.permutation(scores.shape[1])
    first = FirstFold(table, int(folds[0]), share=share, parks=parks)
    for one in order.tolist():
        first.begin(one)
    found = {one: [scores[one, folds[0]]] for one in first.finished()}
    paid, complete = sum(first.epochs.values()), list[int]()
    while len(complete) < most and len(complete) < len(found):
        one = max(found.keys() - set(complete), key=lambda n: (np.mean(found[n]), len(found[n])))
        fold = folds[len(found[one])]
        found[one].append(scores[one, fold])
        paid += int(epochs[one, fold])
        if len(found[one]) == len(folds):
            complete.append(one)
    means = scores.mean(axis=1)
    best, chosen = means.max(), max(means[one] for one in complete)
    return paid / epochs.sum(), (best - chosen) / (best - np.median(means)), chosen == best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=200)
    num_seeds, table, rows = parser.parse_args().seeds, load_table(TABLE), []
    for share in (0.5, 0.4, 0.3):
        for most in (1, 3):
            for parks in (False, True):
                runs = [
                    replay(table, seed, share=share, parks=parks, most=most)
                    for seed in range(num_seeds)
                ]
                cost, regret, hit = np.mean(np.array(runs, float), axis=0).round(4).tolist()
                print(
                    f"keeps {share}, {'parks' if parks else 'stops'}, {most} complete: "
                    f"{cost:.3f} {regret:.3f} {hit:.2f}"
                )
                rows.append(
                    {"share": share, "parks": parks, "num_completions": most}
                    | {"cost_epochs": cost, "regret": regret, "hit": hit}
                )
    print(json.dumps({"num_seeds": num_seeds, "rows": rows}))


if __name__ == "__main__":
    main()
