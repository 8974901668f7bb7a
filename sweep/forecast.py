"""Forecast a sweep before it is started: how many folds, on which cases, about how long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptxcore.data.parallel import num_processors
from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.settings import FoldSettings
from sweep.analysis.cohort import take_part
from sweep.analysis.progress import expected_folds
from sweep.policies import Measured, measured_like
from sweep.search.budget import Budget
from sweep.space import SearchSpace
from sweep.space.overrides import Overrides, effective_space
from sweep.storage.beginning import check_free
from sweep.storage.case_stores import open_store
from sweep.storage.home import Home
from sweep.util.words import count, duration

if TYPE_CHECKING:
    from sweep.launch import PlanOptions
    from sweep.ray.resources import ResourceRequest

#: The shipped space for machines without a GPU.
CPU_SPACE = "cpu"
#: A step so many times as large as one of it is sized for a GPU.
MUCH_LARGER = 2
#: Side of radiographs on their own grid, roughly.
_OWN_GRID_PX = 1024


@dataclass(frozen=True, kw_only=True)
class SpaceForecast:
    """What a search space asks for.

    Attributes:
        name: Name of the space.
        source: File, or name of a shipped space.
        description: Description for people.
        metric: The objective.
        policy: Name of the policy.
        pruner: Name of the pruner.
        measured: What the two cost in replays of tables of the nearest size; None if they were
            never measured together.
        looks: Epochs of the first fold after which a wave is looked at; empty without one.
        num_trials: Configurations to try.
        num_folds: Folds of a complete trial.
        num_folds_expected: Folds in all, as the live table counts before the first; pruning makes
            it fewer, a change of rank more.
        num_folds_most: Folds of a full grid.
        is_bound: Whether the expected number is the most there can be, because the policy ends by
            what is left to gain.
        max_epochs: Epochs of a fold at most, at the defaults.
        parameters: What varies, in the file's own terms.
        fixed: What does not.
    """

    name: str
    source: str
    description: str
    metric: str
    policy: str
    pruner: str
    measured: Measured | None
    looks: tuple[int, ...]
    num_trials: int
    num_folds: int
    num_folds_expected: int
    num_folds_most: int
    is_bound: bool
    max_epochs: int
    parameters: dict[str, Any]
    fixed: dict[str, Any]

    @property
    def how_sure(self) -> str:
        """What to say before the expected number of folds, and before what follows from it."""
        return "at most" if self.is_bound else "about"


@dataclass(frozen=True, kw_only=True)
class SweepForecast:
    """What a sweep would be.

    Attributes:
        sweep: Its name.
        space: What its search space asks for.
        cohort: Which cases would take part, see `sweep.analysis.cohort`.
        seconds_per_fold: Training steps of a fold at the defaults, all epochs, on one CPU thread
            of this machine (a GPU where one is asked for); without scoring, early stopping and
            start. None where a step does not fit in memory.
        precision: Which precision that is.
        seconds: The same for all expected folds, one after another.
        budget_seconds: Where `--hours` would end it; None without.
    """

    sweep: str
    space: SpaceForecast
    cohort: dict[str, Any]
    seconds_per_fold: float | None
    precision: str
    seconds: float | None
    budget_seconds: float | None


def forecast_space(name_or_path: str, overrides: Overrides | None = None) -> SpaceForecast:
    """Read a search space as `run` would, and count.

    Args:
        name_or_path: A shipped search space, or the path of a YAML file.
        overrides: Changes to it.

    Raises:
        SpaceError: It is unsound; the message has a line for every mistake.
    """
    return _of(effective_space(name_or_path, overrides or Overrides()))


def forecast(
    space_name: str,
    *,
    store: Path | str,
    home: Home,
    name: str | None = None,
    seed: int = 0,
    overrides: Overrides | None = None,
    plan_options: PlanOptions | None = None,
    num_threads: int = 1,
    budget: Budget | None = None,
) -> SweepForecast:
    """Check what `run` checks before it starts anything, and time a few training steps.

    Nothing is written, and Ray is not started: the time is that of this machine's CPU.

    Args:
        space_name: Search space, as in `run`.
        store: Case store, as in `run`.
        home: Home, as in `run`.
        name: Name, as in `run`.
        seed: Seed, as in `run`.
        overrides: Changes to the space, as in `run`.
        plan_options: How to split the cases, as in `run`.
        num_threads: CPU threads of one trial.
        budget: Budget, as in `run`.

    Raises:
        UsageError: What `run` would refuse.
        StoreError: The store is missing or damaged.
    """
    from ptxcore.training import measure_runtime, measure_step
    from sweep.launch import PlanOptions, split

    space = effective_space(space_name, overrides or Overrides())
    name = name or space.name
    check_free(home, name)
    cases = open_store(store)
    plan = split(cases, space, plan_options or PlanOptions(), seed)
    told, settings = _of(space), FoldSettings.from_mapping(space.complete(space.defaults()))
    runtime = measure_runtime(settings, device="cpu", num_threads=num_threads)
    seconds: float | None = measure_step(settings, runtime) * _num_steps(settings, plan)
    if seconds is not None and not math.isfinite(seconds):
        seconds = None
    return SweepForecast(
        sweep=name,
        space=told,
        cohort=dict(take_part(cases, plan)),
        seconds_per_fold=seconds,
        precision=runtime.precision,
        seconds=None if seconds is None else seconds * told.num_folds_expected,
        budget_seconds=None if budget is None or budget.hours is None else 3600 * budget.hours,
    )


def slow_without_gpu(
    space_name: str,
    *,
    store: Path | str,
    home: Home,
    name: str | None,
    seed: int,
    overrides: Overrides,
    plan_options: PlanOptions,
    request: ResourceRequest,
) -> str | None:
    """What to say before a sweep that is sized for a GPU begins on a machine without one.

    A few steps are timed where a step is much larger than one of the space for CPUs.

    Args:
        space_name: Search space, as in `run`.
        store: Case store, as in `run`.
        home: Home, as in `run`.
        name: Name, as in `run`.
        seed: Seed, as in `run`.
        overrides: Changes to the space, as in `run`.
        plan_options: How to split the cases, as in `run`.
        request: What the user asks for to train on.

    Returns:
        None where it trains elsewhere or on a GPU, or is no larger than the space for CPUs.

    Raises:
        UsageError: What `run` would refuse.
        StoreError: The store is missing or damaged.
    """
    if request.address is not None or request.gpus:
        return None
    of_space, of_cpu = (
        _pixels_of_step(effective_space(one, changes))
        for one, changes in ((space_name, overrides), (CPU_SPACE, Overrides()))
    )
    if of_space <= MUCH_LARGER * of_cpu:
        return None
    from ptxcore.training import has_gpu

    if has_gpu():
        return None
    told = forecast(
        space_name,
        store=store,
        home=home,
        name=name,
        seed=seed,
        overrides=overrides,
        plan_options=plan_options,
        num_threads=request.cpus or 1,
    )
    at_once = max(1, num_processors() // (request.cpus or 1))
    at_once = min(at_once, request.workers or at_once, told.space.num_folds_expected)
    long = (
        "do not fit in its memory"
        if told.seconds is None
        else f"take {told.space.how_sure} {duration(told.seconds / at_once)}, "
        f"{count(at_once, 'fold')} at once"
    )
    return (
        f"found no GPU on this machine, and the training steps of {told.sweep} {long}; the space "
        f"{CPU_SPACE!r} is for such machines"
    )


def _pixels_of_step(space: SearchSpace) -> int:
    """How much a step of the defaults computes, by its pixels and the width of the network."""
    settings = FoldSettings.from_mapping(space.complete(space.defaults()))
    side = settings.patch_size or settings.image_size or _OWN_GRID_PX
    return side**2 * settings.batch_size * settings.channels


def _num_steps(settings: FoldSettings, plan: FoldPlan) -> int:
    """Training steps of a fold that early stopping does not end."""
    num_trained = len(plan.search.training(0))
    steps = settings.steps_per_epoch or math.ceil(num_trained / settings.batch_size)
    return steps * settings.max_epochs


def _of(space: SearchSpace) -> SpaceForecast:
    policy, tree = space.policy, space.tree()
    return SpaceForecast(
        name=space.name,
        source=space.source,
        description=" ".join(space.description.split()),
        metric=space.objective.metric,
        policy=policy.name,
        pruner=space.pruner.name,
        measured=measured_like(policy, space.pruner.name, space.num_folds),
        looks=policy.looks(),
        num_trials=policy.num_trials,
        num_folds=space.num_folds,
        num_folds_expected=expected_folds([], space.num_folds, policy),
        num_folds_most=policy.num_trials * space.num_folds,
        is_bound=policy.min_gain is not None,
        max_epochs=FoldSettings.from_mapping(space.complete(space.defaults())).max_epochs,
        parameters=dict(tree["parameters"]),
        fixed=dict(space.fixed),
    )
