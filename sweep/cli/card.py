"""`ptxsweep card`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from sweep.cli._common import OUTPUT_FILE, emit, home_options, json_option, open_home
from sweep.cli._help import command


@command("card")
@click.argument("subject", metavar="NAME|MODEL")
@click.option("--out", type=OUTPUT_FILE, help="Markdown file to write [standard output].")
@home_options
@json_option
def card_command(subject: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Write the card of a sweep's winner, or show that of a registered model.

    Written from the ledger, the hold-out and the gate's verdict alone, in the shape of a
    change-control plan: what may be modified, by which protocol, with which impact. Then the
    items of CLAIM 2024, TRIPOD+AI and Metrics Reloaded, each filled, not applicable, or left to
    the author.

    NAME gives what is known of the sweep today; no hold-out is opened. MODEL
    (models:/NAME@champion, models:/NAME/VERSION, or a model's folder) gives the card that was
    registered with it.
    """
    from sweep.promotion.card import make_card, stored_card

    home = open_home(options)
    if subject.startswith("models:") or (Path(subject) / "MLmodel").is_file():
        kept = stored_card(home, subject)
        text, found = kept.text, {**kept.values, "since": kept.since}
    else:
        from sweep.storage.sweep import Sweep

        with Sweep.open(home, _promoted(home.ledger_url, subject)) as sweep:
            card = make_card(sweep)
        text, found = card.markdown, dataclasses.asdict(card)
    if out is not None:
        from ptxcore.atomic_file import whole_file

        with whole_file(out) as draft:
            draft.write_text(text, encoding="utf-8")
    if as_json:
        emit(found)
    elif out is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"card: {out}")


def _promoted(url: str, name: str) -> str:
    """The sweep with the winner: on fresh folds, if those are finished."""
    from sweep.analysis.confirmed import promoted_sweep
    from sweep.errors import UsageError
    from sweep.ledger import require_ledger

    require_ledger(url)
    try:
        return promoted_sweep(url, name)
    except UsageError:  # they are not
        return name
