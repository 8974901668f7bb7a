"""`ptxsweep registry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home
from sweep.cli._help import command

if TYPE_CHECKING:
    from sweep.promotion.overview import RegisteredModel, RegisteredVersion


@command("registry")
@home_options
@json_option
def registry_command(as_json: bool, **options: Any) -> None:
    """List the registered models of a home and what happened to them.

    Champion, challenger and the champion before, each with its verdict, its Dice on the hold-out
    and how often that was used, then promotions, refusals, rollbacks and decisions. Nothing is
    changed.
    """
    from sweep.promotion.overview import registered_models

    models = registered_models(open_home(options))
    if as_json:
        emit({"models": models})
        return
    if not models:
        click.echo("no model is registered")
    for model in models:
        _print(model)


def _print(model: RegisteredModel) -> None:
    from sweep.promotion.move import happened

    click.echo(model.name)
    if model.unfinished is not None:
        click.echo(
            f"  a {model.unfinished['kind']} was cut off; the next `promote`, `rollback`, "
            "`approve` or `reject` ends it"
        )
    named = [version for version in model.versions if version.aliases]
    if model.champion is None:
        click.echo("  no champion")
    for version in named:
        click.echo(f"  {' and '.join(version.aliases)}: {_about(version)}")
    if (rest := len(model.versions) - len(named)) > 0:
        click.echo(f"  {rest} more version(s) without an alias")
    for event in model.history:
        click.echo(f"    {'; '.join(happened(event))}")


def _about(version: RegisteredVersion) -> str:
    words = [f"version {version.number}"]
    if version.sweep is not None:
        words.append(f"sweep {version.sweep}, trial {version.trial}")
    reasons = f" ({'; '.join(version.reasons)})" if version.reasons else ""
    words.append(f"verdict {version.verdict}{reasons}")
    if version.holdout_dice is not None:
        words.append(
            f"hold-out Dice {version.holdout_dice:.4f} (both empty = 1; predicting nothing "
            f"{version.holdout_dice_all_empty:.4f}), hold-out used {version.holdout_uses} time(s)"
        )
    if version.approval is not None:
        words.append(version.approval["problem"] or f"approved by {version.approval['by']}")
    return "; ".join(words)
