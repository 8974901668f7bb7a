"""The command tree, and the one place where an exception becomes a line and an exit code.

`--help` must answer in under 0.4 s, so a command's file is imported when the command is named,
and PyTorch, Ray, MLflow, Optuna and MONAI only inside the functions that need them.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

import click

from ptxcore.errors import CoreError, DataError, TrainingDiverged
from sweep.cli._full_disk import full_disk
from sweep.cli._help import GIVEN, with_options
from sweep.errors import (
    ChampionMoved,
    ClusterError,
    GateRefused,
    LeaseHeld,
    LedgerError,
    SpaceError,
    StorageError,
    SweepError,
    TrackingError,
    UsageError,
)
from sweep.util.redaction import redact

#: Read by libraries when they are imported; a user's own values win.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}

#: What another try may mend.
_AWAY = (LeaseHeld, ChampionMoved, LedgerError, TrackingError, ClusterError, StorageError)
OK, UNEXPECTED, BAD_INPUT, REFUSED, INTERRUPTED, LEDGER, PARTLY = range(7)
ABORTED = 130  # as shells have it: 128 + SIGINT
#: Refused by the system for what the place is or for this user, not for an outage.
_REFUSED_PLACE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR,
)  # fmt: skip

_COMMANDS = {
    "data": ("sweep.cli.data", "Import images and masks into a case store, check it, describe it."),
    "space": ("sweep.cli.space", "List the shipped search spaces, or check one of your own."),
    "run": ("sweep.cli.run", "Start a sweep."),
    "submit": ("sweep.cli.submit", "Run a sweep as a job of a Ray cluster, or go on with it."),
    "slurm": ("sweep.cli.slurm", "Run a sweep as a job of a Slurm cluster, or go on with it."),
    "resume": ("sweep.cli.run", "Go on with an interrupted sweep."),
    "stop": ("sweep.cli.stop", "Stop a sweep that another process drives."),
    "list": ("sweep.cli.show", "List the sweeps of a ledger."),
    "show": ("sweep.cli.show", "Show every trial of a sweep."),
    "compare": ("sweep.cli.compare", "Compare the complete trials of a sweep, fold by fold."),
    "note": ("sweep.cli.note", "Write down something about a sweep."),
    "rename": ("sweep.cli.rename", "Give a sweep another name."),
    "clone": ("sweep.cli.clone", "Make a new sweep like another one."),
    "delete": ("sweep.cli.delete", "Delete a sweep; uses of its hold-out stay counted."),
    "simulate": ("sweep.cli.simulate", "Replay fold policies over tables or finished sweeps."),
    "export-table": ("sweep.cli.export", "Write a sweep's fold scores as a table to replay."),
    "export-optuna": ("sweep.cli.export", "Write a sweep as a study for Optuna Dashboard."),
    "dashboard": ("sweep.cli.dashboard", "Show sweeps in a browser while they run."),
    "report": ("sweep.cli.report", "Write a sweep's report as one HTML file."),
    "ui": ("sweep.cli.ui", "Open MLflow at a sweep."),
    "confirm": ("sweep.cli.confirm", "Train a sweep's best trials on fresh folds, as its proof."),
    "sync": ("sweep.cli.sync", "Send a sweep to MLflow."),
    "promote": ("sweep.cli.promote", "Make a sweep's winner the champion, if the evidence holds."),
    "rollback": ("sweep.cli.rollback", "Make the champion before champion again."),
    "registry": ("sweep.cli.registry", "List champions, challengers and what happened to them."),
    "approve": ("sweep.cli.decide", "Make a challenger champion, by another person's decision."),
    "reject": ("sweep.cli.decide", "Turn a challenger down, and say why."),
    "predict": ("sweep.cli.predict", "Segment DICOM files with a champion."),
    "export-model": ("sweep.cli.export_model", "Write a model as one ONNX file."),
    "evaluate": ("sweep.cli.evaluate", "Score a model, or masks, on a labelled store."),
    "card": ("sweep.cli.card", "Write a model's card from the evidence."),
    "demo": ("sweep.cli.demo", "Do all of it on a generated chest phantom, or on your own data."),
    "doctor": ("sweep.cli.doctor", "Say what is installed, what works and what is in the way."),
}

_EPILOG = """\b
Exit codes:
  0    done
  1    unexpected error
  2    bad usage or bad input
  3    the gate refused a promotion
  4    interrupted, `ptxsweep resume` goes on (`ptxsweep confirm` with a confirmation)
  5    another driver is at work on the sweep, or another promoter on the model, or the ledger,
       MLflow or Ray cannot be used, or a disk is full
  6    `ptxsweep predict` segmented some of the files and could not read others
  130  Ctrl-C, with nothing to resume
\b
PTXSWEEP_DEBUG=1 shows the traceback of an error."""


class _Lazy(click.Group):
    """A group that knows its commands' names and help, and imports one when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ptxsweep", message="%(prog)s %(version)s")
def cli() -> None:
    """Find, prove and promote the best Attention U-Net for pneumothorax on chest X-rays."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; those of the process unless given.

    Returns:
        The exit code, see the epilog of `ptxsweep --help`.
    """
    gc.unfreeze()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions and os.environ.get("PTXSWEEP_DEBUG") != "1":
        # Warnings of libraries are for their callers; pydicom's repeat identifiers of patients.
        warnings.simplefilter("ignore")
    try:
        code = cli.main(args=arguments, prog_name="ptxsweep", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader left (`ptxsweep show NAME | head`); there is no reader to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNEXPECTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("error: interrupted", err=True)
        return ABORTED
    except Exception as error:
        return _explain(error)
    return int(code or OK)


def exit_code(error: Exception) -> int:
    """The exit code of an exception."""
    if isinstance(error, GateRefused):
        return REFUSED
    if isinstance(error, _AWAY):
        return LEDGER
    if isinstance(error, UsageError):
        return BAD_INPUT
    if isinstance(error, CoreError) and not isinstance(error, TrainingDiverged):
        return BAD_INPUT
    return BAD_INPUT if _is_refused_place(error) else UNEXPECTED


def _is_refused_place(error: Exception) -> bool:
    """Whether the system refused a file or folder for what it is or for this user."""
    return isinstance(error, OSError) and error.errno in _REFUSED_PLACE and bool(error.filename)


def _explain(error: Exception) -> int:
    if os.environ.get("PTXSWEEP_DEBUG") == "1":
        click.echo(redact("".join(traceback.format_exception(error))), err=True, nl=False)
    text = with_options(str(error), getattr(error, GIVEN, "")) or type(error).__name__
    full = full_disk(error)
    if full is not None:
        text = f"{text}; {full}" if isinstance(error, (SweepError, CoreError)) else full
    elif isinstance(error, OSError) and _is_refused_place(error):
        text = f"{error.filename}: {error.strerror}; name a place that this user may read and write"
    elif not isinstance(error, (SweepError, CoreError)):
        text = f"{type(error).__name__}: {text} (PTXSWEEP_DEBUG=1 shows where)"
    # A search space has a line for each of its mistakes, an import for each of its files; other
    # line ends are of libraries.
    lines = text.splitlines() if isinstance(error, (SpaceError, DataError)) else [text]
    for line in lines:
        click.echo("error: " + redact(" ".join(line.split())), err=True)
    return exit_code(error) if full is None else LEDGER
