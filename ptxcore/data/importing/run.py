"""Import: from a folder of images and their masks to a case store.

Two passes. The first reads headers alone (`sources`). The second decodes in threads, a few images
ahead of the writer (`writing`), so memory does not grow with their number. The store is built
beside its place and renamed at the end: there is a whole store, or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ptxcore.data.formats.files import ImageFiles, find_images
from ptxcore.data.formats.mask_values import Reading
from ptxcore.data.formats.rle_fit import Asked
from ptxcore.data.formats.rle_table import read_table
from ptxcore.data.importing.masks import CocoMasks, FileMasks, MaskSource, RleMasks, find_masks
from ptxcore.data.importing.report import ImportReport, make_report
from ptxcore.data.importing.sources import Sources, choose_sources, read_groups, read_subgroups
from ptxcore.data.importing.writing import OnProgress, building, check_place, write_store
from ptxcore.data.parallel import num_processors
from ptxcore.data.store.case_ids import project_key
from ptxcore.errors import DataError

__all__ = ["ImportReport", "import_cases"]

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
    _check_words(unannotated, any_modality=any_modality, skips_others=skip_other_modalities)
    _check_numbers(workers, mask_threshold)
    reading = Reading(threshold=mask_threshold, classes=tuple(mask_classes), axes=mask_axes)
    check_place(store)
    group_of = None if groups is None else read_groups(groups)
    subgroup_of = {} if subgroups is None else read_subgroups(subgroups)
    files, source_of_masks = _files(images, rle, masks, asked or Asked(), reading)
    ids = project_key(key)
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
    if subgroups is not None:
        _check_subgroups(subgroups, subgroup_of, sources)
    fitted = source_of_masks.fitted({source.image_id: source.shape for source in sources.chosen})
    with building(store) as folder:
        cases, blank, sources = write_store(
            folder,
            sources,
            subgroup_of,
            fitted,
            ids.key,
            mask_threshold,
            workers or num_processors(),
            on_progress,
            skip_unreadable=skip_unreadable,
        )
    return make_report(store, cases, blank, files, sources, fitted.describe(), ids)


def _check_words(unannotated: str, *, any_modality: bool, skips_others: bool) -> None:
    if unannotated not in UNANNOTATED:
        raise DataError(f"unannotated: found {unannotated!r}, expected one of {UNANNOTATED}")
    if any_modality and skips_others:
        raise DataError("any_modality: found skip_other_modalities beside it, expected one of them")


def _check_numbers(workers: int | None, mask_threshold: float | None) -> None:
    if workers is not None and workers < 1:
        raise DataError(f"workers: found {workers}, expected at least 1")
    if mask_threshold is not None and not 0 < mask_threshold < 1:
        raise DataError(f"mask_threshold: found {mask_threshold}, expected a share in (0, 1)")


def _files(
    images: Path, rle: Path | None, masks: Path | None, asked: Asked, reading: Reading
) -> tuple[ImageFiles, MaskSource]:
    """The files of a folder that are images, and where their masks come from."""
    if rle is not None and reading.threshold is not None:
        raise DataError("mask_threshold: found a table of masks, expected masks as PNG files")
    if rle is not None and (masks is not None or reading.classes or reading.axes):
        raise DataError("masks: found a table of run lengths and masks as files, expected one")
    table = None if rle is None else read_table(rle)
    files = find_images(images)
    if table is not None:
        return files, RleMasks(table=table, asked=asked)
    if masks is not None:
        found = find_masks(masks, images, reading)
        return _without_masks(files, found), found
    if not files.masks:
        raise DataError(
            f"{images}: found no table of masks and no PNG pairs in `images` and `masks`; "
            "expected one of the two, or a folder of masks (--masks)"
        )
    return files, FileMasks(paths=files.masks, reading=reading)


def _check_subgroups(path: Path, subgroup_of: Mapping[str, str], sources: Sources) -> None:
    unnamed = sum(source.uid not in subgroup_of for source in sources.chosen)
    if unnamed:
        raise DataError(
            f"{path}: found no row for {unnamed} of {len(sources.chosen)} images, expected one "
            "for each"
        )


def _without_masks(files: ImageFiles, masks: FileMasks | CocoMasks) -> ImageFiles:
    """Without those images that are masks, where both are in one folder."""
    own = {path.resolve() for path in getattr(masks, "paths", {}).values()}
    paths = tuple(path for path in files.paths if not files.are_png or path.resolve() not in own)
    return replace(files, paths=paths)
