"""Optuna's own pruners over the tables that ours are replayed on, in plain Optuna.

A study takes the configurations in the order of a seed, trial by trial and fold by fold, as
Optuna's users write it: with folds alone a trial reports its running mean after each (Wilcoxon: the
fold's score), with curves the value of each epoch, at step `fold * epochs + epoch`. The best
complete trial is chosen. One worker.
"""

from __future__ import annotations

import itertools
import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.trial import TrialState

from sweep.simulate import Cluster, Outcome, Run, Table, mean_outcome, outcome, replay_order

#: By name: for so many steps of a whole trial.
PEERS: dict[str, Callable[[int], BasePruner]] = {
    "median": lambda steps: MedianPruner(),
    "successive halving": lambda steps: SuccessiveHalvingPruner(reduction_factor=2),
    "hyperband": lambda steps: HyperbandPruner(max_resource=steps, reduction_factor=2),
    "wilcoxon": lambda steps: WilcoxonPruner(),
}


def replay_peer(table: Table, name: str, seed: int) -> Outcome:
    """One study over a table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", ExperimentalWarning)
    layout = replay_order(table, seed)
    has_epochs = table.curves is not None and name != "wilcoxon"
    steps = max_epochs(table) if has_epochs else 1
    pruner = PEERS[name](steps * table.num_folds)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    run = Run()
    for row in layout.order:
        trial, scores, is_pruned = study.ask(), [], False
        for place, (partition, fold) in enumerate(layout.folds):
            epochs = table.num_epochs(partition, row, fold)
            seconds, score = (a[partition, row, fold] for a in (table.seconds, table.scores))
            if has_epochs:
                assert table.curves is not None
                for epoch in range(epochs):
                    value = table.curves[partition, row, fold, epoch]
                    trial.report(float(value), place * steps + epoch)
                    if is_pruned := trial.should_prune():
                        epochs, share = epoch + 1, (epoch + 1) / epochs
                        break
            share = share if is_pruned else 1.0
            run.num_folds += share
            run.num_epochs += epochs
            run.busy_seconds += share * float(seconds)
            if is_pruned:
                break
            scores.append(float(score))
            mean = sum(scores) / len(scores)
            if not has_epochs:
                trial.report(float(score) if name == "wilcoxon" else mean, place)
                if is_pruned := len(scores) < len(layout.folds) and trial.should_prune():
                    break
        if is_pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, mean)
    best = max(study.get_trials(states=(TrialState.COMPLETE,)), key=lambda trial: trial.values[0])
    run.chosen, run.makespan_seconds = layout.order[best.number], run.busy_seconds
    return outcome(table, layout, run, Cluster())


def max_epochs(table: Table) -> int:
    return 1 if table.curves is None else int(table.curves.shape[-1])


def bench_peers(tables: Sequence[Table], num_seeds: int) -> dict[str, Outcome]:
    """Means over tables and seeds, by name."""
    jobs = list(itertools.product(tables, PEERS, range(num_seeds)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context) as pool:
        found = list(pool.map(replay_peer, *zip(*jobs, strict=True), chunksize=8))
    return {
        name: mean_outcome(
            [one for (_, peer, _), one in zip(jobs, found, strict=True) if peer == name]
        )
        for name in PEERS
    }
