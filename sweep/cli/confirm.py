"""`ptxsweep confirm`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    STORE,
    comparing,
    counter,
    emit,
    home_options,
    json_option,
    open_home,
    prevalence_option,
    say,
    verifying,
)
from sweep.cli._help import command
from sweep.cli.run import resource_options, take_budget, take_resources

if TYPE_CHECKING:
    from sweep.confirm import Confirmed


@command("confirm")
@click.argument("name")
@click.option(
    "--top",
    type=click.IntRange(1),
    help="Best complete trials that are trained again; the default beside them [3].",
)
@click.option(
    "--gate",
    "gate_name",
    metavar="FILE|NAME",
    default="superior",
    show_default=True,
    help="What `promote` will ask for: where the hold-out has too few patients for it, nothing is "
    "trained or opened.",
)
@prevalence_option
@click.option("--store", type=STORE, help="Where the case store is now, if it moved.")
@resource_options
@home_options
@json_option
def confirm_command(
    name: str,
    top: int | None,
    gate_name: str,
    prevalence: float | None,
    store: Path | str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Train the best trials of the sweep NAME on fresh folds, then open the hold-out once.

    The search's own folds chose the winner, so its score there is too high. The fresh folds are
    another partition of the same cases, which no search has scored; the hold-out stays the same.
    They are a sweep of their own, NAME.confirm, with views and a report as any other. The best of
    them is what `ptxsweep promote NAME` promotes from then on. Exit code 4 says that it was
    interrupted: the same command goes on.
    """
    home = open_home(options)

    from sweep.cli._app import INTERRUPTED, OK
    from sweep.cli.live import watching
    from sweep.cli.promote import print_holdout
    from sweep.confirm import confirm
    from sweep.promotion.gate_file import load_gate
    from sweep.records import SweepState

    resources, budget = take_resources(options), take_budget(options)
    with watching(f"{name}.confirm") as on_progress:
        found = confirm(
            home,
            name,
            top=top,
            gate=load_gate(gate_name),
            prevalence=prevalence,
            store=store,
            resources=resources,
            budget=budget,
            on_progress=on_progress,
            on_verify=verifying(),
            on_compare=comparing(),
            on_scored=counter("scored"),
        )
    if as_json:
        emit(found)
    else:
        _print_scores(found)
        if found.holdout is not None:
            print_holdout(found.holdout)
    if found.summary.state is not SweepState.FINISHED:
        say(f"interrupted ({found.summary.reason}); `ptxsweep confirm {name}` goes on with it")
        return INTERRUPTED
    say(f"`ptxsweep promote {name}` asks the gate")
    return OK


def _print_scores(found: Confirmed) -> None:
    from sweep.cli.show import print_sweep

    print_sweep(found.summary)
    click.echo(found.score.sentence)
