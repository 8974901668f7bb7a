"""`ptxsweep list` and `ptxsweep show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    console,
    emit,
    home_options,
    json_option,
    open_home,
    say,
)
from sweep.cli._help import command
from sweep.util.words import count

if TYPE_CHECKING:
    from sweep.analysis.summary import SweepSummary, TrialSummary

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
    from sweep.analysis.cohort import cohort_of
    from sweep.analysis.operating_point import objective_rule
    from sweep.analysis.selection_bias import cautions, spoken
    from sweep.analysis.verdict import verdict
    from sweep.ledger import Ledger, list_sweeps, require_ledger

    home = open_home(options)
    require_ledger(home.ledger_url)
    sweeps: list[dict[str, Any]] = []
    for name in list_sweeps(home.ledger_url):
        ledger = Ledger.open(home.ledger_url, name)
        projection = ledger.projection
        said, warned = verdict(projection), cautions(projection)
        found = said.standing
        sweeps.append(
            {
                "name": name,
                "state": projection.sweep_state,
                "reason": projection.sweep_reason,
                "num_trials": len(projection.trials),
                "num_folds_run": sum(len(trial.folds) for trial in projection.trials),
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
            }
        )
        ledger.close()
    if as_json:
        emit({"sweeps": sweeps})
        return
    click.echo(f"{'sweep':24} {'state':12} {'trials':>6} {'folds':>6}  who leads, on which cases")
    for sweep in sweeps:
        click.echo(
            f"{sweep['name']:24} {sweep['state']:12} {sweep['num_trials']:6} "
            f"{sweep['num_folds_run']:6}  {sweep['short']}"
            + _cases(sweep["cohort"])
            + ("  phantom" if sweep["phantom"] else "")
            + "".join(f"  {label}" for label in sweep["cautions"])
        )


@command("show")
@click.argument("name")
@home_options
@json_option
def show_command(name: str, as_json: bool, **options: Any) -> None:
    """Show every trial of the sweep NAME: state, configuration, fold scores, seconds.

    Seconds of a fold that was not finished are those from its start to its end.
    """
    from sweep.analysis.operating_point import fill
    from sweep.analysis.summary import summarise
    from sweep.ledger import Ledger

    home = open_home(options)
    ledger = Ledger.open(home.ledger_url, name)
    fill(ledger.projection, home.sweep_folder(name))
    summary = summarise(ledger)
    ledger.close()
    if as_json:
        emit(summary)
    else:
        print_sweep(summary)


def print_sweep(summary: SweepSummary) -> None:
    """A sweep as a table, and what it found in a few lines."""
    from rich.table import Table

    from sweep.analysis.cohort import describe
    from sweep.analysis.operating_point import objective_name

    num_folds = max((len(trial.fold_scores) for trial in summary.trials), default=0)
    table = Table(
        title=f"{summary.name}{' (phantom)' if summary.phantom else ''}",
        caption=f"in brackets: means of fewer than {count(num_folds, 'fold')}, which cannot win "
        "and do not compare with the others"
        if any(_mean(trial).startswith("(") for trial in summary.trials)
        else None,
    )
    objective = objective_name(summary.metric)
    for heading in ("trial", "state", objective, "folds", "seconds", "parameters"):
        table.add_column(heading, justify="right" if heading in ("trial", "seconds") else "left")
    for trial in summary.trials:
        scores = " ".join("-" if score is None else f"{score:.3f}" for score in trial.fold_scores)
        table.add_row(
            f"{trial.number}{' *' if trial.number == summary.best else ''}",
            trial.state
            + (f": {trial.reason}" if trial.reason and trial.state == "failed" else "")
            + (f", batches in {trial.batch_parts} parts" if trial.batch_parts > 1 else ""),
            _mean(trial),
            scores,
            f"{trial.seconds:.1f}",
            ", ".join(f"{key} {_short(value)}" for key, value in trial.parameters.items()),
        )
    console().print(table)
    num_stopped = summary.num_folds_stopped
    stopped = f", {num_stopped} stopped on the way" if num_stopped else ""
    click.echo(
        f"{summary.state}{f': {summary.reason}' if summary.reason else ''}; "
        f"{count(summary.num_folds_run, 'fold')} run{stopped}, a full grid takes "
        f"{summary.num_folds_full_grid}"
    )
    if (cohort := describe(summary.cohort)) is not None:
        click.echo(f"cases: {cohort}")
    for sentence in summary.sentences:
        click.echo(sentence)
    if summary.best is not None:
        _print_winner(summary)
    if summary.warning is not None:
        say(f"warning: {summary.warning}")
    if summary.caution is not None:
        say(f"caution: {summary.caution}")


def _mean(trial: TrialSummary) -> str:
    """In brackets where folds are missing: the easy ones may be there, the hard ones not."""
    from sweep.records import State

    if trial.mean is None:
        return "-"
    return f"{trial.mean:.4f}" if trial.state == State.COMPLETE else f"({trial.mean:.4f})"


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


def _cases(cohort: dict[str, Any]) -> str:
    """How many cases took part; nothing of an older sweep."""
    if not cohort:
        return ""
    return f"  cases {cohort['num_cases']} ({cohort['num_positive']} positive)"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
