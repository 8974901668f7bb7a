"""A fold policy of one's own: replayed over a table of scores, then live and unchanged.

    python examples/own_policy.py tests/data/tables/sk_wine_knn_k5.npz FOLDER

A policy sees events and answers which fold comes next. It has no clock, no random state and no Ray,
so that the same object can be replayed and can lead a live sweep.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean as mean

from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom
from ptxcore.data.splits.fold_plan import FoldPlan, make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import Runtime
from sweep.ledger import Ledger, Projection, SweepHeader
from sweep.records import (
    Assignment,
    Decision,
    Epoch,
    Event,
    FoldFinished,
    FoldLost,
    FoldScore,
    FoldStarted,
    NewTrial,
    RunFold,
    TrialAdded,
    TrialStopped,
)
from sweep.search.controller import Controller
from sweep.search.stop_rules import make_stop_rule
from sweep.simulate import Run, Simulation, load_table, replay_order
from sweep.space import parse_space


class TwoFoldsFirst:
    """Two folds for every trial, then the default's (number 0), then the best running mean.

    A sweep ends when the default is complete too, because every winner is compared with it.
    """

    def __init__(self, *, num_trials: int, num_folds: int) -> None:
        """For `num_trials` trials in all, of `num_folds` folds each."""
        self.num_trials, self.num_folds = num_trials, num_folds
        self.scores: dict[int, dict[int, float]] = {}
        self.busy: set[int] = set()
        self.over: set[int] = set()

    def observe(self, event: Event) -> None:
        """Take note of what happened."""
        match event:
            case TrialAdded(trial=number):
                self.scores[number] = {}
            case FoldStarted(trial=number):
                self.busy.add(number)
            case FoldFinished(trial=number, fold=fold, score=score, revised=revised):
                self.scores[number] |= {fold: score, **revised}
                self.busy.discard(number)
            case FoldLost(trial=number) | TrialStopped(trial=number):
                self.busy.discard(number)
                if isinstance(event, TrialStopped):
                    self.over.add(number)

    def decide(self, free_slots: int) -> list[Decision]:
        """What to start now, at most `free_slots` folds. A query: it changes nothing."""
        waiting = [n for n in self.scores if n not in self.busy | self.over]
        early = [n for n in waiting if len(self.scores[n]) < 2]
        late = [n for n in waiting if 2 <= len(self.scores[n]) < self.num_folds]
        late.sort(key=lambda n: (n != 0, -mean(self.scores[n].values())))
        new: list[Decision] = [NewTrial()] * (self.num_trials - len(self.scores))
        run = {n: RunFold(trial=n, fold=len(self.scores[n])) for n in waiting}
        return [*(run[n] for n in early), *new, *(run[n] for n in late)][:free_slots]


def replay(file: Path) -> Run:
    """The policy over a table, until ten trials are complete."""
    table = load_table(file)
    num_trials, num_folds = table.num_trials, table.num_folds
    policy = TwoFoldsFirst(num_trials=num_trials, num_folds=num_folds)
    rule = make_stop_rule(num_trials, 10, num_folds)
    run = Simulation(table, replay_order(table, seed=0), policy, rule).run()
    print(f"replay: {run.reason}; {run.num_folds:.0f} of {num_trials * num_folds} folds")
    return run


SPACE = """
name: own
objective: {metric: average_precision}
folds: 3
policy: {name: standard, num_trials: 3}
fixed: {image_size: 64, patch_size: 0, channels: 4, levels: 3, batch_size: 8, max_epochs: 1}
parameters:
  learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true, default: 1.0e-3}
"""


def live(folder: Path) -> Projection:
    """The same policy in a sweep with a real ledger and real training, one fold at a time."""
    files = write_phantom(folder / "phantom", num_cases=48, size=64, prevalence=0.5, seed=0)
    import_cases(files.dicom, files.rle, folder / "store")
    store = CaseStore.open(folder / "store")
    space = parse_space(SPACE, "own.yaml")
    plan = make_plan(store, num_folds=space.num_folds)
    header = SweepHeader(metric="average_precision", maximize=True, num_folds=3, seed=0)
    ledger = Ledger.create(f"sqlite:///{folder / 'ledger.db'}", space.name, header=header)
    ledger.acquire("example")  # a ledger has one driver
    policy = TwoFoldsFirst(num_trials=3, num_folds=3)
    controller = Controller(ledger, space, policy, make_stop_rule(3, 2, 3), seed=0)
    while decisions := controller.wanted(free_slots=1):
        match decisions[0]:
            case NewTrial():
                assignment = controller.add_trial()
            case RunFold(trial=number):
                assignment = controller.start(number)
        train(assignment, store, plan, controller)
    controller.close("nothing is left to do")
    ledger.close()
    print(f"live: {ledger.projection.sweep_reason}")
    return ledger.projection


def train(assignment: Assignment, store: CaseStore, plan: FoldPlan, controller: Controller) -> None:
    """Train a fold and report it, as a worker does."""
    settings = FoldSettings.from_mapping(assignment.settings)
    search, runtime = plan.search_part(), Runtime()
    for report in train_fold(settings, store, search, assignment.fold, seed=0, runtime=runtime):
        epoch = Epoch(
            trial=assignment.trial,
            fold=assignment.fold,
            attempt=assignment.attempt,
            epoch=report.epoch,
            value=report.monitor["average_precision"],
            seconds=report.seconds,
        )
        if (result := report.result) is None:
            if controller.on_epoch(epoch):
                return  # pruned inside the fold
            continue
        score = FoldScore(
            trial=assignment.trial,
            fold=assignment.fold,
            attempt=assignment.attempt,
            value=result.metrics["average_precision"],
            score=result.metrics["average_precision"],
            seconds=result.seconds,
            num_epochs=result.num_epochs,
            best_epoch=result.best_epoch,
            metrics=result.metrics,
            curves=result.curves,
        )
        controller.on_fold(score, epoch)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/own_policy.py TABLE FOLDER")
    replay(Path(sys.argv[1]))
    live(Path(sys.argv[2]))
