"""What the driver itself costs: per decision, per ledger write, per pruning question.

    python tests/benchmarks/bench_brain.py [number of trials]

Set-up is not timed. The last column compares with what it replaces, in the same run. The last line
is one JSON object: milliseconds by name.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from in_process import make_controller, memory_storage, new_sweep, toy_fold, toy_space
from optuna.distributions import FloatDistribution
from ray.tune.experiment import Trial

from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.policies import Policy, make_policy
from sweep.ray.scheduler import FoldScheduler, Slots, assigned
from sweep.ray.searcher import FoldSearch
from sweep.records import Assignment, Epoch, FoldFinished, FoldScore, FoldStarted, TrialAdded
from sweep.search.controller import Controller
from sweep.search.optuna_views import sampler_study
from sweep.search.pruner_adapter import PrunerAdapter
from sweep.search.samplers import propose
from sweep.space import parse_space

NUM_FOLDS, NUM_EPOCHS = 5, 75
X = {"x": FloatDistribution(0.0, 1.0)}
SPACE = """
name: bench
objective: {metric: dice}
pruner: {name: median}
parameters:
  x: {type: float, low: 0.0, high: 1.0, default: 0.5}
"""


def median_ms(what: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        what()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


#: Milliseconds of all that was shown.
FOUND: dict[str, float] = {}


def show(what: str, found_ms: float, note: str = "") -> None:
    print(f"{what:<58} {found_ms:9.3f} ms  {note}")
    FOUND[what.strip()] = round(found_ms, 4)


def bench_policy(num_trials: int) -> None:
    rng = np.random.default_rng(0)
    policy: Policy = make_policy("greedy", {"num_trials": num_trials}, NUM_FOLDS)
    for trial in range(num_trials):
        policy.observe(TrialAdded(trial=trial))
        policy.observe(FoldStarted(trial=trial, fold=0))
        finish(policy, trial, 0, rng.uniform())

    def decide_and_observe() -> None:
        decision = policy.decide(1)[0]
        policy.observe(FoldStarted(trial=decision.trial, fold=decision.fold))
        finish(policy, decision.trial, decision.fold, rng.uniform())

    show(
        f"greedy: one decision and its two events, {num_trials} trials",
        median_ms(decide_and_observe, min(200, 2 * num_trials)),
    )


def finish(policy: Policy, number: int, fold: int, score: float) -> None:
    policy.observe(FoldFinished(trial=number, fold=fold, score=score, seconds=1.0))


def fill(ledger: Ledger, num_trials: int) -> dict[str, list[float]]:
    """Every trial gets a first fold of 75 epochs; returns the time of every write in ms."""
    rng, times = np.random.default_rng(1), {"add": [], "start": [], "epoch": [], "finish": []}

    def timed(name: str, write: Callable[[], object]) -> None:
        begin = time.perf_counter()
        write()
        times[name].append(1000 * (time.perf_counter() - begin))

    for number in range(num_trials):
        x = float(rng.uniform())
        timed("add", lambda x=x: ledger.add_trial({"x": x}, X))
        timed("start", lambda number=number: ledger.start_fold(number, 0))
        for epoch in range(1, NUM_EPOCHS + 1):
            report = Epoch(
                trial=number, fold=0, attempt=1, epoch=epoch, value=x + epoch, seconds=1.0
            )
            if epoch < NUM_EPOCHS:
                timed("epoch", lambda report=report: (ledger.record_epoch(report), ledger.flush()))
        curve = tuple(float(value) for value in rng.uniform(size=NUM_EPOCHS))
        score = FoldScore(
            trial=number,
            fold=0,
            attempt=1,
            value=x,
            score=x,
            seconds=1.0,
            num_epochs=NUM_EPOCHS,
            best_epoch=NUM_EPOCHS,
            metrics={f"metric_{index}": 0.5 for index in range(12)},
            curves={f"curve_{index}": curve for index in range(12)},
        )
        timed("finish", lambda score=score, last=report: ledger.finish_fold(score, last))
    return times


def bench_ledger(num_trials: int, folder: Path) -> None:
    url = f"sqlite:///{folder / 'ledger.db'}"
    header = SweepHeader(metric="dice", maximize=True, num_folds=NUM_FOLDS, seed=0)
    ledger = Ledger.create(url, "bench", header=header)
    ledger.acquire("bench")
    times = fill(ledger, num_trials)
    for name, each in times.items():
        part = max(1, len(each) // 10)
        first, last = statistics.median(each[:part]), statistics.median(each[-part:])
        show(
            f"SQLite write: {name}",
            statistics.median(each),
            f"last tenth / first {last / first:.2f}",
        )
    begin = time.perf_counter()
    Ledger.open(url, "bench")
    shape = f"{num_trials} trials x {NUM_EPOCHS} epochs"
    show(f"open the ledger and build the projection, {shape}", 1000 * (time.perf_counter() - begin))
    bench_questions(ledger, url)


def bench_questions(ledger: Ledger, url: str) -> None:
    projection = ledger.projection
    number = ledger.add_trial({"x": 0.5}, X)
    ledger.start_fold(number, 0)
    space = parse_space(SPACE, "bench.yaml")
    pruner = PrunerAdapter(space.pruner.build())
    epochs = iter(range(1, 1000))

    def ask() -> None:
        report = Epoch(trial=number, fold=0, attempt=1, epoch=next(epochs), value=99.0, seconds=1.0)
        projection.epoch(report)
        pruner.should_prune_epoch(projection, number, 0)

    ask()  # builds the view once
    ours = median_ms(ask, 50)
    study = optuna.load_study(study_name="bench", storage=url, pruner=optuna.pruners.MedianPruner())
    trial = study.trials[number]
    raw = median_ms(lambda: study.pruner.prune(study, trial), 3)
    show(
        "median pruner: one question, through the view",
        ours,
        f"raw study {raw:.1f} ms, {raw / ours:.0f}x",
    )
    show("TPE: one proposal, through the view", median_ms(lambda: propose(space, projection, 0), 5))
    sampler = optuna.samplers.RandomSampler(seed=0)
    show("  of which building the study", median_ms(lambda: sampler_study(projection, sampler), 5))


class Stopwatch:
    """A controller that counts the seconds spent in it."""

    def __init__(self, controller: Controller) -> None:
        self._controller, self.seconds = controller, 0.0

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._controller, name)

        def timed(*args: object) -> object:
            begin = time.perf_counter()
            answer = method(*args)
            self.seconds += time.perf_counter() - begin
            return answer

        return timed


class Pauses:
    """What the scheduler asks of Ray's loop when a trial is parked."""

    def pause_trial(self, trial: Trial, should_checkpoint: bool) -> None:
        trial.set_status(Trial.PAUSED)


def bench_adapter(num_trials: int, num_results: int = 200) -> None:
    """What Ray's interface adds to a result, besides what the controller decides and writes."""
    space = toy_space(num_trials=num_trials, num_completions=num_trials, folds=NUM_FOLDS)
    storage = memory_storage()
    ledger = Ledger(storage, new_sweep(storage, space))
    ledger.acquire("bench")
    watch, slots, controller = Stopwatch(make_controller(ledger, space)), Slots(lambda: 1), Pauses()
    scheduler = FoldScheduler(watch, slots)  # type: ignore[arg-type]
    search = FoldSearch(watch, scheduler, slots)  # type: ignore[arg-type]
    added = []
    for number in range(num_trials + num_results):
        begin, inside = time.perf_counter(), watch.seconds
        trial = scheduler.choose_trial_to_run(controller)
        if trial is None:
            config = search.suggest(f"{number}")
            assert isinstance(config, dict)
            trial = Trial("bench", config=config, stub=True)
            scheduler.on_trial_add(controller, trial)
        report = result_of(assigned(trial))
        scheduler.on_trial_result(controller, trial, report)
        added.append(time.perf_counter() - begin - (watch.seconds - inside))
    show(
        f"Ray's scheduler and searcher: added to one result, {num_trials} trials",
        1000 * statistics.median(added[-num_results:]),
    )


def result_of(assignment: Assignment) -> dict[str, Any]:
    """What a worker reports at the end of a fold of one epoch."""
    place = {key: getattr(assignment, key) for key in ("trial", "fold", "attempt")}
    score = toy_fold(assignment.settings, assignment.fold)[1]
    return {
        "attempt": place["attempt"],
        "epoch": Epoch(**place, epoch=1, value=score, seconds=1.0),
        "score": FoldScore(
            **place, value=score, score=score, seconds=1.0, num_epochs=1, best_epoch=1
        ),
    }


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    num_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    for count in (200, 20_000):
        bench_policy(count)
    with tempfile.TemporaryDirectory() as folder:
        bench_ledger(num_trials, Path(folder))
    bench_adapter(1000)
    print(json.dumps(FOUND))


if __name__ == "__main__":
    main()
