"""`ptxsweep rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home
from sweep.cli._help import command

if TYPE_CHECKING:
    from sweep.storage.home import Home


@command("rollback")
@click.argument("name", required=False)
@click.option("--model-name", help="In MLflow's registry, instead of the sweep's NAME.")
@click.option("--reason", metavar="TEXT", help="Why, for whoever asks later; no patient data.")
@home_options
@json_option
def rollback_command(
    name: str | None, model_name: str | None, reason: str | None, as_json: bool, **options: Any
) -> None:
    """Make the champion before champion again; the present one becomes the one before.

    NAME is a sweep for whose metric the model is. No gate is asked and no hold-out is opened. Who
    did it, when and why is kept in the ledger, the report and both versions. Done twice it undoes
    itself.
    """
    roll_back(open_home(options), name, model_name, reason, as_json)


def roll_back(
    home: Home, name: str | None, model_name: str | None, reason: str | None, as_json: bool
) -> None:
    """Do it and say so, also for `ptxsweep promote --rollback`."""
    from sweep.promotion.rollback import rollback

    done = rollback(home, name, model_name=model_name, reason=reason)
    if as_json:
        emit(done)
        return
    click.echo(
        f"{done.model_name}: version {done.version} is champion again, and version "
        f"{done.rolled_back_version} the one before (a second rollback undoes it)"
    )
    kept = f"the evidence of {', '.join(done.sweeps)} and " if done.sweeps else ""
    click.echo(f"kept in {kept}both versions' tags: {done.reason or 'no reason given'}")
