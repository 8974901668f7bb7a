"""What policies cost in replays, for a forecast: `measured.json`, of docs/results/policies.md.

Shares are of all folds (of all epochs with a pruner, or for `wave`), means over tables and seeds,
one worker, random order.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from sweep.policies._spec import PolicySpec


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A policy with its pruner on tables of one size.

    Attributes:
        policy: Name.
        pruner: Name; `none` without.
        end: What ended it: complete trials, or the gain that no fold promised any more.
        num_trials: Configurations of a table.
        num_folds: Folds of a trial.
        num_tables: Tables.
        num_looks: Looks of a wave at the first fold; 0 without.
        looks: Where in the fold they lay, in words; empty without.
        cost: Share of the full grid, in [0, 1].
        regret: (best - chosen) / (best - median), at least 0.
        hit: Share of replays in which the best was chosen.
    """

    policy: str
    pruner: str
    end: str
    num_trials: int
    num_folds: int
    num_tables: int
    cost: float
    regret: float
    hit: float
    num_looks: int = 0
    looks: str = ""


@lru_cache(maxsize=1)
def _all() -> tuple[Measured, ...]:
    text = files("sweep.policies").joinpath("measured.json").read_text(encoding="utf-8")
    return tuple(Measured(**row) for row in json.loads(text))


def measured_like(spec: PolicySpec, pruner: str, num_folds: int) -> Measured | None:
    """Figures of the same policy and pruner on tables of the nearest size.

    Where several ends were measured, the same one, else the nearest number of complete trials; of
    waves the one with the nearest number of looks.

    Args:
        spec: Policy of a search space.
        pruner: Name of its pruner.
        num_folds: Folds of a complete trial.

    Returns:
        None where the two were never measured together.
    """
    known = [one for one in _all() if (one.policy, one.pruner) == (spec.name, pruner)]

    def distance(one: Measured) -> tuple[int, float, bool, float]:
        size = abs(math.log(one.num_trials / spec.num_trials))
        size += abs(math.log(one.num_folds / num_folds))
        number = one.end.partition(" complete")[0]
        wanted = spec.num_completions or spec.num_trials
        end = abs(math.log(int(number) / wanted)) if number.isdecimal() else 0.0
        looks = abs(one.num_looks - len(spec.looks()))
        return looks, size, one.end != str(spec.min_gain), end

    return min(known, key=distance, default=None)
