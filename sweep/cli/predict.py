"""`ptxsweep predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    OUTPUT_FOLDER,
    counter,
    emit,
    home_options,
    json_option,
    open_home,
    say,
)
from sweep.cli._help import command
from sweep.errors import UsageError

if TYPE_CHECKING:
    from sweep.analysis.detection import CaseCall


@command("predict")
@click.argument("dicom", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--champion", metavar="NAME", help="Registered model; its champion predicts.")
@click.option("--model", metavar="URI", help="Of a model in MLflow, as in models:/NAME@champion.")
@click.option("--out", type=OUTPUT_FOLDER, required=True, help="Folder for maps and masks.")
@click.option(
    "--format",
    "formats",
    metavar="WORDS",
    default="png,probability",
    show_default=True,
    help="What to write, parted by commas: png, probability, rle, seg, sr.",
)
@click.option(
    "--seg-type",
    type=click.Choice(["binary", "fractional", "labelmap"]),
    default="binary",
    show_default=True,
    help="Of the DICOM Segmentation: the mask, the probability, or a label.",
)
@click.option(
    "--ohif",
    is_flag=True,
    help="Segmentations say the orientation without which the viewer OHIF refuses them.",
)
@click.option(
    "--attention",
    type=OUTPUT_FOLDER,
    metavar="FOLDER",
    help="Draw what the attention gates let through, one PNG per file, into this folder.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "pytorch", "onnxruntime", "openvino", "openvino-bfloat16"]),
    default="auto",
    show_default=True,
    help="What computes; auto takes the fastest here of those that give what was scored.",
)
@click.option(
    "--shadow",
    metavar="MODEL",
    help="A second model that is compared with the first: an alias (challenger) or an address.",
)
@click.option(
    "--shadow-pictures",
    type=OUTPUT_FOLDER,
    metavar="FOLDER",
    help="Draw both outlines, the shadow's in blue, where the two masks differ.",
)
@click.option(
    "--any-modality",
    is_flag=True,
    help="Segment images that are no projection radiographs (CT, MR, ...), refused else.",
)
@click.option(
    "--beyond-training",
    is_flag=True,
    help="Segment images whose size, shape, bits or view are too far from what the model has seen.",
)
@click.option(
    "--name-files",
    is_flag=True,
    help="Errors name files found in folders; names can hold those of patients.",
)
@home_options
@json_option
def predict_command(
    dicom: tuple[Path, ...],
    champion: str | None,
    model: str | None,
    out: Path,
    formats: str,
    seg_type: str,
    ohif: bool,
    attention: Path | None,
    engine: str,
    shadow: str | None,
    shadow_pictures: Path | None,
    any_modality: bool,
    beyond_training: bool,
    name_files: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Segment DICOM files and write a probability map and a mask each.

    DICOM are files, folders of them, zip archives of such, or the DICOMDIR of a disc.

    A folder is searched as `data import` does it: by content, at any depth, whatever the names.
    Per file, OUT gets `<stem>.probability.png` (16 bit, 65535 is a probability of 1) and
    `<stem>.mask.png` (0 or 255), on the grid of the image; with --attention that folder gets
    `<stem>.attention.png`. --format also writes `masks.csv`, run lengths as SIIM-ACR has them
    (rle), `<stem>.seg.dcm`, a DICOM Segmentation that refers to its image (seg), and
    `<stem>.sr.dcm`, a report with its area (sr); both DICOM files carry the patient's identity, as
    they must. A model of drawings, or one that has seen no healthy image, says so.
    Networks are computed as they were scored; for 20 images or more --engine auto makes a graph of
    them, once, and takes what is the fastest here without moving a probability by 0.001. For a file
    of export-model it takes what was the fastest here when it was written. Either is said.
    --shadow runs a second model beside it and writes `shadow.csv`, where the two disagree, the
    worst first: pixels of both masks, Dice between them, whether one alone found something.
    Files that cannot be used are listed at the end, when the others are done: exit code 6.
    A picture without contrast is told from one in which nothing was found. Not for clinical use.
    """
    if (champion is None) == (model is None):
        raise UsageError("predict: give either --champion NAME or --model URI")
    if shadow_pictures is not None and shadow is None:
        raise UsageError("--shadow-pictures: found no --shadow, expected a model to compare with")

    from ptxcore.data.formats.archives import is_source, opened
    from ptxcore.data.importing.naming import refuse_all
    from ptxcore.errors import DataError
    from ptxcore.types import Rule
    from sweep.analysis.detection import FACT
    from sweep.analysis.selection_bias import (
        model_positives_alone,
        of_model,
        other_versions,
        spoken,
    )
    from sweep.mlflow.decision import APPROVAL
    from sweep.segment import check_formats, predict_files
    from sweep.shadow import TABLE, in_words, worst_first
    from sweep.storage.inputs import find_inputs
    from sweep.util.provenance import pixel_versions

    words = [word for word in formats.replace(" ", "").split(",") if word]
    check_formats(words)
    archives = ExitStack()
    click.get_current_context().call_on_close(archives.close)
    places = {
        archives.enter_context(opened(path)) if is_source(path) else path: path for path in dicom
    }
    inputs = find_inputs([*places], any_modality=any_modality, name_files=name_files, go_on=True)
    problems = [*map(DataError, inputs.problems)]
    for warning in inputs.warnings:
        say(f"warning: {warning}")
    uri = model or f"models:/{champion}@champion"
    origin: dict[str, Any] = {}
    of_shadow: dict[str, Any] = {}

    def on_model(facts: Mapping[str, Any]) -> None:
        warned = spoken(of_model(facts))
        origin.update(
            phantom=facts.get("phantom"),
            positives_alone=model_positives_alone(facts),
            cohort=facts.get("cohort", {}),
            caution=warned,
            other_versions=other_versions(facts, pixel_versions()),
            rule=facts["rule"],
            engine=facts["engine"],
            approval=facts[APPROVAL],
            case_detection=facts.get(FACT),
            unlike=facts["unlike"],
            outside=facts["outside"],
        )
        if facts["unlike"]:
            say(f"caution: {_too_far(facts['unlike'])}")
        if facts["outside"] is not None:
            say(f"note: {facts['outside']}")
        if (approval := facts[APPROVAL]) is not None and not approval["approved"]:
            say(f"caution: {approval['problem']}")
        if warned is not None:
            say(f"caution: {warned}")
        if (text := _about_versions(origin["other_versions"])) is not None:
            say(text)

    def on_shadow(facts: Mapping[str, Any]) -> None:
        of_shadow.update(facts, caution=spoken(of_model(facts)))
        if of_shadow["caution"] not in (None, origin["caution"]):
            say(f"caution: of the shadow: {of_shadow['caution']}")

    predictions = predict_files(
        open_home(options),
        uri,
        inputs,
        out,
        formats=words,
        seg_type=seg_type,
        ohif=ohif,
        attention=attention,
        engine=engine,
        shadow=shadow,
        shadow_pictures=shadow_pictures,
        beyond_training=beyond_training,
        on_convert=lambda: say(
            "making a graph of the model's networks for this machine, once; it is kept in the home"
        ),
        on_model=on_model,
        on_shadow=on_shadow,
        on_problem=problems.append,
        on_progress=counter("segmented", quiet_seconds=5.0),
    )
    predictions = [replace(one, source=_given(one.source, places)) for one in predictions]
    num_files = len(inputs.files) + len(inputs.problems)
    if not predictions:
        refuse_all(problems, num_files, "")
    compared = [one.shadow for one in predictions if one.shadow is not None]
    if as_json:
        emit(
            {
                "model": uri,
                **origin,
                "out": str(out),
                "contents": inputs.contents,
                "skipped": inputs.skipped,
                "warnings": inputs.warnings,
                "shadow": {**of_shadow, "compared": worst_first(compared)} if shadow else None,
                "predictions": predictions,
                "problems": [str(problem) for problem in problems],
            }
        )
        _end(problems, num_files)
        return
    rule = Rule(**origin["rule"])
    say(f"masks: {rule.words}")
    used = origin["engine"]
    say(f"engine: {used['name']} {used['version']}, {used['why']}")
    for prediction in predictions:
        found = (
            f"{prediction.mask_px} px ({prediction.share:.2%})" if prediction.mask_px else "nothing"
        )
        if not prediction.mask_px and prediction.highest > rule.top:
            found = f"nothing (too small an area lies above {rule.top:g})"
            if rule.case_threshold is not None:
                found = f"nothing (too small an area above {rule.top:g}, or by the case head)"
        if not prediction.has_contrast:
            found = "no contrast in the picture, so nothing can be said of it"
        files = (prediction.mask, prediction.probability, prediction.seg, prediction.sr)
        first, *others = [file for file in files if file is not None] or [out / "masks.csv"]
        written = ", ".join([str(first), *(file.name for file in others)])
        click.echo(
            f"{prediction.source}: {found}, "
            f"highest probability {prediction.highest:.3f}{_case(prediction.case)} -> {written}"
        )
    if shadow:
        click.echo(f"shadow {of_shadow['model']}: {in_words(compared)} -> {out / TABLE}")
    _end(problems, num_files)


def _given(file: Path, places: Mapping[Path, Path]) -> Path:
    from ptxcore.data.formats.archives import given_path

    found = (given_path(file, place, path) for place, path in places.items())
    return next((shown for shown in found if shown != file), file)


def _end(problems: Sequence[Exception], num_files: int) -> None:
    """Say what was not segmented, and end with a code of its own if there is any."""
    if not problems:
        return
    from ptxcore.data.importing.naming import in_lines
    from sweep.cli._app import PARTLY

    say(f"error: {len(problems)} of {num_files} files were not segmented:{in_lines(problems)}")
    raise click.exceptions.Exit(PARTLY)


def _case(call: CaseCall | None) -> str:
    """What is said of an image as a whole."""
    if call is None:
        return ""
    at = [f"{float(asked):.0%}" for asked, is_called in call.called.items() if is_called]
    said = f"called ill at a specificity of {', '.join(at)}" if at else "not called ill"
    from sweep.analysis.detection import CASE_HEAD

    by = " by the case head" if call.score == CASE_HEAD else ""
    return f", as a case {call.probability:.3f}{by}, {said}"


def _too_far(problems: Sequence[str]) -> str:
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"too far from the images that the model was trained on: {problems[0]}{more}"


def _about_versions(others: Mapping[str, Mapping[str, str]] | None) -> str | None:
    """What to say of versions that are not the model's; None where they are."""
    if others is None:
        return "note: the model does not say under which versions it was trained"
    listed = ", ".join(
        f"{name} {versions['here']}, not {versions['model']}" for name, versions in others.items()
    )
    if not listed:
        return None
    return (
        f"caution: the model was trained under other versions than are here ({listed}): the same "
        "image may give other pixels and another mask"
    )
