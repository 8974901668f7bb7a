"""`ptxsweep export-table`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sweep.cli._common import (
    OUTPUT_FILE,
    emit,
    home_options,
    json_option,
    open_home,
)
from sweep.cli._help import command
from sweep.util.words import count


@command("export-table")
@click.argument("name")
@click.option("--out", type=OUTPUT_FILE, help="A new .npz file [NAME.npz].")
@home_options
@json_option
def export_table_command(name: str, out: Path | None, as_json: bool, **options: Any) -> int:
    """Write the complete trials of the sweep NAME as a table for `ptxsweep simulate`.

    It holds fold scores, epoch values, seconds and parameters: nothing about a case.
    """
    home = open_home(options)

    from sweep.cli._app import OK
    from sweep.ledger import Ledger
    from sweep.simulate import save_table, table_of

    ledger = Ledger.open(home.ledger_url, name)
    table = table_of(name, ledger.projection)
    ledger.close()
    out = out or Path(f"{name}.npz")
    save_table(table, out)
    found = {
        "table": str(out),
        "num_trials": table.num_trials,
        "num_folds": table.num_folds,
        "num_epochs": 0 if table.curves is None else table.curves.shape[3],
        "notes": list(table.notes),
    }
    if as_json:
        emit(found)
    else:
        click.echo(
            f"{out}: {count(table.num_trials, 'trial')} x "
            f"{count(table.num_folds, 'fold')}, up to {found['num_epochs']} epochs"
        )
        for note in table.notes:
            click.echo(note)
    return OK
