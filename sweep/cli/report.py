"""`ptxsweep report`."""

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
    say,
)
from sweep.cli._help import command


@command("report")
@click.argument("name")
@click.option("--out", type=OUTPUT_FILE, help="File to write [report.html in the sweep's folder].")
@home_options
@json_option
def report_command(name: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Write the report of the sweep NAME: one HTML file that works offline.

    It is logged to the sweep's MLflow run too.
    """
    home = open_home(options)

    from sweep.report import publish_report

    published = publish_report(home, name, out=out)
    if as_json:
        emit(published)
        return
    for note in published.notes:
        say(note)
    if not published.is_logged:
        say("not logged to MLflow, which could not be reached")
    click.echo(published.path)
