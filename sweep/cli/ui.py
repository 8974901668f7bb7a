"""`ptxsweep ui`."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import click

from sweep.cli._common import browse, emit, home_options, json_option, open_home, say
from sweep.cli._help import command


@command("ui")
@click.argument("name")
@click.option(
    "--port",
    default=5000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Of a server that is started here; a free one where another program has it.",
)
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Start a browser.")
@home_options
@json_option
def ui_command(name: str, port: int, opens: bool, as_json: bool, **options: Any) -> None:
    """Open MLflow at the sweep NAME.

    Where MLflow is a database, as in a home, its server is started for this machine alone, and
    Ctrl-C ends it. Without a display the address is only printed. `ptxsweep dashboard` shows a
    sweep from the ledger instead.
    """
    home = open_home(options)

    from sweep.ui import pages

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pages(home, name, port=port) as found:
            if as_json:
                emit({"sweep": found.sweep, "run_id": found.run_id, "url": found.url})
            else:
                click.echo(found.url)
            if opens:
                browse(found.url)
            if found.server is not None:
                say("Ctrl-C ends MLflow's server")
                found.server.wait()
    except KeyboardInterrupt:
        say("ended")
    finally:
        signal.signal(signal.SIGTERM, before)
