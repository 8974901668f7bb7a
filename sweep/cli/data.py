"""`ptxsweep data`: from images and masks to a case store."""

from __future__ import annotations

from pathlib import Path

import click

from sweep.cli._common import (
    EXISTING_FOLDER,
    OUTPUT_FILE,
    OUTPUT_FOLDER,
    counter,
    emit,
    json_option,
    parse_settings,
    say,
)
from sweep.cli._help import Command
from sweep.cli.data_import import import_command
from sweep.cli.fidelity import fidelity_command
from sweep.errors import UsageError
from sweep.util.words import count


@click.group("data")
def data_command() -> None:
    """Import images and masks into a case store, check it, describe it."""


data_command.command_class = Command
data_command.add_command(import_command)
data_command.add_command(fidelity_command)


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
