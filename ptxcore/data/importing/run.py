"""Import: from a folder of images and their masks to a case store.

Two passes. The first reads headers alone (`sources`). The second decodes in threads, a few images
ahead of the writer, so memory does not grow with their number. The store is built beside its place
and renamed at the end: there is a whole store, or none.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.metadata
import json
import math
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ptxcore.data.formats.contrast import has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.files import ImageFiles, find_images
from ptxcore.data.formats.mask_values import Reading
from ptxcore.data.formats.png import read_png
from ptxcore.data.formats.radiograph import Radiograph
from ptxcore.data.formats.rle_fit import Asked
from ptxcore.data.formats.rle_table import read_table
from ptxcore.data.formats.subject import VIEWS, count_subjects
from ptxcore.data.importing.masks import CocoMasks, FileMasks, MaskSource, RleMasks, find_masks
from ptxcore.data.importing.naming import speaking_of
from ptxcore.data.importing.report import ImportReport, make_report
from ptxcore.data.importing.sources import (
    HINT,
    Source,
    choose_sources,
    how_grouped,
    read_groups,
    read_subgroups,
)
from ptxcore.data.parallel import in_order, num_processors
from ptxcore.data.store.case_ids import fingerprint, project_key, write_key
from ptxcore.data.store.case_store import (
    CASES,
    FORMAT,
    IMAGES,
    KEY,
    MANIFEST,
    MASKS,
    SALT,
    Case,
    case_digest,
    content_hash,
    write_table,
)
from ptxcore.errors import DataError, DicomError, StoreError

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
    mask_threshold: float | None = None,
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
        mask_threshold: What to do with PNG masks of more than two values, see `read_png_mask`.
        name_files: Whether errors name the files found in `images`; such names can be those of
            patients. Else they say "file 7 of 120", in the order of the paths.
        key: File with the key of the case ids, made if there is none; None takes the project's,
            see `project_key`.
        workers: Threads; as many as processors unless given.
        on_progress: Called with the number of cases written and their total.

    Raises:
        DataError: Something about the files; nothing is left behind. One of its subclasses where
            a single image (DicomError), mask (MaskError) or the store (StoreError) is at fault.
    """
    if unannotated not in UNANNOTATED:
        raise DataError(f"unannotated: found {unannotated!r}, expected one of {UNANNOTATED}")
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
        cases, blank = _write(
            folder,
            sources.chosen,
            subgroup_of or {},
            fitted,
            ids.key,
            mask_threshold,
            workers or num_processors(),
            on_progress,
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
    sources: tuple[Source, ...],
    subgroup_of: Mapping[str, str],
    masks: MaskSource,
    key: bytes,
    mask_threshold: float | None,
    workers: int,
    on_progress: OnProgress,
) -> tuple[list[Case], list[str]]:
    """The cases, and what messages call those without contrast."""
    dtype = np.dtype(np.uint8 if all(source.is_eight_bit for source in sources) else "<u2")
    _check_room(folder, sources, dtype)
    salt = secrets.token_bytes(32)

    def decoded(source: Source) -> tuple[NDArray[Any], NDArray[np.uint8], Case, bool]:
        try:
            return _decode(source, dtype, salt, masks)
        except DataError as error:
            hint = "" if source.label == source.path.name else HINT
            raise type(error)(f"{error}{hint}") from error.__cause__

    cases: list[Case] = []
    blank: list[str] = []
    with (folder / IMAGES).open("wb") as images, (folder / MASKS).open("wb") as packed_masks:
        for pixels, packed, case, is_blank in in_order(decoded, sources, workers):
            images.write(pixels.data)
            packed_masks.write(packed.data)
            cases.append(replace(case, subgroup=subgroup_of.get(sources[len(cases)].uid, "")))
            blank += [sources[len(cases) - 1].label] if is_blank else []
            on_progress(len(cases), len(sources))
    is_keyed = not all(source.is_phantom for source in sources)
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
        "phantom": any(source.is_phantom for source in sources),
        "id_key": fingerprint(key) if is_keyed else None,
        "groups": how_grouped(sources),
        "mask_threshold": mask_threshold,
        "masks": masks.describe(),
        "num_without_contrast": len(blank),
        "contents": count_subjects(source.subject for source in sources),
        # What decoded the pixels; no dates, so that a store says nothing about when it was made.
        "versions": {
            name: importlib.metadata.version(name) for name in ("numpy", "pillow", "pydicom")
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return cases, blank


def _check_room(folder: Path, sources: tuple[Source, ...], dtype: np.dtype[Any]) -> None:
    num_pixels = sum(height * width for height, width in (source.shape for source in sources))
    needed, free = num_pixels * (dtype.itemsize + 1 / 8), shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{folder.parent}: found {free / 2**30:.1f} GiB of free space, expected at least "
            f"{needed / 2**30:.1f} GiB for {len(sources)} images"
        )


def _decode(
    source: Source, dtype: np.dtype[Any], salt: bytes, masks: MaskSource
) -> tuple[NDArray[Any], NDArray[np.uint8], Case, bool]:
    is_png = source.path.suffix.lower() == ".png"
    with speaking_of(source.path, source.label):
        radiograph = read_png(source.path) if is_png else read_dicom(source.path)
    pixels = _as(radiograph.pixels, dtype)
    mask = masks.mask(source.image_id, source.shape, f"mask of {source.label}")
    packed = np.packbits(mask)
    case = _case(source, radiograph, pixels, mask, packed, salt)
    return pixels, packed, case, not has_contrast(pixels)


def _as(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if pixels.dtype == np.uint8 and dtype != np.uint8:
        return pixels.astype(dtype) * np.uint16(257)  # 255 becomes 65,535
    return np.ascontiguousarray(pixels, dtype=dtype)


def _case(
    source: Source,
    radiograph: Radiograph,
    pixels: NDArray[Any],
    mask: NDArray[np.bool_],
    packed: NDArray[np.uint8],
    salt: bytes,
) -> Case:
    spacing = radiograph.pixel_spacing_mm or (math.nan, math.nan)
    if pixels.shape != source.shape:
        raise DicomError(f"{source.label}: found another size than before; was it rewritten?")
    return Case(
        case_id=source.case_id,
        group=hmac.new(salt, source.person.encode(), hashlib.sha256).hexdigest()[:16],
        # Anything else could be free text about a person.
        view=source.subject.view if source.subject.view in VIEWS else "",
        height=pixels.shape[0],
        width=pixels.shape[1],
        spacing_height_mm=spacing[0],
        spacing_width_mm=spacing[1],
        mask_px=int(np.count_nonzero(mask)),
        digest=case_digest(pixels, packed),
    )
