"""`ptxsweep approve` and `ptxsweep reject`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import EXISTING_FILE, emit, home_options, json_option, open_home
from sweep.cli._help import command
from sweep.errors import GateRefused

if TYPE_CHECKING:
    from sweep.promotion.approval import Decision

_key_option = click.option(
    "--key",
    type=EXISTING_FILE,
    help="Your private key (`ssh-keygen -t ed25519`, no passphrase), which signs the decision; "
    "needed in a home with a file `approvers`, which has to name it.",
)


@command("approve")
@click.argument("model")
@_key_option
@click.option("--reason", metavar="TEXT", help="Why, for whoever asks later; no patient data.")
@home_options
@json_option
def approve_command(
    model: str, key: Path | None, reason: str | None, as_json: bool, **options: Any
) -> None:
    """Make the challenger of the registered MODEL its champion.

    `ptxsweep promote --request` made it challenger; whoever did cannot approve it. Its verdict must
    be one against the present champion: if that changed since, exit code 3 says that it has to be
    judged again.
    """
    from sweep.promotion.approval import approve

    home = open_home(options)
    try:
        done = approve(home, model, key=key, reason=reason)
    except GateRefused as refusal:
        if as_json:
            from sweep.cli.promote import emit_refusal

            emit_refusal(refusal)
        raise
    _show(done, as_json)


@command("reject")
@click.argument("model")
@click.option(
    "--reason", metavar="TEXT", required=True, help="Why it is turned down; no patient data."
)
@_key_option
@home_options
@json_option
def reject_command(
    model: str, reason: str, key: Path | None, as_json: bool, **options: Any
) -> None:
    """Turn the challenger of the registered MODEL down; the champion stays.

    The version stays in the registry with the reason, without the alias `challenger`.
    """
    from sweep.promotion.approval import reject

    _show(reject(open_home(options), model, reason=reason, key=key), as_json)


def _show(done: Decision, as_json: bool) -> None:
    if as_json:
        emit(done)
        return
    signed = ", signed" if done.signed else ""
    why = f": {done.reason}" if done.reason else ""
    click.echo(
        f"{done.model_name} version {done.version} was {done.decision} by {done.by}{signed}{why}"
    )
    if done.decision == "approved":
        click.echo(f"it is champion: models:/{done.model_name}@champion")
    elif done.previous_version is not None:
        click.echo(f"version {done.previous_version} stays champion")
