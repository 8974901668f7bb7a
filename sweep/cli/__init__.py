"""The command `ptxsweep`: parse, call, print. Nothing heavy is imported before a command runs."""

from sweep.cli._app import main

__all__ = ["main"]
