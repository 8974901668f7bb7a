"""`ptxsweep delete`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home, say
from sweep.cli._help import command
from sweep.util.words import count

if TYPE_CHECKING:
    from sweep.delete import Deletion


@command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_options
@json_option
def delete_command(name: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Delete the sweep NAME for good: trials, weights, report, and its confirmation.

    Uses of its hold-out stay in the ledger and count for every sweep on the same cases. In MLflow
    its runs are marked as deleted, and `mlflow gc` frees them. A sweep that runs is refused
    (`ptxsweep stop`), and one that a registered model comes from.
    """
    from sweep.errors import UsageError

    home = open_home(options)

    from sweep.delete import delete, foresee

    if not yes:
        found = foresee(home, name)
        if as_json or not sys.stdin.isatty():
            raise UsageError(f"{_text(found)} would be deleted for good; --yes does it")
        click.confirm(f"Delete {_text(found)} for good?", abort=True, err=True)
    done = delete(home, name)
    if as_json:
        emit(done)
        return
    click.echo(f"deleted {_text(done)}")
    if done.num_runs:
        say(
            f"{count(done.num_runs, 'run')} in MLflow are marked as deleted; `mlflow gc "
            "--backend-store-uri ADDRESS` frees them"
        )


def _text(found: Deletion) -> str:
    """What goes, and what does not."""
    also = "" if found.confirmation is None else f" and {found.confirmation}"
    text = (
        f"the sweep {found.name}{also} ({found.state}, {count(found.num_trials, 'trial')}, "
        f"{found.num_bytes / 1e6:,.1f} MB of files"
    )
    if found.num_holdout_uses:
        uses = count(found.num_holdout_uses, "use")
        text += f"; {uses} of the hold-out stay{'s' if found.num_holdout_uses == 1 else ''} counted"
    return f"{text})"
