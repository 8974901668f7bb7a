"""`ptxsweep export-model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home, say
from sweep.cli._help import command


@command("export-model")
@click.argument("model")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write, NAME.onnx.",
)
@home_options
@json_option
def export_model_command(model: str, out: Path, as_json: bool, **options: Any) -> None:
    """Write MODEL (models:/NAME@champion, models:/NAME/VERSION, or a folder) as one ONNX file.

    All networks of the ensemble are in one graph, from windows to logits; how windows are cut and
    blended and how logits become a mask stands in the file's metadata. The graph is compared with
    the networks before the file takes its name. `predict --model FILE.onnx` and `evaluate
    FILE.onnx` run it by ONNX Runtime. Needs the extra `onnx`.
    """
    from sweep.export_model import export_model

    say("tracing the networks: about ten seconds each")
    done = export_model(open_home(options), model, out)
    if as_json:
        emit(done)
        return
    click.echo(
        f"{done.path}: {done.num_networks} networks, {done.num_bytes / 1e6:.1f} MB; logits differ "
        f"from theirs by at most {done.difference:.1g}"
    )
