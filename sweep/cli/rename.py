"""`ptxsweep rename`."""

from __future__ import annotations

from typing import Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home, say
from sweep.cli._help import command


@command("rename")
@click.argument("old")
@click.argument("new")
@home_options
@json_option
def rename_command(old: str, new: str, as_json: bool, **options: Any) -> None:
    """Give the sweep OLD the name NEW, in the ledger, its folder and MLflow.

    Its confirmation and the uses of its hold-out go with it; runs in MLflow stay the same runs. A
    sweep that runs is refused (`ptxsweep stop`), and one that a registered model comes from. A
    rename that was cut off is ended, or undone, by the next command.
    """
    home = open_home(options)

    from sweep.rename import rename

    done = rename(home, old, new)
    if as_json:
        emit(done)
        return
    also = "" if done.confirmation is None else f", and its confirmation {done.confirmation}"
    click.echo(f"{done.former} is {done.name} now{also}")
    if done.in_mlflow is False:
        say(f"MLflow is away; `ptxsweep sync {done.name}` gives it the new name")
