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
)
from sweep.cli._help import command
from sweep.cli.trial_table import NUM_ROWS
from sweep.util.words import count

if TYPE_CHECKING:
    from sweep.analysis.compare import Compared, Comparison

_EPILOG = """\b
difference  mean over folds of the trial minus the reference, on the same folds
95%         its interval, corrected for overlapping training parts (Nadeau and Bengio 2003) and
            for the number of trials looked at, those stopped or parked too
p           of the difference, corrected likewise: below 0.05 where the interval leaves out 0
shown       what the folds show: better, worse, equivalent (two one-sided tests show that the
            difference is smaller than the margin) or undecided"""


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
    from sweep.analysis.compare import compare
    from sweep.analysis.operating_point import fill
    from sweep.analysis.selection_bias import caution
    from sweep.analysis.verdict import verdict
    from sweep.ledger import Ledger

    home = open_home(options)
    ledger = Ledger.open(home.ledger_url, name)
    projection = ledger.projection
    ledger.close()
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
    said = (more, convention(found.metric), rule_text(found.threshold), warned)
    table = Table(
        title=f"{name}: {found.metric} against trial {found.reference}",
        caption="\n".join(text for text in said if text),
    )
    headings = ("trial", "changed", "mean +- SD", "difference", f"95%, {found.correction}", "p",
                f"shown, margin {found.margin:g}", "epochs", "seconds")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "changed" else "right")
    for trial in shown:
        table.add_row(*_cells(trial))
    console().print(table)


def _cells(trial: Compared) -> list[str]:
    changed = ", ".join(f"{key} {_short(value)}" for key, value in trial.changed.items())
    difference = trial.difference
    return [
        str(trial.number),
        changed or ("the reference" if difference is None else "nothing"),
        f"{trial.interval.mean:.4f} +- {trial.interval.sd:.4f}",
        "" if difference is None else f"{difference.mean:+.4f}",
        "" if difference is None else f"{difference.low:+.4f} to {difference.high:+.4f}",
        "" if difference is None else f"{trial.p_adjusted:.3f}",
        trial.word or "",
        f"{trial.num_epochs:.1f}",
        f"{trial.seconds:.0f}",
    ]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
