"""`ptxsweep list` and `ptxsweep show`."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sweep.cli._common import (
    PREVALENCE,
    STORE,
    console,
    emit,
    home_options,
    json_option,
    open_home,
    say,
    without_collector,
)
from sweep.cli._help import command
from sweep.cli.trial_table import NUM_ROWS, ORDERS, Selection, trial_table
from sweep.util.words import count, duration

if TYPE_CHECKING:
    from pathlib import Path

    from sweep.analysis.cost import Cost
    from sweep.analysis.summary import SweepSummary

#: Columns that no table needs.
_WIDE = 1_000
#: Shown for the winner, in this order, beside the objective.
_OFFICIAL = (
    *("dice", "dice_positive", "iou", "case_sensitivity", "case_specificity", "case_precision"),
    *("calibration_error", "surface_dice", "hausdorff95_mm"),
)


@command("list")
@home_options
@json_option
def list_command(as_json: bool, **options: Any) -> None:
    """List the sweeps of a ledger with their state."""
    without_collector()
    from sweep.analysis.cohort import cohort_of
    from sweep.analysis.cost import cost_of
    from sweep.analysis.operating_point import objective_rule
    from sweep.analysis.phrases import note_text
    from sweep.analysis.selection_bias import cautions, spoken
    from sweep.analysis.verdict import verdict
    from sweep.ledger import require_ledger
    from sweep.ledger.catalog import sweep_names
    from sweep.ledger.connection import open_rows, readable
    from sweep.ledger.read import read_rows
    from sweep.records import State

    home = open_home(options)
    require_ledger(home.ledger_url)
    sweeps: list[dict[str, Any]] = []
    stopped = (State.PRUNED, State.FAILED, State.ABANDONED)
    projections = {}
    with open_rows(home.ledger_url) as rows:
        with readable():
            names = sweep_names(rows)
        projections = {name: read_rows(rows, name) for name in names}
    for name, projection in projections.items():
        said, warned = verdict(projection), cautions(projection)
        found = said.standing
        sweeps.append(
            {
                "name": name,
                "state": projection.sweep_state,
                "reason": projection.sweep_reason,
                "num_trials": len(projection.trials),
                "num_folds_run": sum(len(trial.folds) for trial in projection.trials),
                "num_stopped": sum(trial.state in stopped for trial in projection.trials),
                "seconds": math.fsum(trial.total_seconds for trial in projection.trials),
                "metric": projection.header.metric,
                "threshold": objective_rule(projection),
                "best": None if found.winner is None else found.mean,
                "standing": found,
                "second": said.second,
                "nothing": said.nothing,
                "verdict": said.text,
                "short": said.short,
                "phantom": projection.header.is_phantom,
                "caution": spoken(warned),
                "cautions": [label.label for label in warned],
                "cohort": cohort_of(projection.header),
                "created_at": projection.header.created_at,
                "notes": projection.notes,
                "cost": cost_of(projection),
            }
        )
    if as_json:
        emit({"sweeps": sweeps})
        return
    click.echo(
        f"{'sweep':24} {'state':12} {'trials':>6} {'folds':>6} {'stopped':>7} {'time':>10}  "
        "which leads, on which cases"
    )
    for sweep in sweeps:
        click.echo(
            f"{sweep['name']:24} {sweep['state']:12} {sweep['num_trials']:6} "
            f"{sweep['num_folds_run']:6} {sweep['num_stopped']:7} "
            f"{duration(sweep['seconds']):>10}  {sweep['short']}"
            + _cases(sweep["cohort"])
            + ("  phantom" if sweep["phantom"] else "")
            + "".join(f"  {label}" for label in sweep["cautions"])
            + _price(sweep["cost"])
            + "".join(f"  {note_text(note)}" for note in sweep["notes"][-1:])
        )


@command("show")
@click.argument("name")
@click.option("--all", "is_all", is_flag=True, help=f"Every trial, not the first {NUM_ROWS}.")
@click.option("--wide", "is_wide", is_flag=True, help="All parameters, however wide the lines get.")
@click.option(
    "--sort",
    "order",
    type=click.Choice(ORDERS),
    default="score",
    show_default=True,
    help="The best first, the lowest number, or what took most.",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    help="Only trials in this state (complete, running, parked, pruned, failed, abandoned); may be "
    "given many times.",
)
@click.option(
    "--prevalence",
    type=PREVALENCE,
    help="Say besides which Dice the winner promises where this share of cases is positive, under "
    "rules chosen for it, and what predicting nothing has there. No hold-out is opened.",
)
@click.option("--store", type=STORE, help="With --prevalence: where the cases are, if they moved.")
@home_options
@json_option
def show_command(
    name: str,
    is_all: bool,
    is_wide: bool,
    order: str,
    states: tuple[str, ...],
    prevalence: float | None,
    store: Path | str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the trials of the sweep NAME, best first: state, why it stopped, scores, parameters.

    Complete trials come before those that miss folds. The time of a fold that was not finished is
    that from its start to its end. With --json all trials are there, by number, unless --sort or
    --state is given.
    """
    without_collector()
    from sweep.analysis.confirmed import find_confirmed
    from sweep.analysis.operating_point import fill
    from sweep.analysis.summary import summary_of
    from sweep.ledger.read import read_sweep

    home = open_home(options)
    selection = Selection(order=order, states=_known(states), num_rows=None if is_all else NUM_ROWS)
    projection = read_sweep(home.ledger_url, name)
    fill(projection, home.sweep_folder(name))
    confirmed = find_confirmed(home.ledger_url, name, projection)
    summary = summary_of(name, projection, confirmed=confirmed)
    if prevalence is not None:
        from sweep.promotion.promise import promise

        promised = promise(home, name, prevalence, store)
        summary = dataclasses.replace(summary, promised=promised)
    if not as_json:
        print_sweep(summary, selection, _WIDE if is_wide else None)
        return
    order_given = click.get_current_context().get_parameter_source("order")
    if states or order_given is ParameterSource.COMMANDLINE:
        summary = dataclasses.replace(summary, trials=selection.of(summary))
    emit(summary)


def _known(states: tuple[str, ...]) -> tuple[str, ...]:
    from sweep.errors import UsageError
    from sweep.records import State

    for state in states:
        if state not in list(State):
            known = ", ".join(State)
            raise UsageError(f"--state: found {state!r}, expected one of {known}")
    return states


def print_sweep(
    summary: SweepSummary, selection: Selection | None = None, width: int | None = None
) -> None:
    """A sweep as a table, and what it found in a few lines."""
    from sweep.analysis.cohort import describe
    from sweep.analysis.cost import sentence as cost_text
    from sweep.analysis.detection import sentence as told_apart
    from sweep.analysis.phrases import note_text
    from sweep.analysis.resampling import sentences as resampled

    screen = console(width)
    screen.print(trial_table(summary, selection or Selection(), screen.width))
    num_stopped = summary.num_folds_stopped
    stopped = f", {num_stopped} stopped on the way" if num_stopped else ""
    click.echo(
        f"{summary.state}{f': {summary.reason}' if summary.reason else ''}; "
        f"{count(summary.num_folds_run, 'fold')} run{stopped}, a full grid takes "
        f"{summary.num_folds_full_grid}"
    )
    if (cohort := describe(summary.cohort)) is not None:
        click.echo(f"cases: {cohort}")
    if summary.cost is not None and (text := cost_text(summary.cost)) is not None:
        click.echo(text)
    for note in summary.notes:
        click.echo(note_text(note))
    for sentence in summary.sentences:
        click.echo(sentence)
    for sentence in () if summary.resampling is None else resampled(summary.resampling):
        click.echo(sentence)
    if summary.detection is not None:
        click.echo(told_apart(summary.detection))
    if summary.promised is not None:
        click.echo(f"Out of fold: {summary.promised.sentence}.")
    if summary.confirmed is not None:
        click.echo(summary.confirmed.sentence)
    if summary.best is not None:
        _print_winner(summary)
    if summary.warning is not None:
        say(f"warning: {summary.warning}")
    if summary.caution is not None:
        say(f"caution: {summary.caution}")


def _print_winner(summary: SweepSummary) -> None:
    assert summary.best is not None
    from ptxcore.metrics import better, needs_threshold
    from sweep.analysis.operating_point import FIXED, rule_text

    metrics = summary.trials[summary.best].metrics
    click.echo(f"winner: trial {summary.best}, mean and SD over the folds")
    winner = summary.trials[summary.best]
    if needs_threshold(summary.metric):
        rule = rule_text(FIXED, winner.settings)
        click.echo(f"  {'objective':20} {winner.mean:.4f} ({summary.metric}, {rule})")
    for name in dict.fromkeys((summary.metric, *_OFFICIAL)):
        if name in metrics:
            said = ["lower is better"] if better(name) == "lower" else []
            if needs_threshold(name):
                said.append(rule_text(metrics[name]["threshold"], winner.settings))
            click.echo(
                f"  {name:20} {metrics[name]['mean']:.4f} +- {metrics[name]['sd']:.4f}"
                + (f" ({', '.join(said)})" if said else "")
            )
    for choice in winner.choices:
        text = ", ".join(
            f"{key} {str(value).lower()}" for key, value in choice["inference"].items()
        )
        chosen = " (chosen)" if choice["inference"] == winner.inference else ""
        click.echo(f"  with {text}: {summary.metric} {choice['mean']:.4f}{chosen}")
    if summary.baseline is not None:
        click.echo(f"  {'predicting nothing':20} {summary.baseline:.4f} (dice, both empty = 1)")


def _price(cost: Cost | None) -> str:
    """What it cost; nothing where no price was given."""
    return "" if cost is None or cost.money is None else f"  cost {cost.money}"


def _cases(cohort: dict[str, Any]) -> str:
    """How many cases took part; nothing of an older sweep."""
    if not cohort:
        return ""
    return f"  cases {cohort['num_cases']} ({cohort['num_positive']} positive)"
