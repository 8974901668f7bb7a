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
    type=click.Path(path_type=Path),
    required=True,
    help="File to write, NAME.onnx; for a bundle a new folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "bundle"]),
    default="onnx",
    show_default=True,
    help="One ONNX graph, or a MONAI bundle.",
)
@home_options
@json_option
def export_model_command(model: str, out: Path, form: str, as_json: bool, **options: Any) -> None:
    """Write MODEL (models:/NAME@champion, models:/NAME/VERSION, or a folder) for other programs.

    onnx: all networks of the ensemble in one graph, from windows to logits; how windows are cut and
    blended and how logits become a mask stands in the file's metadata. `predict --model FILE.onnx`
    and `evaluate FILE.onnx` run it, by the fastest engine of those whose probabilities are those of
    the networks: ONNX Runtime, OpenVINO in float32 or bfloat16 (extra `openvino`). All that are
    installed are measured on this machine, and the figures stand in the file. Needs the extra
    `onnx`.

    bundle: a folder that `python -m monai.bundle run` takes from DICOM files to masks, with the
    weights as safetensors and this package's wheel; its docs/README.md says how.

    Either is compared with the networks before it takes its name.
    """
    from sweep.export_model import export_model

    if form == "onnx":
        say("tracing the networks: about ten seconds each")
    done = export_model(open_home(options), model, out, form=form)
    if as_json:
        emit(done)
        return
    click.echo(
        f"{done.path}: {done.num_networks} networks, {done.num_bytes / 1e6:.1f} MB; logits differ "
        f"from theirs by at most {done.difference:.1g}"
    )
    if done.speed:
        scored = done.speed["measured"][done.speed["scored"]]["seconds"]
        shares = ", ".join(
            f"{name} {one['seconds'] / scored:.2f}" for name, one in done.speed["measured"].items()
        )
        click.echo(
            f"time of a prediction on {done.speed['machine']}, over that of {done.speed['scored']} "
            f"(as the networks were scored): {shares}; predict takes {done.speed['fastest_graph']}"
        )
