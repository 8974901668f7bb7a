"""`ptxsweep demo`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    emit,
    home_options,
    json_option,
    open_home,
    precision_option,
    say,
)
from sweep.cli._help import command
from sweep.util.redaction import redact
from sweep.util.words import count

if TYPE_CHECKING:
    from sweep.demo import DemoResult

#: Order of the lines; the first needs no threshold.
_METRICS = ("average_precision", "dice", "dice_positive")


@command("demo")
@click.option("--dicom", type=EXISTING_FOLDER, help="Your own DICOM files instead of a phantom.")
@click.option("--rle", type=EXISTING_FILE, help="Their masks.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@precision_option
@home_options
@json_option
def demo_command(
    dicom: Path | None,
    rle: Path | None,
    seed: int,
    precision: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Do the whole job: draw a phantom, import, search, report, promote, predict.

    It may be run again in the same home; each time is a new sweep.
    """
    from sweep.cli._app import INTERRUPTED, OK
    from sweep.cli.live import watching
    from sweep.demo import demo
    from sweep.records import SweepState

    ledger, tracking_uri = options["ledger"], options["tracking_uri"]
    home = open_home(options)
    where = f"--home {home.folder}"
    if ledger is not None:
        where += f" --ledger {redact(ledger)}"
    looked_at = where
    if tracking_uri is not None:
        looked_at += f" --tracking-uri {redact(tracking_uri)}"
    result = demo(
        home, dicom=dicom, rle=rle, seed=seed, precision=precision, say=say, watch=watching
    )
    if as_json:
        emit(result)
    else:
        _print(result, home.tracking_uri, where, looked_at)
    if result.state is not SweepState.FINISHED:
        say(f"interrupted; `ptxsweep resume {result.sweep} {where}` goes on with it")
        return INTERRUPTED
    return OK


def _print(result: DemoResult, tracking_uri: str, where: str, looked_at: str) -> None:
    source = "phantom (a drawing: its scores say nothing about patients)"
    click.echo(f"\ndata        {source if result.phantom else 'your own'}")
    click.echo(
        f"sweep       {result.sweep}: {count(result.num_trials, 'trial')}, "
        f"{count(result.num_folds_run, 'fold')} trained and {result.num_folds_stopped} stopped on "
        "the way, a full grid takes "
        f"{result.num_folds_full_grid}"
    )
    if result.configuration is not None and result.metrics is not None:
        click.echo(f"winner      trial {result.best}, mean and SD over its folds")
        _print_metrics("no threshold", result.metrics, with_threshold=False)
        _print_metrics("fixed threshold", result.metrics, with_threshold=True)
        if (tuned := result.tuned_metrics) is not None:
            _print_metrics("threshold from the other folds", tuned, with_threshold=True)
        click.echo(f"              dice of predicting nothing: {result.baseline:.3f}")
        _warn(result)
    click.echo(f"verdict     {result.short}")
    if result.holdout is not None:
        found = result.holdout
        click.echo(
            f"hold-out    dice {found['dice']:.3f}, predicting nothing "
            f"{found['dice_all_empty']:.3f}; dice over positives {found['dice_positive']:.3f} "
            f"({found['num_positive']:.0f} of {found['num_cases']:.0f} cases)"
        )
    for reason in result.refusals:
        click.echo(f"refused     {reason}")
    if result.stays is not None:
        click.echo(f"champion    {result.stays}")
    if result.model_uri is not None:
        click.echo(f"champion    {result.model_uri}")
    if result.prediction is not None:
        prediction = result.prediction
        size = f"{prediction.mask_px} px" if prediction.mask_px else "nothing"
        click.echo(
            f"prediction  {prediction.source.name}: {size} found, {result.true_px} px true "
            f"-> {prediction.mask}"
        )
    if result.report is not None:
        click.echo(f"report      {result.report}")
    look = _where_to_look(result.sweep, tracking_uri, looked_at)
    click.echo(f"MLflow      run {result.mlflow_run_id}{look}")
    click.echo(f"next        ptxsweep show {result.sweep} {where}")
    total = sum(result.seconds.values())
    steps = ", ".join(f"{name} {seconds:.0f}" for name, seconds in result.seconds.items())
    click.echo(f"time        {total:.0f} s ({steps})")


def _where_to_look(sweep: str, tracking_uri: str, where: str) -> str:
    """A server shows its runs itself, a database needs one."""
    from sweep.util.redaction import redact
    from sweep.util.sqlite import sqlite_file

    if sqlite_file(tracking_uri) is None:
        return f" at {redact(tracking_uri)}"
    return f"; ptxsweep ui {sweep} {where}"


def _warn(result: DemoResult) -> None:
    """Say plainly where the winner is no better than an empty answer, as it would be deployed."""
    from sweep.analysis.summary import baseline_warning

    if result.tuned_metrics is None:
        warning = baseline_warning(result.metrics or {})
    else:
        warning = baseline_warning(result.tuned_metrics, "with the threshold from the other folds")
    if warning is not None:
        say(f"warning: {warning}")


def _print_metrics(
    label: str, metrics: Mapping[str, Mapping[str, float]], *, with_threshold: bool
) -> None:
    """Those that need a threshold, or those that need none."""
    from ptxcore.metrics import needs_threshold

    names = [name for name in _METRICS if name in metrics]
    pairs = [
        f"{name} {metrics[name]['mean']:.3f} +- {metrics[name]['sd']:.3f}"
        for name in names
        if needs_threshold(name) == with_threshold
    ]
    if pairs:
        click.echo(f"              {label}: {', '.join(pairs)}")
