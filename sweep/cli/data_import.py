"""`ptxsweep data import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import (
    ANY_PATH,
    EXISTING_FILE,
    EXISTING_PATH,
    OUTPUT_FILE,
    counter,
    emit,
    json_option,
    say,
)
from sweep.cli._help import command
from sweep.errors import UsageError
from sweep.util.words import count

if TYPE_CHECKING:
    from ptxcore.data.importing.report import ImportReport

#: As that of an image: `ptxcore.data.formats.dicom.MAX_SIDE_PX`, which is not imported for a help.
MAX_GRID_PX = 16_384


class GridSize(click.ParamType[Any]):
    """A grid of pixels: `512`, or `512x640` for 512 rows and 640 columns."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Height and width."""
        words = str(value).lower().split("x")
        sides = [int(word) for word in words if word.isdigit() and int(word) > 0]
        if len(sides) != len(words) or len(sides) > 2 or max(sides, default=0) > MAX_GRID_PX:
            self.fail(
                f"found {value!r}, expected a side such as 512, or HEIGHTxWIDTH, of 1 to "
                f"{MAX_GRID_PX} px",
                param,
                ctx,
            )
        return sides[0], sides[-1]


@command("import")
@click.option(
    "--dicom",
    type=EXISTING_PATH,
    metavar="FOLDER",
    help="Folder with DICOM files, searched through; or a zip archive, or the DICOMDIR of a disc.",
)
@click.option(
    "--png",
    type=EXISTING_PATH,
    metavar="FOLDER",
    help="Folder, or zip archive, with PNG files instead, or pairs in `images`, `masks`.",
)
@click.option(
    "--rle",
    type=EXISTING_FILE,
    help="CSV of image ids and run-length encoded masks (SIIM-ACR); PNG pairs need none.",
)
@click.option(
    "--masks",
    type=click.Path(exists=True, path_type=Path),
    help="Masks instead: a folder of DICOM Segmentations, or of PNG, NIfTI or NRRD files by the "
    "names of the images; or a JSON file of COCO annotations.",
)
@click.option(
    "--mask-class",
    "mask_classes",
    multiple=True,
    metavar="CLASS",
    help="Of masks with several classes the one that counts, by number or name; given many times "
    "they are united, `all` unites every one.",
)
@click.option(
    "--mask-axes",
    type=click.Choice(["xy", "yx"]),
    help="Whether the first axis of a NIfTI or NRRD mask runs from left to right in the image, or "
    "down [by its direction].",
)
@click.option(
    "--rle-size",
    type=GridSize(),
    metavar="SIDE|HxW",
    help="Grid in pixels that the run lengths were made on [that of each image].",
)
@click.option(
    "--rle-starts",
    type=click.Choice(["relative", "absolute"]),
    help="Whether runs are counted from the end of the one before [what fits].",
)
@click.option(
    "--rle-order",
    type=click.Choice(["column", "row"]),
    help="Whether pixels are counted down columns or along rows [what fits; column if both and "
    "the starts are relative].",
)
@click.option(
    "--rle-base", type=click.IntRange(0, 1), help="Number of the first pixel [what fits]."
)
@click.option(
    "--groups", type=EXISTING_FILE, help="CSV `image_id,group`: the patient of each image."
)
@click.option(
    "--subgroups",
    type=EXISTING_FILE,
    help="CSV `image_id,subgroup`: site, scanner or the like of each image, for the gate; the "
    "labels are shown.",
)
@click.option(
    "--unannotated",
    type=click.Choice(["exclude", "negative"]),
    default="exclude",
    show_default=True,
    help="What an image without a row in the CSV is.",
)
@click.option(
    "--any-modality",
    is_flag=True,
    help="Take images that are no projection radiographs (CT, MR, ...), which are refused else.",
)
@click.option(
    "--skip-other-modalities",
    is_flag=True,
    help="Leave such images out instead, and count them.",
)
@click.option(
    "--allow-burned-in",
    is_flag=True,
    help="Take images that say that words are drawn into them (BurnedInAnnotation), such as a "
    "patient's name, which are refused else.",
)
@click.option(
    "--mask-threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Of the largest possible value, from which on PNG masks with soft edges count; refused "
    "else. Masks of 0 and one other value are taken as they are.",
)
@click.option(
    "--skip-unreadable",
    is_flag=True,
    help="Leave out images that cannot be read, or with a mask that cannot, and list them; they "
    "stop the import else.",
)
@click.option("--store", type=ANY_PATH, required=True, help="Folder to write; must not exist.")
@click.option(
    "--preview",
    type=OUTPUT_FILE,
    help="PNG file to draw twelve cases into, with the outlines of their masks.",
)
@click.option(
    "--key",
    type=OUTPUT_FILE,
    help="File with the key of the case ids, made if there is none [PTXSWEEP_KEY, else "
    "~/.config/ptxsweep/case-ids.key].",
)
@click.option("--workers", type=click.IntRange(1), help="Decoding threads [one per core].")
@click.option(
    "--name-files",
    is_flag=True,
    help="Name files that cannot be used; names can hold those of patients.",
)
@json_option
def import_command(
    dicom: Path | None,
    png: Path | None,
    rle: Path | None,
    masks: Path | None,
    mask_classes: tuple[str, ...],
    mask_axes: str | None,
    rle_size: tuple[int, int] | None,
    rle_starts: str | None,
    rle_order: str | None,
    rle_base: int | None,
    groups: Path | None,
    subgroups: Path | None,
    unannotated: str,
    any_modality: bool,
    skip_other_modalities: bool,
    allow_burned_in: bool,
    mask_threshold: float | None,
    skip_unreadable: bool,
    store: Path,
    preview: Path | None,
    key: Path | None,
    workers: int | None,
    name_files: bool,
    as_json: bool,
) -> None:
    """Import DICOM or PNG files with their masks into a new case store.

    The store holds no names, no dates and no identifiers, only keyed hashes. Either all of it is
    written or nothing.
    """
    images = dicom or png
    if images is None or None not in (dicom, png):
        raise UsageError("data import: give either --dicom FOLDER or --png FOLDER")
    if rle is None and masks is None and dicom is not None:
        raise UsageError(
            "data import: --dicom needs the masks of its images: --rle FILE, or --masks FOLDER"
        )

    if preview is not None and preview.suffix.lower() != ".png":
        raise UsageError(f"--preview: found {preview.name!r}, expected a name that ends in .png")

    from ptxcore.atomic_file import whole_file
    from ptxcore.data.formats.archives import opened
    from ptxcore.data.formats.rle_fit import Asked
    from ptxcore.data.importing.run import import_cases

    asked = Asked(
        grid=rle_size,
        by_row=None if rle_order is None else rle_order == "row",
        base=rle_base,
        is_absolute=None if rle_starts is None else rle_starts == "absolute",
    )
    if rle is None and asked != Asked():
        raise UsageError("data import: --rle-size and the like speak of a table: give --rle FILE")
    with opened(images) as folder:
        report = import_cases(
            folder,
            rle,
            store,
            groups=groups,
            subgroups=subgroups,
            asked=asked,
            masks=masks,
            mask_classes=mask_classes,
            mask_axes=mask_axes,
            unannotated=unannotated,
            any_modality=any_modality,
            skip_other_modalities=skip_other_modalities,
            allow_burned_in=allow_burned_in,
            mask_threshold=mask_threshold,
            skip_unreadable=skip_unreadable,
            name_files=name_files,
            key=key,
            workers=workers,
            on_progress=counter("imported"),
        )
    if preview is not None:
        from ptxcore.data.store.case_store import CaseStore
        from ptxcore.data.studies.import_sheet import NUM_CASES, draw_import_sheet

        with whole_file(preview) as draft:
            draw_import_sheet(CaseStore.open(store)).save(draft, format="PNG")
    if as_json:
        emit(report)
        return
    _say(report)
    if preview is not None:
        shown = count(min(report.num_cases, NUM_CASES), "case")
        click.echo(f"{preview}: {shown} with the outlines of the masks; look at it")


def _say(report: ImportReport) -> None:
    from ptxcore.data.formats.object_kind import describe_kinds
    from ptxcore.data.formats.spacing import describe_spacings
    from ptxcore.data.formats.subject import UNKNOWN, describe_contents

    for warning in report.warnings:
        say(f"warning: {warning}")
    click.echo(
        f"{report.store}: {count(report.num_cases, 'case')}, {report.num_positive} positive, "
        f"{report.num_excluded} excluded, files skipped: {report.num_skipped}"
    )
    click.echo(describe_contents(report.contents))
    if report.kinds["object"].keys() != {UNKNOWN}:  # PNG files say nothing
        click.echo(describe_kinds(report.kinds))
    click.echo(describe_spacings(report.spacings))
    click.echo(report.masks)
    if report.key is not None:
        click.echo(f"case ids: by the key in {report.key}, which other imports need too")
