"""`ptxsweep sync`."""

from __future__ import annotations

from typing import Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home
from sweep.cli._help import command
from sweep.util.words import count


@command("sync")
@click.argument("name")
@click.option("--fold-runs", is_flag=True, help="Send a run of each fold too, below its trial.")
@home_options
@json_option
def sync_command(name: str, fold_runs: bool, as_json: bool, **options: Any) -> None:
    """Send the sweep NAME to MLflow, from the ledger.

    A sweep sends itself while it runs. This is for one that ran while MLflow was away, or whose
    MLflow is lost or another one now, and for those of earlier versions, which have another layout:
    the sweep's run is kept and gets the present tags, and runs of its trials are made anew; the old
    ones are among MLflow's deleted runs. It may be called again, also while the sweep runs.
    """
    home = open_home(options)

    from sweep.sync import sync

    done = sync(home, name, fold_runs=fold_runs)
    if as_json:
        emit(done)
        return
    click.echo(
        f"{done.tracking_uri} has {count(done.num_trials, 'trial')} with "
        f"{count(done.num_folds, 'fold')}: run {done.run_id}"
    )
