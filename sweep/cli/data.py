"""`ptxsweep data`: from images and masks to a case store."""

from __future__ import annotations

import click


@click.group("data")
def data_command() -> None:
    """Import images and masks into a case store, check it, describe it."""
