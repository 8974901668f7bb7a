"""`ptxsweep promote`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    STORE,
    counter,
    emit,
    home_options,
    json_option,
    open_home,
    verifying,
)
from sweep.cli._help import command

if TYPE_CHECKING:
    from sweep.promotion.promote import Promotion


@command("promote")
@click.argument("name")
@click.option(
    "--model-name",
    help="In MLflow's registry [ptxsweep-METRIC of the sweep's objective, ptxsweep-phantom-METRIC "
    "of a drawing], so that all sweeps compete for one champion.",
)
@click.option("--store", type=STORE, help="Where the case store is now, if it moved.")
@click.option(
    "--min-gain",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="By how much Dice on the hold-out must exceed predicting nothing; as for all of these "
    "margins, the lower end of its interval decides.",
)
@click.option(
    "--min-dice-positive",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Least Dice over the positive cases of the hold-out.",
)
@click.option(
    "--max-loss",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="How far Dice may fall below the default configuration's.",
)
@click.option(
    "--min-lead",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="By how much Dice must exceed the champion's on the same cases.",
)
@click.option(
    "--force", is_flag=True, help="Promote against the gate; needs --reason, and the model says so."
)
@click.option(
    "--reason",
    metavar="TEXT",
    help="Why the gate is overruled; kept in the ledger, in MLflow and with the model, so without "
    "patient data.",
)
@click.option("--again", is_flag=True, help="Open the hold-out once more; uses are counted.")
@click.option("--rollback", is_flag=True, help="Make the previous champion champion again.")
@home_options
@json_option
def promote_command(
    name: str,
    model_name: str | None,
    store: Path | str | None,
    min_gain: float,
    min_dice_positive: float,
    max_loss: float,
    min_lead: float,
    force: bool,
    reason: str | None,
    again: bool,
    rollback: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make the winner of the sweep NAME the champion, if the evidence holds.

    The winner's five-fold ensemble is scored once on the locked hold-out, the default
    configuration's and the present champion beside it. Exit code 3 says that the gate refused it;
    the reasons stand on standard error and in the ledger.
    """
    home = open_home(options)

    if rollback:
        from sweep.promotion.rollback import rollback as roll_back

        done = roll_back(home, name, model_name=model_name)
        if as_json:
            emit(done)
        else:
            click.echo(f"{done.model_name}: version {done.version} is champion again")
        return
    from sweep.promotion import promote as promotion

    promoted = promotion.promote(
        home,
        name,
        model_name=model_name,
        gate=promotion.Gate(
            min_gain=min_gain,
            min_dice_positive=min_dice_positive,
            max_loss=max_loss,
            min_lead=min_lead,
        ),
        force=force,
        reason=reason,
        again=again,
        store=store,
        on_progress=counter("scored"),
        on_verify=verifying(),
    )
    if as_json:
        emit(promoted)
    else:
        print_promotion(promoted)


def print_promotion(promoted: Promotion) -> None:
    """Which version became champion, and on what evidence."""
    from sweep.analysis.selection_bias import of_data

    found = promoted.confirmation
    alone = found.num_positive == found.num_cases
    labels = ", ".join(one.label for one in of_data(phantom=found.phantom, positives_alone=alone))
    word = "is" if promoted.is_new else "was already"
    click.echo(
        f"trial {promoted.trial} {word} champion: {promoted.model_uri} "
        f"(version {promoted.version})"
        + (f", against the gate: {promoted.reason}" if promoted.forced else "")
    )
    click.echo(
        f"hold-out{f' ({labels})' if labels else ''}: {found.num_cases} cases, "
        f"{found.num_positive} positive; Dice {found.metrics['dice']:.4f} "
        f"({found.span('dice', '.4f')}, both empty = 1), "
        f"predicting nothing {found.baseline:.4f}"
    )
    click.echo(f"Dice over positive cases {found.metrics['dice_positive']:.4f}")
    if found.metrics.get("num_with_spacing", 0.0) > 0:
        click.echo(
            "outlines over positive cases: surface Dice at 2 mm "
            f"{found.metrics['surface_dice_positive']:.4f}, 95% Hausdorff distance "
            f"{found.metrics['hausdorff95_positive_mm']:.1f} mm (a miss = the image's diagonal)"
        )
    if promoted.verdict.eased:
        click.echo(f"the gate asked for less than usual: {', '.join(promoted.verdict.eased)}")
    for check in promoted.verdict.checks:
        click.echo(f"  {'passed' if check.passed else 'FAILED'}  {check}")
