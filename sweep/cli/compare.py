"""`ptxsweep compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    console,
    emit,
    home_options,
    json_option,
    open_home,
    without_collector,
)
from sweep.cli._help import command
from sweep.cli.trial_table import NUM_ROWS, cut, short
from sweep.util.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sweep.analysis.compare import Compared, Comparison
    from sweep.analysis.statistics import PairedDifference

#: Characters between two columns; of what changed, below which it is left out.
_GAP, _LEAST_CHANGED = 2, 20
#: Headings where there is room: means of a fold, and of all folds together.
_EFFORT = ["epochs", "seconds"]
_EPILOG = """\b
difference  mean over folds of the trial minus the reference, on the same folds
95%         its interval, corrected for overlapping training parts (Nadeau and Bengio 2003) and
            for the number of trials looked at, those stopped or parked too
p           of the difference, corrected likewise: below 0.05 where the interval leaves out 0
shown       what the folds show at the margin: better, worse, equivalent (two one-sided tests
            show that the difference is smaller than it) or undecided"""


@command("compare", epilog=_EPILOG)
@click.argument("name")
@click.option("--against", default=0, show_default=True, type=click.IntRange(0), help="A trial.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="May be given many times [the objective, dice_positive and dice].",
)
@click.option(
    "--margin",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="A difference that does not matter, in the metric's unit.",
)
@click.option(
    "--all", "is_all", is_flag=True, help=f"Every trial, not the best {NUM_ROWS} of each metric."
)
@home_options
@json_option
def compare_command(
    name: str,
    is_all: bool,
    against: int,
    metrics: tuple[str, ...],
    margin: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare the complete trials of the sweep NAME with one of them, fold by fold.

    The reference comes first, then the best by each metric; with --json all are there, by number.
    Metrics of masks stand at the threshold that the other folds choose, as a model is deployed; an
    objective of masks at the fixed one of the settings, by which the search ranks. Captions and
    "threshold" say which.
    """
    without_collector()
    from sweep.analysis.compare import compare
    from sweep.analysis.operating_point import fill
    from sweep.analysis.selection_bias import caution
    from sweep.analysis.verdict import verdict
    from sweep.ledger.read import read_sweep

    home = open_home(options)
    projection = read_sweep(home.ledger_url, name)
    fill(projection, home.sweep_folder(name))
    said = verdict(projection)
    wanted = metrics or (None, "dice_positive", "dice")  # None: the objective
    made = [
        compare(projection, metric=metric, reference=against, margin=margin)
        for metric in dict.fromkeys(wanted)
    ]
    found = list(
        {(comparison.metric, comparison.threshold): comparison for comparison in made}.values()
    )
    if as_json:
        from ptxcore.metrics import convention

        emit(
            {
                "name": name,
                "phantom": projection.header.is_phantom,
                "caution": caution(projection),
                "standing": said.standing,
                "second": said.second,
                "nothing": said.nothing,
                "verdict": said.text,
                "conventions": {
                    comparison.metric: convention(comparison.metric) for comparison in found
                },
                "comparisons": found,
            }
        )
        return
    title = f"{name}{' (phantom)' if projection.header.is_phantom else ''}"
    for comparison in found:
        _print(title, comparison, caution(projection), None if is_all else NUM_ROWS)
    for sentence in said.sentences:
        click.echo(sentence)
    if found[0].num_left_out:
        click.echo(f"{count(found[0].num_left_out, 'trial')} left out: not complete, or not finite")
    click.echo(f"intervals reckon with {found[0].overlap}")


def _print(name: str, found: Comparison, warned: str | None, num_rows: int | None) -> None:
    """One metric as a table.

    Args:
        name: Title.
        found: What was compared.
        warned: What the scores are not.
        num_rows: The most that are shown, the reference among them; None for all.
    """
    from rich.table import Table

    from ptxcore.metrics import better, convention
    from sweep.analysis.operating_point import rule_text

    sign = 1 if better(found.metric) == "lower" else -1
    reference, *others = found.trials
    shown = [reference, *sorted(others, key=lambda trial: sign * trial.interval.mean)][:num_rows]
    left = len(found.trials) - len(shown)
    more = f"{count(left, 'more trial')}: --all shows them" if left else None
    screen = console()
    rows = [_cells(trial) for trial in shown]
    headings = ["trial", "mean +- SD", "difference", "95%", "p", f"shown\nat {found.margin:g}"]
    room = screen.width - _width(headings, rows)
    if room >= _width(_EFFORT, [_effort(trial) for trial in shown]) + _GAP + _LEAST_CHANGED:
        headings += _EFFORT
        rows = [[*row, *_effort(trial)] for row, trial in zip(rows, shown, strict=True)]
    room = screen.width - _width(headings, rows) - _GAP
    hidden = None if room >= _LEAST_CHANGED else "a wider terminal shows what changed"
    table = Table(
        title=f"{name}: {found.metric} against trial {found.reference}",
        caption="\n".join(
            text
            for text in (
                more,
                hidden,
                f"95% and p {found.correction}",
                convention(found.metric),
                rule_text(found.threshold),
                warned,
            )
            if text
        ),
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    if hidden is None:
        table.add_column("changed", no_wrap=True)
        rows = [[*row, cut(_changed(trial), room)] for row, trial in zip(rows, shown, strict=True)]
    for row in rows:
        table.add_row(*row)
    screen.print(table)


def _width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that a table takes."""
    first = [max(heading.split("\n"), key=len) for heading in headings]
    return sum(max(map(len, column)) + _GAP for column in zip(first, *rows, strict=True)) - _GAP


def _cells(trial: Compared) -> list[str]:
    difference = trial.difference
    return [
        str(trial.number),
        f"{trial.interval.mean:.4f} +- {trial.interval.sd:.4f}",
        "" if difference is None else f"{difference.mean:+.4f}",
        "" if difference is None else _span(difference),
        "" if difference is None else f"{trial.p_adjusted:.3f}",
        trial.word or "",
    ]


def _span(difference: PairedDifference) -> str:
    if difference.says_nothing:
        return "says nothing"
    return f"{difference.low:+.4f} to {difference.high:+.4f}"


def _effort(trial: Compared) -> list[str]:
    return [f"{trial.num_epochs:.1f}", f"{trial.seconds:.0f}"]


def _changed(trial: Compared) -> str:
    changed = ", ".join(f"{key} {short(value)}" for key, value in trial.changed.items())
    return changed or ("the reference" if trial.difference is None else "nothing")
