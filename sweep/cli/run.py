"""`ptxsweep run` and `ptxsweep resume`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    STORE,
    Function,
    emit,
    home_options,
    json_option,
    open_home,
    parse_settings,
    precision_option,
    say,
    verifying,
)
from sweep.cli._help import command

if TYPE_CHECKING:
    from sweep.analysis.summary import SweepSummary
    from sweep.ray.resources import ResourceRequest
    from sweep.search.budget import Budget


def resource_options(function: Function) -> Function:
    """Options of every command that trains."""
    options = (
        click.option(
            "--hours",
            type=float,
            help="End the sweep after this time, with everything recorded.",
        ),
        click.option(
            "--gpu-hours",
            type=float,
            help="Likewise after this time on GPUs: all attempts times --gpus-per-trial.",
        ),
        click.option(
            "--max-cost",
            type=float,
            help="Likewise once all attempts cost this, by the prices of an hour.",
        ),
        click.option(
            "--price-per-gpu-hour",
            type=float,
            help="Of one GPU, in any currency; progress, `show` and `list` then say what it cost.",
        ),
        click.option(
            "--price-per-cpu-hour",
            type=float,
            help="Of one CPU likewise; of both given, both count.",
        ),
        click.option(
            "--address",
            envvar="PTXSWEEP_ADDRESS",
            help="Of a running Ray cluster; without it Ray starts here [PTXSWEEP_ADDRESS].",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1),
            envvar="PTXSWEEP_WORKERS",
            help="Folds at once, all that fit unless given [PTXSWEEP_WORKERS].",
        ),
        click.option(
            "--cpus-per-trial",
            "cpus",
            type=click.IntRange(1),
            help="CPUs of one trial: its threads, beside a GPU also the processes that make its "
            "batches [1; beside a GPU what each host has for it, 4 at most].",
        ),
        click.option(
            "--gpus-per-trial",
            "gpus",
            type=click.FloatRange(0),
            help="GPUs of one trial, a fraction shares one; 0 trains on CPUs "
            "[1 if a host has any].",
        ),
        click.option(
            "--niceness",
            type=click.IntRange(0, 19),
            envvar="PTXSWEEP_NICENESS",
            help="Of the processes that train, where Ray is started here: 19 gives way to whatever "
            "else runs, 0 to nothing [0; PTXSWEEP_NICENESS].",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def take_resources(options: dict[str, Any]) -> ResourceRequest:
    """Take what a trial runs on out of a command's arguments."""
    from sweep.ray.resources import ResourceRequest

    names = ("address", "workers", "cpus", "gpus", "niceness")
    return ResourceRequest(**{name: options.pop(name) for name in names})


def take_budget(options: dict[str, Any]) -> Budget:
    """Take what ends a sweep out of a command's arguments."""
    from sweep.search.budget import Budget

    names = ("hours", "gpu_hours", "max_cost", "price_per_gpu_hour", "price_per_cpu_hour")
    return Budget(**{name: options.pop(name) for name in names})


@command("run")
@click.argument("space")
@click.option(
    "--store",
    type=STORE,
    required=True,
    envvar="PTXSWEEP_STORE",
    help="Case store written by `ptxsweep data import`, or where `data upload` put it "
    "[PTXSWEEP_STORE].",
)
@click.option("--name", help="Of the sweep [the name in SPACE].")
@click.option(
    "--or-resume",
    is_flag=True,
    help="Go on with the sweep if one of this name exists; print it if it is finished.",
)
@click.option("--num-trials", type=click.IntRange(1), help="Configurations to try.")
@click.option(
    "--num-completions",
    type=click.IntRange(1),
    help="Complete configurations that end the sweep, instead of the policy's own estimate.",
)
@click.option("--folds", "num_folds", type=click.IntRange(2), help="Folds of the plan.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Hold a setting at a value; may be given many times.",
)
@click.option(
    "--cases",
    type=click.Choice(["all", "positive"]),
    default="all",
    show_default=True,
    help="Which cases of the store take part.",
)
@click.option(
    "--holdout-fraction",
    type=click.FloatRange(0, 0.5),
    default=0.15,
    show_default=True,
    help="Share of the cases that the search never sees.",
)
@click.option(
    "--monitor-fraction",
    type=click.FloatRange(0.01, 0.5),
    default=0.15,
    show_default=True,
    help="Share of each training part that early stopping watches.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything, time a few training steps here, say how many folds and about how long; "
    "nothing is started or written.",
)
@precision_option
@resource_options
@home_options
@json_option
def run_command(
    space: str,
    store: Path | str,
    name: str | None,
    num_trials: int | None,
    num_completions: int | None,
    num_folds: int | None,
    settings: tuple[str, ...],
    seed: int,
    precision: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Start a sweep over SPACE, a shipped search space or a YAML file.

    Ctrl-C stops it cleanly; `ptxsweep resume` goes on. Exit code 4 says that it was interrupted.
    """
    fixed = parse_settings(settings)

    from sweep import launch
    from sweep.cli.live import watching
    from sweep.records import SweepState
    from sweep.space import load_space
    from sweep.space.overrides import Overrides

    overrides = Overrides(
        fixed=fixed,
        num_trials=num_trials,
        num_completions=num_completions,
        num_folds=num_folds,
    )
    plan = launch.PlanOptions(
        cases=options.pop("cases"),
        holdout_fraction=options.pop("holdout_fraction"),
        monitor_fraction=options.pop("monitor_fraction"),
    )
    home, resources, budget = open_home(options), take_resources(options), take_budget(options)
    if options.pop("dry_run"):
        from sweep.cli.space import print_forecast
        from sweep.forecast import forecast

        told = forecast(
            space,
            store=store,
            home=home,
            name=name,
            seed=seed,
            overrides=overrides,
            plan_options=plan,
            num_threads=resources.cpus or 1,
            budget=budget,
        )
        emit(told) if as_json else print_forecast(told)
        return 0
    if options.pop("or_resume"):
        known = name or load_space(space, has_begun=True).name
        if (found := launch.find(known, home)) is not None:
            if found.state is SweepState.FINISHED:
                return _finish(found, as_json)
            with watching(known) as on_progress:
                summary = launch.resume(
                    known,
                    home=home,
                    store=store,
                    resources=resources,
                    budget=budget,
                    on_progress=on_progress,
                    on_verify=verifying(),
                )
            return _finish(summary, as_json)
    from sweep.forecast import slow_without_gpu

    slow = slow_without_gpu(
        space,
        store=store,
        home=home,
        name=name,
        seed=seed,
        overrides=overrides,
        plan_options=plan,
        request=resources,
    )
    if slow is not None:
        say(f"note: {slow}")
    with watching(name or Path(space).stem) as on_progress:
        summary = launch.run(
            space,
            store=store,
            home=home,
            name=name,
            seed=seed,
            overrides=overrides,
            plan_options=plan,
            resources=resources,
            precision=precision,
            budget=budget,
            on_progress=on_progress,
            on_verify=verifying(),
        )
    return _finish(summary, as_json)


@command("resume")
@click.argument("name")
@click.option("--store", type=STORE, help="Where the case store is now, if it moved.")
@resource_options
@home_options
@json_option
def resume_command(name: str, store: Path | str | None, as_json: bool, **options: Any) -> int:
    """Go on with the interrupted sweep NAME: finished folds stay, unfinished ones continue."""
    home = open_home(options)

    from sweep import launch
    from sweep.cli.live import watching

    resources, budget = take_resources(options), take_budget(options)
    with watching(name) as on_progress:
        summary = launch.resume(
            name,
            home=home,
            store=store,
            resources=resources,
            budget=budget,
            on_progress=on_progress,
            on_verify=verifying(),
        )
    return _finish(summary, as_json)


def _finish(summary: SweepSummary, as_json: bool) -> int:
    """Print the result; 4 when the sweep can go on."""
    from sweep.cli._app import INTERRUPTED, OK
    from sweep.cli.show import print_sweep
    from sweep.records import SweepState

    if as_json:
        emit(summary)
    else:
        print_sweep(summary)
    if summary.state is not SweepState.FINISHED:
        say(f"interrupted ({summary.reason}); `ptxsweep resume {summary.name}` goes on with it")
        return INTERRUPTED
    return OK
