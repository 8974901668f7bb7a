"""`ptxsweep dashboard`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from sweep.cli._common import EXISTING_FILE, browse, home_options, open_home, say
from sweep.cli._help import command
from sweep.errors import UsageError


@command("dashboard")
@click.argument("name", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes one that is free.",
)
@click.option(
    "--allow-promote",
    is_flag=True,
    help="Print a link with which one browser may approve and deny promotions; it works once, and "
    "is yours to open.",
)
@click.option(
    "--key",
    type=EXISTING_FILE,
    help="With --allow-promote: your private key (`ssh-keygen -t ed25519`, no passphrase), as of "
    "`ptxsweep approve`.",
)
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Start a browser.")
@home_options
def dashboard_command(
    name: str | None,
    host: str,
    port: int,
    allow_promote: bool,
    key: Path | None,
    opens: bool,
    **options: Any,
) -> None:
    """Show sweeps in a browser while they run; the sweep NAME first.

    Ctrl-C ends it. It reads the ledger, and writes nothing unless --allow-promote is given.
    """
    home = open_home(options)
    if key is not None and not allow_promote:
        raise UsageError("--key: found without --allow-promote, expected beside it")

    import socket

    import uvicorn

    from dashboards.live.app import create_app
    from dashboards.live.page import sweep_url
    from dashboards.live.settings import Settings

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"--host, --port: cannot listen on {host}:{port} ({error.strerror}); another program "
            "may, so give another --port"
        ) from error
    with listener:
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(32) if allow_promote else None
        settings = Settings(home=home, host=host, port=port, promote_token=token, key=key)
        app = create_app(settings)
        if name is not None:
            with app.state.ledgers.opened(name):
                pass  # a mistyped name is said here, and the first look finds it read
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        address += "/" if name is None else sweep_url(name)
        click.echo(address)
        if token is not None:
            address += f"?token={token}"
            say(f"whoever opens this link first may decide about promotions: {address}")
        say("Ctrl-C ends it")
        # Other users of the machine see what a browser is started with.
        if opens and token is None:
            browse(address)
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
