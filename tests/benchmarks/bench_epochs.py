"""Fewest epochs for the same winner: the part of `bench_policies` over tables with learning curves.

Policies, greedy with every pruner that looks at epochs, first waves whose looks lie at the same
shares of any fold (at the nearest epoch, halves at the even one: a sixth of 15 is 2), and of each
group the one that the other tables would have taken (`leave_one_out`), which is the figure to
quote; beside them Optuna's own pruners in plain Optuna. Costs are shares of all epochs. Tables are
told by folds and epochs, and all together; what each policy costs and loses against two others is
paired over tables, with a 95% interval.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna_peers import bench_peers

from sweep.policies import MIN_GAIN
from sweep.pruners import PrunerSpec, pruner_spec
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

#: What the goal is measured against, and what `attention_unet` had before the wave.
BEFORE, GREEDY = "default same_epoch", "greedy:10 same_epoch"
#: The largest share of the epochs of `BEFORE`, at a regret that is no higher.
GOAL = 0.67
#: The wave of the space `attention_unet`.
SHIPPED = "wave 1/3: 0.35, to 0.1"

PEERS = ("default", "greedy:3", "greedy:10", "halving")
#: Looks as shares of a fold, the shares of trials that go on (None for the usual ones), and the
#: gain that ends the sweep.
LOOKS: dict[str, tuple[tuple[float, ...], tuple[float, ...] | None, float]] = {
    SHIPPED: ((1 / 3,), None, 0.1),
    "wave 1/3: 0.35": ((1 / 3,), (0.35,), MIN_GAIN),
    "wave 1/3: 0.3, to 0.1": ((1 / 3,), (0.3,), 0.1),
    "wave 1/3: 0.2": ((1 / 3,), (0.2,), MIN_GAIN),
    "wave 1/4: 0.35, to 0.1": ((1 / 4,), (0.35,), 0.1),
    "wave 1/4: 0.35": ((1 / 4,), (0.35,), MIN_GAIN),
    "wave 1/4: 0.25": ((1 / 4,), (0.25,), MIN_GAIN),
    "wave 1/6: 0.5": ((1 / 6,), (0.5,), MIN_GAIN),
    "wave 1/6: 0.7": ((1 / 6,), (0.7,), MIN_GAIN),
    "wave 1/6 5/12: 0.5 0.2": ((1 / 6, 5 / 12), (0.5, 0.2), MIN_GAIN),
    "wave 1/6 5/12: 0.5 0.3": ((1 / 6, 5 / 12), (0.5, 0.3), MIN_GAIN),
    "wave 1/12 1/4: 0.5 0.2": ((1 / 12, 1 / 4), (0.5, 0.2), MIN_GAIN),
    "wave 1/3 2/3: 0.4 0.2": ((1 / 3, 2 / 3), (0.4, 0.2), MIN_GAIN),
}
#: The wave of the fewest epochs at a mean regret on the other tables that is no higher than that of
#: `BEFORE` there: what the goal asks for.
AT_THAT_REGRET = "wave, left out for the goal"
#: Label, what the arms' labels begin with, whether the bound is that of the goal.
LEFT_OUT = (
    ("wave, left out", "wave", False),
    (AT_THAT_REGRET, "wave", True),
    ("greedy, left out", "greedy", False),
    ("default, left out", "default", False),
)
#: Epochs for any length of fold: what `wave` is by its name.
IN_EPOCHS = "wave, epochs 2 5"


def pruners(num_epochs: int) -> dict[str, PrunerSpec]:
    """By label; warm-ups and resources are shares of a fold, as the looks are."""
    sixth, quarter = (max(1, round(share * num_epochs)) for share in (1 / 6, 1 / 4))
    early = {"n_startup_trials": 8, "n_warmup_steps": sixth, "window": 5}
    return {
        # With a count of complete trials, as `attention_unet` had it.
        "same_epoch": pruner_spec("same_epoch", early),
        # Its own warm-up of three epochs is a quarter of the folds that it was measured on.
        "usual same_epoch": pruner_spec("same_epoch", {"n_warmup_steps": quarter}),
        "successive_halving": pruner_spec("successive_halving", {"min_resource": sixth}),
        "hyperband": pruner_spec(
            "hyperband", {"min_resource": sixth, "max_resource": max(num_epochs, sixth)}
        ),
        "wilcoxon": pruner_spec("wilcoxon", {}),
    }


def arms(num_epochs: int) -> dict[str, Arm]:
    """By label, for folds of so many epochs."""
    by_pruner = pruners(num_epochs)
    found = {name: parse_arm(name) for name in PEERS}
    found[BEFORE] = parse_arm("default", pruner=by_pruner.pop("usual same_epoch"))
    for number in (10, 5):
        policy = f"greedy:{number}"
        found[f"{policy} same_epoch"] = parse_arm(policy, pruner=by_pruner["same_epoch"])
    for label, pruner in by_pruner.items():
        found[f"greedy:3 {label}"] = parse_arm("greedy:3", pruner=pruner)
    for label, (shares, keep, gain) in LOOKS.items():
        epochs = [max(1, round(share * num_epochs)) for share in shares]
        kept = "null" if keep is None else [*keep]
        found[label] = parse_arm(
            f"{{name: wave, epochs: {epochs}, keep: {kept}, min_gain: {gain}}}"
        )
    found[IN_EPOCHS] = parse_arm("wave")
    return {label: dataclasses.replace(arm, label=label) for label, arm in found.items()}


def some(table: Table, number: int) -> Table:
    """A random part of the configurations."""
    return table.rows(np.random.default_rng(0).choice(table.num_trials, number, replace=False))


def bench(tables: Sequence[Table], num_seeds: int, num_workers: int) -> dict[str, Any]:
    """Print the figures of every length of fold and of all, and return them."""
    groups: dict[tuple[int, int], list[Table]] = defaultdict(list)
    for table in tables:
        assert table.curves is not None
        groups[table.num_folds, table.curves.shape[-1]].append(table)
    cluster = Cluster(num_workers=num_workers)
    together: dict[str, list[ReplayResult]] = defaultdict(list)
    names: list[str] = []
    told: dict[str, Any] = {}
    for (num_folds, num_epochs), group in sorted(groups.items()):
        known = arms(num_epochs)
        by_arm = replay_all(group, [*known.values()], cluster, range(num_seeds))
        results = dict(zip(known, by_arm, strict=True))
        names += [table.name for table in group]
        title = f"{len(group)} tables of {num_folds} folds x {num_epochs} epochs"
        told[title] = show(title, results)
        for label, found in results.items():
            together[label] += found
    chosen = {}
    for label, kind, bound in LEFT_OUT:
        members = [name for name in together if name.startswith(kind) and name not in chosen]
        no_worse_than = together[BEFORE] if bound else None
        places = leave_one_out([together[name] for name in members], no_worse_than=no_worse_than)
        left_out = [members[arm] for arm in places]
        chosen[label] = dict(Counter(left_out).most_common())
        print(f"{label}: {chosen[label]}")
        together[label] = [together[name][place] for place, name in enumerate(left_out)]
    told["all"] = show(f"all {len(names)} tables", together)
    for name, mean in bench_peers(tables, num_seeds).items():
        told["all"][f"optuna {name}"] = {
            key: round(getattr(mean, key), 4) for key in ("cost_epochs", "regret", "hit")
        }
        print(f"optuna {name:20} {mean.cost_epochs:6.3f} {mean.regret:7.4f} {mean.hit:5.2f}")
    for label in (AT_THAT_REGRET, "wave, left out", SHIPPED):
        against = told["all"][label]["against"][BEFORE]
        print(
            f"{label} / {BEFORE}: {against['epochs_ratio']} of the epochs (goal {GOAL}), "
            f"regret {against['regret_more']:+} +- {against['regret_more_width']}"
        )
    return {
        "tables": names,
        "goal_ratio": GOAL,
        "left_out": chosen,
        "groups": told,
        "by_table": {
            label: [
                [round(one.outcome.cost_epochs, 3), round(one.outcome.regret, 3)]
                for one in together[label]
            ]
            for label in (AT_THAT_REGRET, "wave, left out", SHIPPED, BEFORE)
        },
    }


def show(title: str, results: Mapping[str, Sequence[ReplayResult]]) -> dict[str, Any]:
    """Print a row for each label, and return them."""
    print(
        f"{title}\n{'':24} {'epochs':>6} {'regret':>7} {'hit':>5} {'most':>6}   {GREEDY}; {BEFORE}"
    )
    told = {}
    for label, found in results.items():
        mean = mean_outcome([one.outcome for one in found])
        most = max(one.outcome.cost_epochs for one in found)
        pairs = {other: paired(found, results[other]) for other in (GREEDY, BEFORE)}
        shown = f"{label:24} {mean.cost_epochs:6.3f} {mean.regret:7.4f} {mean.hit:5.2f} {most:6.3f}"
        for pair in pairs.values():
            shown += " {epochs_ratio}, {regret_more} +- {regret_more_width};".format(**pair)
        print(shown.rstrip(";"), flush=True)
        told[label] = {
            "cost_epochs": round(mean.cost_epochs, 4),
            "regret": round(mean.regret, 4),
            "hit": round(mean.hit, 4),
            "most_epochs": round(most, 4),
            "against": pairs,
        }
    return told


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
