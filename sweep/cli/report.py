"""`ptxsweep report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sweep.cli._common import ANY_PATH, emit, home_options, json_option, open_home


@click.command("report")
@click.argument("name")
@click.option("--out", type=ANY_PATH, help="File to write [report.html in the sweep's folder].")
@home_options
@json_option
def report_command(name: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Write the report of the sweep NAME: one HTML file that works offline.

    It is logged to the sweep's MLflow run too.
    """
    from sweep.publish import publish_report

    published = publish_report(open_home(options), name, out=out)
    if as_json:
        emit(published)
    else:
        click.echo(published.path)
