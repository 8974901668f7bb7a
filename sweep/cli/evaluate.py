"""`ptxsweep evaluate`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    PREVALENCE,
    counter,
    emit,
    home_options,
    json_option,
    open_home,
    say,
    verifying,
)
from sweep.cli._help import command

if TYPE_CHECKING:
    from sweep.evaluate import Evaluation

_UNKNOWN = (
    "the sweep behind this model is not in this home, so nothing tells whether it has seen these "
    "cases"
)
_SEEN = (
    "the sweep behind this model had cases of this store: these scores say nothing of new patients"
)

_UNLIKE = "of the cases are too far from the images that the model was trained on"


@command("evaluate")
@click.argument("subject")
@click.option("--store", required=True, metavar="FOLDER", help="Labelled case store.")
@click.option(
    "--cases",
    "table",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a CSV with a row per case.",
)
@click.option(
    "--missing-as-empty",
    is_flag=True,
    help="A case without a predicted mask counts as one in which nothing was found.",
)
@click.option(
    "--allow-seen", is_flag=True, help="Score cases that the model's own sweep had, and say so."
)
@click.option(
    "--beyond-training",
    is_flag=True,
    help="Score cases whose size, shape, bits or view are too far from what the model has seen.",
)
@click.option(
    "--prevalence",
    type=PREVALENCE,
    help="Say besides which Dice is expected where this share of cases is positive [what the "
    "model's rule was chosen for, if that was another than its cases']. The rule stays.",
)
@home_options
@json_option
def evaluate_command(
    subject: str,
    store: str,
    table: Path | None,
    missing_as_empty: bool,
    allow_seen: bool,
    beyond_training: bool,
    prevalence: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Score SUBJECT on every case of a labelled store: the external test.

    SUBJECT is a model (models:/NAME@champion, models:/NAME/VERSION, a model's folder, or a file of
    export-model), a folder of predicted masks (<stem>.mask.png or <stem>.png, named as the images
    are, or DICOM Segmentations, of this or of any other program), or a CSV of run lengths as
    SIIM-ACR has them.
    Nothing is tuned: a model keeps its rule, masks are taken as they are. Cases that the model's
    own sweep had are refused, and those too far from the images that it was trained on. All metrics
    stand beside what predicting nothing scores, with intervals over patients.
    """
    from ptxcore.metrics import convention
    from sweep.analysis.selection_bias import of_model, spoken
    from sweep.evaluate import SEEN, UNKNOWN, evaluate_masks, evaluate_model
    from sweep.mlflow.decision import APPROVAL
    from sweep.mlflow.open_model import ONNX
    from sweep.storage.case_stores import open_store

    cases = open_store(store)
    cases.verify(verifying())
    path = Path(subject)
    is_graph, is_package = path.suffix == ONNX, (path / "MLmodel").exists()
    if path.exists() and not is_graph and not is_package:
        found = evaluate_masks(
            path,
            cases,
            missing_as_empty=missing_as_empty,
            prevalence=prevalence,
            on_progress=counter("scored"),
        )
        warned = None
    else:
        found = evaluate_model(
            open_home(options),
            subject,
            cases,
            allow_seen=allow_seen,
            beyond_training=beyond_training,
            prevalence=prevalence,
            on_progress=counter("scored"),
        )
        said = {SEEN: _SEEN, UNKNOWN: _UNKNOWN}.get(found.seen)
        approval = found.facts[APPROVAL]
        unapproved = None if approval is None else approval["problem"]
        unlike = f"{found.num_unlike} {_UNLIKE}" if found.num_unlike else None
        warnings = [spoken(of_model(found.facts)), said, unapproved, unlike]
        warned = "; ".join(filter(None, warnings)) or None
    if table is not None:
        _write(table, found)
    if as_json:
        conventions = {name: convention(name) for name in found.metrics}
        shown = {name: value for name, value in vars(found).items() if name != "cases"}
        emit({**shown, "caution": warned, "conventions": conventions})
        return
    if warned is not None:
        say(f"caution: {warned}")
    _print(found)


def _print(found: Evaluation) -> None:
    metrics = found.metrics
    if found.num_missing or found.num_unknown:
        say(
            f"{found.num_missing} cases without a mask counted as empty; {found.num_unknown} masks "
            "of no case of the store left out"
        )
    click.echo(
        f"{found.subject}: {found.num_cases} cases of {found.num_groups} patients, "
        f"{found.num_positive} positive cases of {found.num_positive_groups}"
    )
    rule = "masks as given"
    if found.rule is not None:
        rule = (
            f"the model's rule: mask at {found.rule.bottom:.3g}, empty unless more than "
            f"{found.rule.min_area:.2%} reach {found.rule.top:.3g}"
        )
        if found.rule.case_threshold is not None:
            rule += f" and the case head says at least {found.rule.case_threshold:.3g}"
    click.echo(f"threshold: {rule}; both empty = 1")
    click.echo(
        f"Dice {metrics['dice']:.4f} ({found.span('dice', '.4f')}), predicting nothing "
        f"{metrics['dice_all_empty']:.4f}; above it by "
        f"{metrics['dice'] - metrics['dice_all_empty']:+.4f} ({found.span('gain', '+.4f')})"
    )
    if found.expected is not None:
        text = found.expected.sentence
        click.echo(f"{text[0].upper()}{text[1:]}")
    for name, word in (
        ("dice_positive", "Dice over positive cases"),
        ("case_sensitivity", "positive cases in which something was found"),
        ("case_specificity", "negative cases in which nothing was found"),
    ):
        click.echo(f"{word} {metrics[name]:.4f} ({found.span(name, '.4f')})")
    if metrics.get("num_with_spacing", 0.0) > 0:
        click.echo(
            "outlines over positive cases: surface Dice at 2 mm "
            f"{metrics['surface_dice_positive']:.4f}, 95% Hausdorff distance "
            f"{metrics['hausdorff95_positive_mm']:.1f} mm (a miss = the image's diagonal)"
        )


def _write(path: Path, found: Evaluation) -> None:
    from ptxcore.atomic_file import whole_file

    with whole_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(found.cases[0]))
        writer.writeheader()
        writer.writerows(found.cases)
