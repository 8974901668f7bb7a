"""`ptxsweep report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sweep.cli._common import (
    OUTPUT_FILE,
    OUTPUT_FOLDER,
    STORE,
    emit,
    home_options,
    json_option,
    open_home,
    say,
)
from sweep.cli._help import command
from sweep.util.words import count


@command("report")
@click.argument("name")
@click.option("--out", type=OUTPUT_FILE, help="File to write [report.html in the sweep's folder].")
@click.option("--pdf", type=OUTPUT_FILE, help="File for it on A4, by an installed Chromium.")
@click.option("--png", "pngs", type=OUTPUT_FOLDER, help="Folder for its figures, likewise.")
@click.option(
    "--mlflow-pictures",
    is_flag=True,
    help="Show cases in the copy in MLflow too, to whoever sees the run.",
)
@click.option("--store", type=STORE, help="Where the case store is now, if it moved.")
@home_options
@json_option
def report_command(
    name: str,
    out: Path | None,
    pdf: Path | None,
    pngs: Path | None,
    mlflow_pictures: bool,
    store: Path | str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write the report of the sweep NAME: one HTML file that works offline.

    It is logged to the sweep's MLflow run too, there without the pictures of cases; so are its
    figures as PNG, where a Chromium is installed.
    """
    home = open_home(options)

    from sweep.report import publish_report

    published = publish_report(
        home, name, out=out, pdf=pdf, pngs=pngs, log_pictures=mlflow_pictures, store=store
    )
    if as_json:
        emit(published)
        return
    for note in published.notes:
        say(note)
    if not published.is_logged:
        say("not logged to MLflow, which could not be reached")
    click.echo(published.path)
    if published.pdf is not None:
        click.echo(published.pdf)
    if pngs is not None:
        click.echo(f"{count(len(published.pngs), 'figure')} in {pngs}")
