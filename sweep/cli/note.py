"""`ptxsweep note`."""

from __future__ import annotations

from typing import Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home, say
from sweep.cli._help import command


@command("note")
@click.argument("name")
@click.argument("text", required=False)
@home_options
@json_option
def note_command(name: str, text: str | None, as_json: bool, **options: Any) -> None:
    """Write down TEXT about the sweep NAME, with the day; without TEXT, show what was written.

    `show`, `list` (the last one), the report and MLflow's description have it; a sweep that runs
    sends it to MLflow by itself. Notes stay: a mistake is mended by another note. No patient data.
    """
    from sweep.analysis.phrases import note_text
    from sweep.note import note

    done = note(open_home(options), name, text)
    if as_json:
        emit(done)
        return
    for one in done.notes:
        click.echo(note_text(one))
    if text is not None:
        say(f"`ptxsweep sync {name}` brings it to MLflow if the sweep does not run")
