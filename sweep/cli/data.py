"""`ptxsweep data`: from images and masks to a case store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sweep.cli._common import (
    ANY_PATH,
    EXISTING_FILE,
    EXISTING_FOLDER,
    EXISTING_PATH,
    OUTPUT_FILE,
    OUTPUT_FOLDER,
    counter,
    emit,
    json_option,
    parse_settings,
    say,
)
from sweep.cli._help import Command
from sweep.cli.fidelity import fidelity_command
from sweep.errors import UsageError
from sweep.util.words import count

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


@click.group("data")
def data_command() -> None:
    """Import images and masks into a case store, check it, describe it."""


data_command.command_class = Command
data_command.add_command(fidelity_command)


@data_command.command("import")
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
    from ptxcore.data.formats.object_kind import describe_kinds
    from ptxcore.data.formats.rle_fit import Asked
    from ptxcore.data.formats.spacing import describe_spacings
    from ptxcore.data.formats.subject import UNKNOWN, describe_contents
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
    for warning in report.warnings:
        say(f"warning: {warning}")
    click.echo(
        f"{store}: {count(report.num_cases, 'case')}, {report.num_positive} positive, "
        f"{report.num_excluded} excluded, files skipped: {report.num_skipped}"
    )
    click.echo(describe_contents(report.contents))
    if report.kinds["object"].keys() != {UNKNOWN}:  # PNG files say nothing
        click.echo(describe_kinds(report.kinds))
    click.echo(describe_spacings(report.spacings))
    click.echo(report.masks)
    if report.key is not None:
        click.echo(f"case ids: by the key in {report.key}, which other imports need too")
    if preview is not None:
        shown = count(min(report.num_cases, NUM_CASES), "case")
        click.echo(f"{preview}: {shown} with the outlines of the masks; look at it")


@data_command.command("check")
@click.argument("store", type=EXISTING_FOLDER)
@json_option
def check_command(store: Path, as_json: bool) -> None:
    """Read all of STORE and compare it with the hashes of its manifest."""
    from ptxcore.data.store.case_store import CaseStore
    from ptxcore.data.store.summary import doubts_about_store

    cases = CaseStore.open(store)
    cases.verify()
    warnings = doubts_about_store(cases, look=True)
    if as_json:
        emit(
            {
                "store": str(store),
                "num_cases": len(cases.cases),
                "data_hash": cases.data_hash,
                "warnings": warnings,
            }
        )
        return
    for warning in warnings:
        say(f"warning: {warning}")
    number = count(len(cases.cases), "case")
    click.echo(f"{store}: {number}, all as the manifest says ({cases.data_hash})")


@data_command.command("upload")
@click.argument("store", type=EXISTING_FOLDER)
@click.argument("address")
@json_option
def upload_command(store: Path, address: str, as_json: bool) -> None:
    """Put STORE into object storage, for `run --store ADDRESS` on hosts that share no folder.

    ADDRESS is s3://bucket/prefix, of this store alone; keys come from the environment or ~/.aws.
    Images and masks go there, the salt of the group hashes does not. Either all of it is there in
    the end or nothing.
    """
    from sweep.storage.case_stores import upload

    cases, is_new = upload(store, address)
    if as_json:
        emit(
            {
                "address": address,
                "new": is_new,
                "num_cases": len(cases.cases),
                "data_hash": cases.data_hash,
            }
        )
        return
    done = "put there" if is_new else "there already"
    click.echo(f"{address}: {count(len(cases.cases), 'case')} {done} ({cases.data_hash})")


@data_command.command("info")
@click.argument("store", type=EXISTING_FOLDER)
@json_option
def info_command(store: Path, as_json: bool) -> None:
    """Describe STORE: cases, sizes, masks, views."""
    from ptxcore.data.store.case_store import CaseStore
    from ptxcore.data.store.summary import describe_store, doubts_about_store

    cases = CaseStore.open(store)
    facts, warnings = describe_store(cases), doubts_about_store(cases)
    if as_json:
        emit({"store": str(store), **facts, "warnings": warnings})
        return
    for warning in warnings:
        say(f"warning: {warning}")
    for name, value in facts.items():
        shown = (
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        click.echo(f"{name:22} {shown}")


@data_command.command("which")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--store", type=EXISTING_FOLDER, required=True, help="Case store to look in.")
@click.option(
    "--case",
    "case_ids",
    multiple=True,
    metavar="ID",
    help="Only the file of this case, as a report or a table of cases calls it; may be given many "
    "times.",
)
@json_option
def which_command(
    paths: tuple[Path, ...], store: Path, case_ids: tuple[str, ...], as_json: bool
) -> None:
    """Find the case that a file became, or with --case the file that a case came from.

    PATHS are DICOM or PNG files, or folders of them. A store keeps no names of files, so this asks
    the files; what it prints names them, and is for you alone.
    """
    from ptxcore.data.importing.find_case import find_cases
    from ptxcore.data.store.case_store import CaseStore

    cases = CaseStore.open(store)
    if unknown := set(case_ids) - {case.case_id for case in cases.cases}:
        raise UsageError(
            f"--case: found {', '.join(sorted(unknown))}, expected the id of a case of the store, "
            "16 hexadecimal digits"
        )
    found = find_cases(paths, cases, case_ids, counter("looked at", quiet_seconds=3.0))
    if as_json:
        emit({"store": str(store), "files": found})
    for file in () if as_json else found:
        case = file.case
        text = "not in this store"
        if case is not None:
            mask = f"mask of {case.mask_px:,} px" if case.is_positive else "no mask"
            text = f"{case.height} x {case.width}, view {case.view or 'unknown'}, {mask}"
        click.echo(f"{file.path}: {file.case_id}, {text}")
    if not found:
        say("none of these files is one of those cases" if case_ids else "no image was found")


@data_command.command("phantom")
@click.argument("folder", type=OUTPUT_FOLDER)
@click.option("--num-cases", type=click.IntRange(1), default=120, show_default=True)
@click.option("--size", type=click.IntRange(64), default=512, show_default=True, help="In pixels.")
@click.option(
    "--prevalence",
    type=click.FloatRange(0, 1),
    default=0.22,
    show_default=True,
    help="Share of cases with a pneumothorax.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
def phantom_command(
    folder: Path, num_cases: int, size: int, prevalence: float, seed: int, as_json: bool
) -> None:
    """Draw a chest phantom into FOLDER, as DICOM files and a CSV of masks."""
    from ptxcore.data.phantom import write_phantom

    files = write_phantom(folder, num_cases=num_cases, size=size, prevalence=prevalence, seed=seed)
    if as_json:
        emit({"dicom": str(files.dicom), "rle": str(files.rle), "num_cases": num_cases})
        return
    click.echo(f"phantom: {count(num_cases, 'case')}; DICOM in {files.dicom}, masks in {files.rle}")


@data_command.command("preview")
@click.argument("store", type=EXISTING_FOLDER)
@click.option(
    "--space",
    default="attention_unet",
    show_default=True,
    help="Search space with the defaults to show: a shipped one or a YAML file.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Show this value instead of the default; may be given many times.",
)
@click.option("--out", type=OUTPUT_FILE, required=True, help="PNG file to write.")
@click.option("--cases", "num_cases", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option(
    "--draws",
    "num_draws",
    type=click.IntRange(1, 16),
    default=2,
    show_default=True,
    help="Augmented draws of a patch at each strength.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
def preview_command(
    store: Path,
    space: str,
    settings: tuple[str, ...],
    out: Path,
    num_cases: int,
    num_draws: int,
    seed: int,
    as_json: bool,
) -> None:
    """Draw patches of STORE as training sees them, plain and augmented, with their masks.

    Made by the code of training itself. The picture shows radiographs, but names nobody.
    """
    fixed = parse_settings(settings)

    from sweep.preview import write_preview

    found = write_preview(
        store, space, fixed, out, seed=seed, num_cases=num_cases, num_draws=num_draws
    )
    if as_json:
        emit({"sheet": str(out), "num_cases": len(found.rows), "captions": found.captions})
        return
    for line in found.captions:
        click.echo(line)
    patches = count(len(found.rows[0]), "patch", "patches")
    click.echo(f"{out}: {count(len(found.rows), 'case')}, {patches} of each")
