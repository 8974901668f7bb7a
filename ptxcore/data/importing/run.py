"""Import: from a folder of images and their masks to a case store.

Two passes. The first reads headers alone (`sources`). The second decodes in threads, a few images
ahead of the writer, so memory does not grow with their number. The store is built beside its place
and renamed at the end: there is a whole store, or none.
"""

from __future__ import annotations

import importlib.metadata
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from ptxcore.data.formats.files import ImageFiles, find_images
from ptxcore.data.formats.mask_values import Reading
from ptxcore.data.formats.object_kind import count_kinds
from ptxcore.data.formats.rle_fit import Asked
from ptxcore.data.formats.rle_table import read_table
from ptxcore.data.formats.subject import count_subjects
from ptxcore.data.importing.cases import decode_all, decode_case
from ptxcore.data.importing.masks import CocoMasks, FileMasks, MaskSource, RleMasks, find_masks
from ptxcore.data.importing.naming import hint, refuse_all
from ptxcore.data.importing.report import ImportReport, make_report
from ptxcore.data.importing.sources import (
    Source,
    Sources,
    choose_sources,
    how_grouped,
    read_groups,
    read_subgroups,
)
from ptxcore.data.parallel import num_processors
from ptxcore.data.store.case_ids import fingerprint, project_key, write_key
from ptxcore.data.store.case_table import (
    CASES,
    FORMAT,
    IMAGES,
    KEY,
    MANIFEST,
    MASKS,
    SALT,
    Case,
    content_hash,
    write_table,
)
from ptxcore.errors import DataError, StoreError

__all__ = ["ImportReport", "import_cases"]

OnProgress = Callable[[int, int], None]
UNANNOTATED = ("exclude", "negative")


def import_cases(
    images: Path,
    rle: Path | None,
    store: Path,
    *,
    groups: Path | None = None,
    subgroups: Path | None = None,
    asked: Asked | None = None,
    masks: Path | None = None,
    mask_classes: Sequence[str] = (),
    mask_axes: str | None = None,
    unannotated: str = "exclude",
    any_modality: bool = False,
    skip_other_modalities: bool = False,
    allow_burned_in: bool = False,
    mask_threshold: float | None = None,
    skip_unreadable: bool = False,
    name_files: bool = False,
    key: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> ImportReport:
    """Make a case store.

    Args:
        images: Folder of DICOM files, or of PNG files, at any depth; of PNG pairs in subfolders
            `images` and `masks`.
        rle: Table of image ids (SOPInstanceUID, or stem of a PNG file) and run-length encodings;
            None takes the masks of PNG pairs.
        store: Folder to make; it must not exist, or be empty.
        groups: Table `image_id,group` that says which images belong to one patient, for data with a
            PatientID that does not.
        subgroups: Table `image_id,subgroup` of sites, scanners or the like, which the gate compares
            one by one; labels are kept as they are.
        asked: What is known of the dialect of `rle`; the rest is told by what fits.
        masks: Folder of masks, or JSON file of COCO, instead of `rle`, see `find_masks`.
        mask_classes: Classes that are united into the mask, see `Reading`, likewise the axes.
        mask_axes: Which way the first axis of a NIfTI or NRRD mask runs.
        unannotated: "exclude" leaves images without a row out; "negative" takes them as empty.
        any_modality: Whether images with headers that say that they are no projection radiographs
            (CT, MR, ultrasound ...) are taken too, rather than refused.
        skip_other_modalities: Whether they are left out instead, and counted.
        allow_burned_in: Whether images that say that words of a patient are drawn into their pixels
            are taken too, rather than refused.
        mask_threshold: What to do with PNG masks of more than two values, see `read_png_mask`.
        skip_unreadable: Whether images that cannot be read, or with a mask that cannot, are left
            out and listed in the report. Else one error counts them all and shows up to ten.
        name_files: Whether errors name the files found in `images`; such names can be those of
            patients. Else they say "file 7 of 120", in the order of the paths.
        key: File with the key of the case ids, made if there is none; None takes the project's,
            see `project_key`.
        workers: Threads; as many as processors unless given.
        on_progress: Called with the number of images looked at and their total.

    Raises:
        DataError: Something about the files; nothing is left behind. One of its subclasses where
            one image alone (DicomError), one mask (MaskError) or the store (StoreError) is at
            fault.
    """
    if unannotated not in UNANNOTATED:
        raise DataError(f"unannotated: found {unannotated!r}, expected one of {UNANNOTATED}")
    if any_modality and skip_other_modalities:
        raise DataError("any_modality: found skip_other_modalities beside it, expected one of them")
    if workers is not None and workers < 1:
        raise DataError(f"workers: found {workers}, expected at least 1")
    if mask_threshold is not None and not 0 < mask_threshold < 1:
        raise DataError(f"mask_threshold: found {mask_threshold}, expected a share in (0, 1)")
    if mask_threshold is not None and rle is not None:
        raise DataError("mask_threshold: found a table of masks, expected masks as PNG files")
    if rle is not None and (masks is not None or mask_classes or mask_axes):
        raise DataError("masks: found a table of run lengths and masks as files, expected one")
    _check_place(store)
    table = None if rle is None else read_table(rle)
    group_of = None if groups is None else read_groups(groups)
    subgroup_of = None if subgroups is None else read_subgroups(subgroups)
    files = find_images(images)
    ids = project_key(key)
    if table is None and masks is None and not files.masks:
        raise DataError(
            f"{images}: found no table of masks and no PNG pairs in `images` and `masks`; "
            "expected one of the two, or a folder of masks (--masks)"
        )
    reading = Reading(threshold=mask_threshold, classes=tuple(mask_classes), axes=mask_axes)
    source_of_masks: MaskSource = FileMasks(paths=files.masks, reading=reading)
    if table is not None:
        source_of_masks = RleMasks(table=table, asked=asked or Asked())
    elif masks is not None:
        source_of_masks = find_masks(masks, images, reading)
        files = _without_masks(files, source_of_masks)
    sources = choose_sources(
        files,
        source_of_masks.ids,
        group_of,
        ids.key,
        keep_unannotated=unannotated == "negative",
        any_modality=any_modality,
        skip_other_modalities=skip_other_modalities,
        allow_burned_in=allow_burned_in,
        skip_unreadable=skip_unreadable,
        name_files=name_files,
    )
    if subgroup_of is not None:
        unnamed = sum(source.uid not in subgroup_of for source in sources.chosen)
        if unnamed:
            raise DataError(
                f"{subgroups}: found no row for {unnamed} of {len(sources.chosen)} images, "
                "expected one for each"
            )
    fitted = source_of_masks.fitted({source.image_id: source.shape for source in sources.chosen})
    with _building(store) as folder:
        cases, blank, sources = _write(
            folder,
            sources,
            subgroup_of or {},
            fitted,
            ids.key,
            mask_threshold,
            workers or num_processors(),
            on_progress,
            skip_unreadable=skip_unreadable,
        )
    return make_report(store, cases, blank, files, sources, fitted.describe(), ids)


def _without_masks(files: ImageFiles, masks: FileMasks | CocoMasks) -> ImageFiles:
    """Without those images that are masks, where both are in one folder."""
    own = {path.resolve() for path in getattr(masks, "paths", {}).values()}
    paths = tuple(path for path in files.paths if not files.are_png or path.resolve() not in own)
    return replace(files, paths=paths)


def _check_place(store: Path) -> None:
    if store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise StoreError(f"{store}: exists already; choose another folder or remove it first")


@contextmanager
def _building(store: Path) -> Iterator[Path]:
    """A folder beside `store` that becomes it at the end, or goes away."""
    place = store.absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.parent / f".{place.name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(f"{store}: another import is writing it; wait, or stop that one") from None
    try:
        for leftover in place.parent.glob(f".{place.name}.part-*"):  # of an import that was killed
            shutil.rmtree(leftover)
        folder = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.part-"))
        try:
            yield folder
            folder.chmod(0o755)
            _check_place(store)
            folder.rename(place)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _write(
    folder: Path,
    sources: Sources,
    subgroup_of: Mapping[str, str],
    masks: MaskSource,
    key: bytes,
    mask_threshold: float | None,
    workers: int,
    on_progress: OnProgress,
    *,
    skip_unreadable: bool,
) -> tuple[list[Case], list[str], Sources]:
    """The cases, what messages call those without contrast, and the sources that are left."""
    dtype = np.dtype(np.uint8 if all(one.is_eight_bit for one in sources.chosen) else "<u2")
    _check_room(folder, sources.chosen, dtype)
    salt = secrets.token_bytes(32)
    cases: list[Case] = []
    blank: list[str] = []
    kept: list[Source] = []
    faults: list[tuple[Path, DataError]] = []
    decode = partial(decode_case, dtype=dtype, salt=salt, masks=masks)
    with (folder / IMAGES).open("wb") as images, (folder / MASKS).open("wb") as packed_masks:
        results = decode_all(sources.chosen, decode, workers)
        for done, found in enumerate(results, start=1):
            on_progress(done, len(sources.chosen))
            if isinstance(found, tuple):
                faults.append((found[0].path, found[1]))
            elif skip_unreadable or not faults:  # else it is looked for further faults alone
                images.write(found.pixels.data)
                packed_masks.write(found.packed.data)
                cases.append(replace(found.case, subgroup=subgroup_of.get(found.source.uid, "")))
                blank += [found.source.label] if found.is_blank else []
                kept.append(found.source)
    sources = _without(sources, kept, faults, skip_unreadable=skip_unreadable)
    is_keyed = not all(source.is_phantom for source in kept)
    (folder / SALT).touch(mode=0o600)
    (folder / SALT).write_bytes(salt)
    if is_keyed:
        write_key(folder / KEY, key)
    manifest = {
        "format": FORMAT,
        "num_cases": len(cases),
        "num_positive": sum(case.is_positive for case in cases),
        "dtype": dtype.name,
        "data_hash": content_hash(cases),
        "cases_sha256": write_table(folder / CASES, cases),
        "phantom": any(source.is_phantom for source in kept),
        "id_key": fingerprint(key) if is_keyed else None,
        "groups": how_grouped(kept),
        "mask_threshold": mask_threshold,
        "masks": masks.describe(),
        "num_without_contrast": len(blank),
        "num_unreadable": len(sources.unreadable),
        "contents": count_subjects(source.subject for source in kept),
        "kinds": count_kinds(source.kind for source in kept),
        "num_burned_in": sum(source.kind.is_burned_in for source in kept),
        # What decoded the pixels; no dates, so that a store says nothing about when it was made.
        "versions": {
            name: importlib.metadata.version(name) for name in ("numpy", "pillow", "pydicom")
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return cases, blank, sources


def _without(
    sources: Sources,
    kept: list[Source],
    faults: list[tuple[Path, DataError]],
    *,
    skip_unreadable: bool,
) -> Sources:
    """The sources without those at fault, unless these end the import: all in one message."""
    found = [error for _, error in sorted(faults, key=lambda fault: fault[0])]
    if not (skip_unreadable and kept):
        options = hint(
            names_files=any(source.label == source.path.name for source in sources.chosen),
            can_skip=not skip_unreadable and len(found) < len(sources.chosen),
        )
        refuse_all(found, len(sources.chosen), options)
    unreadable = (*sources.unreadable, *map(str, found))
    return replace(sources, chosen=tuple(kept), unreadable=unreadable)


def _check_room(folder: Path, sources: tuple[Source, ...], dtype: np.dtype[Any]) -> None:
    num_pixels = sum(height * width for height, width in (source.shape for source in sources))
    needed, free = num_pixels * (dtype.itemsize + 1 / 8), shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{folder.parent}: found {free / 2**30:.1f} GiB of free space, expected at least "
            f"{needed / 2**30:.1f} GiB for {len(sources)} images"
        )
