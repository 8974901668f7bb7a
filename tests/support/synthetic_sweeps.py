"""Sweeps whose ledger, controller, policy and pruner are real and whose training is a formula.

Two workers, a clock that jumps from event to event, and scores that depend on the configuration,
on the fold (much) and on both together (a little), as real ones do.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from synthetic_scores import NUM_CASES, fold_score, seconds_per_epoch

from ptxcore.types import Rule
from sweep.analysis.operating_point import OperatingPoint
from sweep.ledger import Ledger
from sweep.ledger.connection import open_storage
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection, Trial
from sweep.policies import make_policy
from sweep.records import (
    Assignment,
    Epoch,
    FoldScore,
    NewTrial,
    State,
    SweepState,
    as_score,
)
from sweep.search.controller import Controller
from sweep.search.stop_rules import make_stop_rule
from sweep.space import SearchSpace, parse_space

START = 1_800_000_000.0

SPACE = """
name: synthetic
description: A space like the shipped one, for sweeps whose training is a formula.
objective: {metric: average_precision}
folds: 5
policy: {name: greedy, num_trials: 8, num_completions: 3}
pruner: {name: percentile, percentile: 97, scope: epochs, n_startup_trials: 4, n_warmup_steps: 5}
sampler: {name: tpe}
fixed: {network: attention_unet, image_size: 512, max_epochs: 12}
parameters:
  learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true, default: 1.0e-3}
  weight_decay: {type: float, low: 1.0e-6, high: 1.0e-2, log: true, default: 1.0e-4}
  patch_size: {type: categorical, choices: [128, 256, 512], default: 256}
  overlap: {type: categorical, choices: [0.25, 0.5], default: 0.25, when: {patch_size: [128, 256]}}
  dropout: {type: float, low: 0.0, high: 0.4, default: 0.1}
  augmentation_strength: {type: float, low: 0.0, high: 1.0, default: 0.5}
"""


@dataclass
class Clock:
    """Seconds since the epoch, set by the simulation."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Story:
    """What happens besides training.

    Attributes:
        diverges: Trials whose loss becomes NaN in epoch 3 of their first fold.
        lost: Folds (trial, fold) whose first attempt is lost after 2 epochs.
        stop_after: Folds after which the driver is interrupted; None runs to the end.
    """

    diverges: frozenset[int] = frozenset()
    lost: frozenset[tuple[int, int]] = frozenset()
    stop_after: int | None = None


def run_sweep(
    url: str,
    name: str = "synthetic",
    *,
    num_trials: int = 8,
    num_completions: int = 3,
    policy: str = "greedy",
    seed: int = 1,
    story: Story | None = None,
    header: Mapping[str, Any] | None = None,
    space_text: str = SPACE,
) -> Ledger:
    """Run a whole sweep into a new ledger and return it, open for reading."""
    space = parse_space(space_text, "synthetic.yaml")
    Ledger.create(
        url, name, header=dataclasses.replace(make_header(space, seed), **(header or {}))
    ).close()
    clock = Clock()
    ledger = Ledger(open_storage(url), name, clock=clock)
    ledger.acquire("test", ttl_seconds=1e9)
    controller = Controller(
        ledger,
        space,
        make_policy(policy, {"num_trials": num_trials}, space.num_folds),
        make_stop_rule(num_trials, num_completions, space.num_folds),
        seed=seed,
    )
    _drive(controller, clock, story or Story())
    controller.close("interrupted by the user")
    ledger.release()
    return ledger


def make_header(space: SearchSpace, seed: int) -> SweepHeader:
    """A header as a launched sweep writes it."""
    return SweepHeader(
        space_text=space.text,
        space_digest=space.digest,
        metric=space.objective.metric,
        maximize=space.objective.maximize,
        num_folds=space.num_folds,
        seed=seed,
        data_hash="5f" * 32,
        num_cases=NUM_CASES * space.num_folds,
        phantom=True,
        plan_digest="a1" * 32,
        search_plan_digest="b2" * 32,
        runtime={
            "device": "cpu",
            "precision": "bfloat16",
            "channels_last": True,
            "num_threads": 1,
        },
        version="0.1.0",
        git_sha="0123456789abcdef0123456789abcdef01234567",
        created_at="2027-01-15T08:00:00+00:00",
    )


def _drive(controller: Controller, clock: Clock, story: Story) -> None:
    """Two workers: the next thing that happens is the next epoch that ends."""
    queue: list[tuple[float, int, Assignment, Iterator[float]]] = []
    tried: set[tuple[int, int]] = set()
    num_steps = num_folds = 0
    while True:
        if story.stop_after is not None and num_folds >= story.stop_after:
            return
        while len(queue) < 2 and (wanted := controller.wanted(2 - len(queue))):
            decision = wanted[0]
            job = (
                controller.add_trial()
                if isinstance(decision, NewTrial)
                else controller.start(decision.trial)
            )
            num_steps += 1
            at = clock.now + 0.05 + seconds_per_epoch(job.settings)
            heapq.heappush(queue, (at, num_steps, job, iter(range(1, 10_000))))
        if not queue:
            return
        clock.now, _, job, epochs = heapq.heappop(queue)
        epoch = next(epochs)
        place = (job.trial, job.fold)
        if place in story.lost and place not in tried and epoch == 3:
            tried.add(place)
            controller.on_failure(job.trial, "the worker died", final=False)
            continue
        finished = fold_score(job)
        value = finished.curves["monitor_average_precision"][epoch - 1]
        if job.trial in story.diverges and epoch == 3:
            value = math.nan
        report = Epoch(
            trial=job.trial, fold=job.fold, attempt=job.attempt, epoch=epoch,
            value=value, seconds=1.0,
        )  # fmt: skip
        if epoch == finished.num_epochs:
            controller.on_fold(finished, report)
            num_folds += 1
            continue
        if controller.on_epoch(report) is not State.RUNNING:
            continue
        num_steps += 1
        at = clock.now + seconds_per_epoch(job.settings)
        heapq.heappush(queue, (at, num_steps, job, epochs))


def operating_points(ledger: Ledger) -> dict[int, OperatingPoint]:
    """What thresholds chosen on the other folds would give every complete trial."""
    rule = Rule(top=0.6, min_area=0.0005, bottom=0.4)
    points: dict[int, OperatingPoint] = {}
    for one in ledger.projection.trials:
        if one.state is State.COMPLETE:
            folds = [one.folds[fold].metrics for fold in sorted(one.folds)]
            points[one.number] = OperatingPoint(
                folds=tuple({**metrics, "dice": metrics["dice"] + 0.01} for metrics in folds),
                rules=(rule,) * len(folds),
                rule=rule,
            )
    return points


def projection_of(
    scores: list[list[float]],
    *,
    num_folds: int = 3,
    maximize: bool = True,
    metric: str = "average_precision",
    parameters: list[dict[str, Any]] | None = None,
    distributions: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    ends: Mapping[int, State] | None = None,
) -> Projection:
    """A projection with exactly these scores (in the metric's own sign), a fold a minute.

    Trials with all folds are complete; `ends` says what became of others. The sweep is over
    where that leaves none open.
    """
    projection = Projection(
        header=SweepHeader(metric=metric, maximize=maximize, num_folds=num_folds, seed=0)
    )
    minute = 0
    for number, folds in enumerate(scores):
        chosen = parameters[number] if parameters else {}
        projection.add(
            Trial(
                number=number,
                parameters=chosen,
                settings=dict(chosen),
                distributions={name: (distributions or {})[name] for name in chosen},
                created_at=stamp(minute),
            )
        )
        for fold, score in enumerate(folds):
            projection.start(number, fold, 1, stamp(minute))
            minute += 1
            finished = FoldScore(
                trial=number, fold=fold, attempt=1, value=score,
                score=as_score(score, maximize=maximize), seconds=60.0, num_epochs=2, best_epoch=1,
                metrics=dict(metrics or {}),
            )  # fmt: skip
            projection.finish(finished, stamp(minute))
        if len(folds) == num_folds:
            projection.end(number, State.COMPLETE, None, stamp(minute))
        elif ends and number in ends:
            projection.end(number, ends[number], "because", stamp(minute))
    if projection.trials and not any(projection.open_trials()):
        projection.sweep_state = SweepState.FINISHED
    return projection


def stamp(minute: float) -> str:
    """A time as the ledger writes it."""
    return datetime.fromtimestamp(START + 60 * minute, UTC).isoformat(timespec="milliseconds")
