"""`ptxsweep dashboard`."""

from __future__ import annotations

import secrets
from typing import Any

import click

from sweep.cli._common import home_options, open_home, say
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
    help="Print a token with which a browser may approve or deny promotions.",
)
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Start a browser.")
@home_options
def dashboard_command(
    name: str | None, host: str, port: int, allow_promote: bool, opens: bool, **options: Any
) -> None:
    """Show sweeps in a browser while they run; the sweep NAME first.

    Ctrl-C ends it. It reads the ledger, and writes nothing unless --allow-promote is given.
    """
    home = open_home(options)

    import socket
    import webbrowser

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
        token = secrets.token_urlsafe(24) if allow_promote else None
        settings = Settings(home=home, host=host, port=port, promote_token=token)
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        address += "/" if name is None else sweep_url(name)
        click.echo(address)
        if token is not None:
            say(f"promotions may be decided with this token: {token}")
        say("Ctrl-C ends it")
        if opens:
            webbrowser.open(address)
        config = uvicorn.Config(create_app(settings), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
