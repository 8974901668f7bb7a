"""Fewest epochs for the same winner: the part of `bench_policies` over tables with learning curves.

Every policy with every pruner that looks at epochs, first waves of several schedules, and of each
group the one that the other tables would have taken (`leave_one_out`), which is the figure to
quote; beside them Optuna's own pruners in plain Optuna. Costs are shares of all epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna_peers import bench_peers

from sweep.pruners import pruner_spec
from sweep.simulate import (
    Arm,
    Cluster,
    ReplayResult,
    Table,
    leave_one_out,
    mean_outcome,
    parse_arm,
    replay_all,
)

#: What the goals are measured against.
BEFORE = "default same_epoch"
#: The largest share of its epochs, at a regret that is no higher.
GOAL = 0.67

PRUNERS = {
    "same_epoch": pruner_spec("same_epoch", {}),
    "successive_halving": pruner_spec("successive_halving", {"min_resource": 2}),
    "hyperband": pruner_spec("hyperband", {"min_resource": 2, "max_resource": 12}),
    "wilcoxon": pruner_spec("wilcoxon", {}),
}
PEERS = ("default", "greedy:3", "greedy:10", "halving")
#: Epochs of the looks, and the shares that go on.
SCHEDULES = (
    ((2, 5), (0.5, 0.2)),
    ((2, 8), (0.5, 0.2)),
    ((1, 4), (0.5, 0.2)),
    ((2, 5), (0.5, 0.25)),
    ((2, 5), (0.4, 0.15)),
    ((2,), (0.25,)),
    ((3,), (0.2,)),
    ((3,), (0.25,)),
)


def arms() -> list[tuple[str, Arm]]:
    """By label; the first wave is the one that ships."""
    found = [(name, parse_arm(name)) for name in PEERS]
    found.append((BEFORE, parse_arm("default", pruner=PRUNERS["same_epoch"])))
    for pruner, spec in PRUNERS.items():
        found.append((f"greedy:3 {pruner}", parse_arm("greedy:3", pruner=spec)))
    for epochs, keep in SCHEDULES:
        wave = parse_arm("wave")
        settings: dict[str, Any] = {**wave.settings, "epochs": epochs, "keep": keep}
        label = f"wave {','.join(map(str, epochs))}/{','.join(map(str, keep))}"
        arm = Arm(label=label, policy="wave", settings=settings, min_gain=wave.min_gain)
        found.append((label, arm))
    return found


def bench(tables: Sequence[Table], num_seeds: int, num_workers: int) -> dict[str, Any]:
    """Print the figures, and return them."""
    known = arms()
    cluster = Cluster(num_workers=num_workers)
    by_arm = replay_all(tables, [arm for _, arm in known], cluster, range(num_seeds))
    results = dict(zip((label for label, _ in known), by_arm, strict=True))
    for group in ("wave", "greedy", "default"):
        members = [label for label in results if label.startswith(group)]
        chosen = leave_one_out([results[label] for label in members])
        results[f"{group}, left out"] = [
            results[members[arm]][place] for place, arm in enumerate(chosen)
        ]
    print(f"{'policy and pruner':28} {'epochs':>6} {'regret':>7} {'hit':>5}  most on a table")
    means = {}
    for label, found in results.items():
        mean = mean_outcome([one.outcome for one in found])
        most = max(one.outcome.cost_epochs for one in found)
        means[label] = {
            "cost_epochs": round(mean.cost_epochs, 4),
            "regret": round(mean.regret, 4),
            "hit": round(mean.hit, 4),
            "most_epochs": round(most, 4),
        }
        print(f"{label:28} {mean.cost_epochs:6.3f} {mean.regret:7.4f} {mean.hit:5.2f} {most:6.3f}")
    for name, mean in bench_peers(tables, num_seeds).items():
        means[f"optuna {name}"] = {
            key: round(getattr(mean, key), 4) for key in ("cost_epochs", "regret", "hit")
        }
        label = f"optuna {name}"
        print(f"{label:28} {mean.cost_epochs:6.3f} {mean.regret:7.4f} {mean.hit:5.2f}")
    against = paired(results["wave, left out"], results[BEFORE])
    print(
        f"wave, left out / {BEFORE}: {against['epochs_ratio']} of the epochs (goal {GOAL}), "
        f"regret {against['regret_more']:+} +- {against['regret_more_width']}"
    )
    return {
        "tables": [table.name for table in tables],
        "goal_ratio": GOAL,
        **against,
        "policies": means,
        "by_table": {
            label: [
                [round(one.outcome.cost_epochs, 3), round(one.outcome.regret, 3)]
                for one in results[label]
            ]
            for label in ("wave, left out", BEFORE)
        },
    }


def paired(found: Sequence[ReplayResult], other: Sequence[ReplayResult]) -> dict[str, float | None]:
    """Ratio of epochs, and difference of regrets with its 95% interval over two tables or more."""
    costs = [np.mean([one.outcome.cost_epochs for one in results]) for results in (found, other)]
    gaps = np.array(
        [a.outcome.regret - b.outcome.regret for a, b in zip(found, other, strict=True)]
    )
    width = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else None
    return {
        "epochs_ratio": round(float(costs[0] / costs[1]), 4),
        "regret_more": round(float(gaps.mean()), 4),
        "regret_more_width": None if width is None else round(float(width), 4),
    }
