"""`ptxsweep space`: search spaces before a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import emit, json_option
from sweep.cli._help import Command
from sweep.util.words import count, duration

if TYPE_CHECKING:
    from sweep.forecast import SpaceForecast, SweepForecast


@click.group("space")
def space_command() -> None:
    """List the shipped search spaces, or check one of your own."""


space_command.command_class = Command


@space_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the shipped search spaces: what each is for, and how many folds it takes."""
    from sweep.forecast import forecast_space
    from sweep.space import shipped_spaces

    spaces = [forecast_space(name) for name in shipped_spaces()]
    if as_json:
        emit({"spaces": spaces})
        return
    for told in spaces:
        click.echo(f"{told.name}: {told.description}")
        click.echo(f"  {_folds(told)}")


@space_command.command("check")
@click.argument("space")
@json_option
def check_command(space: str, as_json: bool) -> None:
    """Check SPACE, a YAML file or a shipped search space, as `run` would.

    All mistakes are told at once, each with its line, what was found and what was expected; the
    exit code is 2 then.
    """
    from sweep.forecast import forecast_space

    told = forecast_space(space)
    if as_json:
        emit(told)
        return
    print_space(told)


def print_space(told: SpaceForecast) -> None:
    """What a sound search space asks for."""
    click.echo(f"{told.name}: sound; the objective is {told.metric}")
    for name, spec in told.parameters.items():
        click.echo(f"  {name:24} {_range(spec)}")
    click.echo(_folds(told))
    click.echo(_measured(told))


def print_forecast(told: SweepForecast) -> None:
    """What a sweep would be, and about how long."""
    from sweep.analysis.cohort import describe

    print_space(told.space)
    if (cases := describe(told.cohort)) is not None:
        click.echo(f"cases: {cases}")
    if told.seconds_per_fold is None or told.seconds is None:
        click.echo("a training step of the defaults does not fit in the memory of this machine")
    else:
        click.echo(
            f"at the defaults a fold's training steps take {duration(told.seconds_per_fold)} on "
            f"CPU here ({told.precision}, {count(told.space.max_epochs, 'epoch')}), so all "
            f"{told.space.how_sure} {duration(told.seconds)} one after another; scoring comes on "
            "top, early stopping and pruning save"
        )
    if told.budget_seconds is not None:
        click.echo(f"--hours ends it after {duration(told.budget_seconds)}")
    click.echo(f"nothing was started; without --dry-run this becomes the sweep {told.sweep!r}")


def _folds(told: SpaceForecast) -> str:
    return (
        f"{count(told.num_trials, 'trial')} of {count(told.num_folds, 'fold')}, policy "
        f"{told.policy}: {told.how_sure} {count(told.num_folds_expected, 'fold')}, and "
        f"{told.num_folds_most:,} in a full grid"
    )


def _measured(told: SpaceForecast) -> str:
    """What the policy and the pruner cost in replays."""
    pair = told.policy if told.pruner == "none" else f"{told.policy} with {told.pruner}"
    if (found := told.measured) is None:
        return f"in replays: {pair} was not measured; `ptxsweep simulate` does it on a table"
    end = {"all": "", "decided": ", until decided"}.get(found.end, f", end at {found.end}")
    return (
        f"in replays: {pair}{end}, cost {found.cost:.0%} of a full grid at a regret of "
        f"{found.regret:.3f} of (best - median), and found the best in {found.hit:.0%}; nearest in "
        f"size: {count(found.num_tables, 'table')} of {count(found.num_trials, 'trial')} of "
        f"{count(found.num_folds, 'fold')}" + _looks(told)
    )


def _looks(told: SpaceForecast) -> str:
    """Where a wave is looked at, beside where those were that were measured."""
    if not told.looks or told.measured is None:
        return ""
    epochs = " and ".join(map(str, told.looks))
    measured, all_epochs = told.measured.looks, count(told.max_epochs, "epoch")
    return f", with {measured} of a fold; here after {epochs} of {all_epochs}"


def _range(spec: dict[str, Any]) -> str:
    if "choices" in spec:
        text = f"one of {', '.join(map(str, spec['choices']))}"
    else:
        text = f"{spec['low']} to {spec['high']}"
        text += ", logarithmic" if spec.get("log") else ""
        text += f", in steps of {spec['step']}" if spec.get("step") else ""
    conditions = [f"{name} is {value}" for name, value in (spec.get("when") or {}).items()]
    return f"{text} [{spec['default']}]" + (f" where {' and '.join(conditions)}" * bool(conditions))
