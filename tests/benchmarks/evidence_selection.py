"""How often does a sweep of equal trials claim something better than its default?

    python tests/benchmarks/evidence_selection.py [--sweeps 2000]

Prints, for 8, 40 and 200 trials, the share of null sweeps in which `standing` says "better"
(at most 2.5% are expected, the half of 5% on the better side), beside the share in which the same
winner's interval would leave out 0 if it were the only trial, as reports had it before; then the
share in which one trial that is truly better by a gain wins and is called so. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from null_sweeps import LUCK_SD, null_sweep

from sweep.analysis.standing import Outcome, compare_folds, standing
from sweep.ledger.projection import Projection

SIZES = (8, 40, 200)
POLICIES = ("greedy", "standard")
GAINS = (1, 2, 5, 10)  # in SD of a trial's luck on a fold


def is_claimed(projection: Projection) -> bool:
    """Whether every view would say that the winner is better than the default."""
    return standing(projection).outcome is Outcome.BETTER


def is_claimed_as_single(projection: Projection) -> bool:
    """The same of the raw paired interval."""
    best, default = projection.best(), projection.trials[0]
    if best is None or best is default or default.state != "complete":
        return False
    mine, theirs = ({fold: one.folds[fold].score for fold in one.folds} for one in (best, default))
    found = compare_folds(mine, theirs, test_train_ratio=0.25, num_compared=1)
    return found is not None and found.low > 0


def selection_figures(num_sweeps: int) -> dict[str, float]:
    """Share of sweeps that claim a better trial, by policy and size; printed as tables.

    Args:
        num_sweeps: Sweeps of equal trials; a tenth of them with one better trial.
    """
    found: dict[str, float] = {}
    print(f"\n{num_sweeps} sweeps of equal trials, 5 folds; share that claims a better trial")
    print(f"{'policy':10}{'trials':>8}{'corrected':>12}{'as if single':>14}")
    for policy in POLICIES:
        for size in SIZES:
            rng = np.random.default_rng(size)
            corrected = raw = 0
            for _ in range(num_sweeps):
                one = null_sweep(size, rng, policy=policy)
                corrected += is_claimed(one)
                raw += is_claimed_as_single(one)
            share, single = corrected / num_sweeps, raw / num_sweeps
            print(f"{policy:10}{size:8}{share:12.2%}{single:14.2%}")
            found |= {f"{policy}_{size}": share, f"{policy}_{size}_single": single}
    print(f"\none trial truly better by so many SD ({LUCK_SD} each) of a fold's luck, greedy")
    print(f"{'trials':>8}" + "".join(f"{gain:>9} SD" for gain in GAINS))
    for size in SIZES:
        shares = []
        for gain in GAINS:
            rng = np.random.default_rng(size)
            part = max(1, num_sweeps // 10)
            sweeps = (null_sweep(size, rng, gain=gain * LUCK_SD) for _ in range(part))
            shares.append(sum(map(is_claimed, sweeps)) / part)
            found[f"power_{size}_{gain}"] = shares[-1]
        print(f"{size:8}" + "".join(f"{share:12.0%}" for share in shares))
    return found


def main() -> None:
    """Print both tables, and their figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=2000)
    print(json.dumps(selection_figures(parser.parse_args().sweeps)))


if __name__ == "__main__":
    main()
