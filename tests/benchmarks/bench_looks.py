"""Where should a wave look, in folds of any length? Looks at shares of a fold, beside greedy.

    python tests/benchmarks/bench_looks.py [TABLE ...] [--seeds 10] [--only 20] [--workers 16]

Tables with curves; without names those of the tests. They are grouped by folds and epochs, and the
looks of each group lie at the same shares of its fold. Prints means over tables and seeds, for each
group and for all, and what each costs and loses against two others, paired over tables with a 95%
interval: greedy with `same_epoch` until ten are complete, which `attention_unet` had before, and
`default` with `same_epoch`; over all tables also what the others would have chosen for each, of the
waves and of greedy (`leave_one_out`). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_epochs import paired

from sweep.pruners import pruner_spec
from sweep.simulate import (
    Arm,
    Cluster,
    ReplayResult,
    Table,
    leave_one_out,
    load_table,
    parse_arm,
    replay_all,
)
from sweep.simulate import mean_outcome as mean_of

DATA = Path(__file__).resolve().parents[1] / "data"
DEFAULT_TABLES = (
    *sorted((DATA / "curves").glob("*.npz")),
    DATA / "tables" / "siim_unet_k5.npz",
)
#: With what each is compared: what `attention_unet` had before the wave, and the usual default.
AGAINST = ("greedy:10 same_epoch", "default same_epoch")
#: Looks as shares of a fold, and the shares of trials that go on.
LOOKS = {
    "wave 1/6: 0.5": ((1 / 6,), (0.5,)),
    "wave 1/6: 0.7": ((1 / 6,), (0.7,)),
    "wave 1/6 5/12: 0.5 0.2": ((1 / 6, 5 / 12), (0.5, 0.2)),
    "wave 1/6 5/12: 0.5 0.3": ((1 / 6, 5 / 12), (0.5, 0.3)),
    "wave 1/12 1/4: 0.5 0.2": ((1 / 12, 1 / 4), (0.5, 0.2)),
}


def arms(num_epochs: int) -> dict[str, Arm]:
    """By label; what is given in epochs is scaled to the fold but where the label has epochs."""
    warm_up = round(num_epochs / 6)
    pruner = pruner_spec(
        "same_epoch", {"n_startup_trials": 8, "n_warmup_steps": warm_up, "window": 5}
    )
    # Its default warm-up of three epochs is a quarter of the folds that it was measured on.
    usual = pruner_spec("same_epoch", {"n_warmup_steps": round(num_epochs / 4)})
    found = {AGAINST[0]: parse_arm("greedy:10", pruner=pruner)}
    for count in (5, 3):
        found[f"greedy:{count} same_epoch"] = parse_arm(f"greedy:{count}", pruner=pruner)
    found["greedy:3"] = parse_arm("greedy:3")
    found[AGAINST[1]] = parse_arm("default", pruner=usual)
    wave = parse_arm("wave")
    found["wave, epochs 2 5"] = wave
    for label, (shares, keep) in LOOKS.items():
        epochs = tuple(max(1, round(share * num_epochs)) for share in shares)
        settings = {**wave.settings, "epochs": epochs, "keep": keep}
        found[label] = dataclasses.replace(wave, label=label, settings=settings)
    return found


def some(table: Table, number: int) -> Table:
    """A random part of the configurations."""
    rows = np.random.default_rng(0).choice(table.num_trials, number, replace=False)
    assert table.curves is not None
    return dataclasses.replace(
        table,
        scores=table.scores[:, rows],
        seconds=table.seconds[:, rows],
        curves=table.curves[:, rows],
        cases=None,
        case_folds=None,
        params=tuple(table.params[row] for row in rows),
    )


def show(title: str, results: dict[str, Sequence[ReplayResult]]) -> dict[str, Any]:
    print(f"{title}\n{'':24} {'epochs':>6} {'regret':>7} {'hit':>5} {'most':>6}   {AGAINST}")
    told = {}
    for label, found in results.items():
        mean, pairs = mean_of([one.outcome for one in found]), {}
        shown = f"{label:24} {mean.cost_epochs:6.3f} {mean.regret:7.4f} {mean.hit:5.2f}"
        most = max(one.outcome.cost_epochs for one in found)
        shown += f" {most:6.3f}  "
        for other in AGAINST:
            pairs[other] = paired(found, results[other])
            shown += " {epochs_ratio}, {regret_more} +- {regret_more_width};".format(**pairs[other])
        print(shown.rstrip(";"), flush=True)
        told[label] = {
            "cost_epochs": round(mean.cost_epochs, 4),
            "regret": round(mean.regret, 4),
            "hit": round(mean.hit, 4),
            "most_epochs": round(most, 4),
            "against": pairs,
        }
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", type=Path, default=DEFAULT_TABLES)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", type=int, help="of so many configurations of each table")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    groups: dict[tuple[int, int], list[Table]] = defaultdict(list)
    for path in given.tables:
        table = load_table(path)
        if table.curves is not None:
            table = some(table, given.only) if given.only else table
            groups[table.num_folds, table.curves.shape[-1]].append(table)
    together: dict[str, list[ReplayResult]] = defaultdict(list)
    told, cluster = {}, Cluster(num_workers=given.workers)
    for (num_folds, num_epochs), tables in sorted(groups.items()):
        known = arms(num_epochs)
        found = replay_all(tables, [*known.values()], cluster, range(given.seeds))
        for label, results in zip(known, found, strict=True):
            together[label] += results
        title = f"{len(tables)} tables of {num_folds} folds x {num_epochs} epochs"
        told[title] = show(title, dict(zip(known, found, strict=True)))
    if len(groups) > 1:
        for group in ("wave", "greedy"):
            members = [label for label in together if label.startswith(group)]
            chosen = leave_one_out([together[label] for label in members])
            together[f"{group}, left out"] = [
                together[members[arm]][place] for place, arm in enumerate(chosen)
            ]
            print(f"{group}, left out: {Counter(members[arm] for arm in chosen)}")
        told["all"] = show(f"all {len(together[AGAINST[0]])} tables", dict(together))
    about = {"seeds": given.seeds, "only": given.only, "workers": given.workers}
    print(json.dumps({**about, "groups": told}))


if __name__ == "__main__":
    main()
