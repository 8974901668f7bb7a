"""Write the store of an import: the second pass, beside its place, which it takes at the end."""

from __future__ import annotations

import importlib.metadata
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from ptxcore.data.formats.object_kind import count_kinds
from ptxcore.data.formats.subject import count_subjects
from ptxcore.data.importing.cases import decode_all, decode_case
from ptxcore.data.importing.masks import MaskSource
from ptxcore.data.importing.naming import hint, refuse_all
from ptxcore.data.importing.sources import Source, Sources, how_grouped
from ptxcore.data.store.case_ids import fingerprint, write_key
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
from ptxcore.hints import in_bytes

OnProgress = Callable[[int, int], None]


def check_place(store: Path) -> None:
    """Refuse a place that holds something.

    Args:
        store: Folder to make.

    Raises:
        StoreError: It exists and is not empty.
    """
    if store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise StoreError(f"{store}: exists already; choose another folder or remove it first")


@contextmanager
def building(store: Path) -> Iterator[Path]:
    """A folder beside `store` that becomes it at the end, or goes away.

    Args:
        store: Folder to make.

    Raises:
        StoreError: Something is there, or another import is at it.
    """
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
            check_place(store)
            folder.rename(place)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def write_store(
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
    """Decode and write all cases, then the table, the keys and the manifest.

    Args:
        folder: Folder from `building`.
        sources: Sources from `choose_sources`.
        subgroup_of: Label by image id, of all or of none.
        masks: Masks of the import, fitted to the images.
        key: Key of the case ids.
        mask_threshold: What the manifest says of soft masks.
        workers: Threads.
        on_progress: Called with the number of images looked at and their total.
        skip_unreadable: Whether images that cannot be read are left out.

    Returns:
        The cases, what messages call those without contrast, and the sources that are left.

    Raises:
        DataError: Images or masks that cannot be used, all in one message.
        StoreError: The disk has no room for it.
    """
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
    facts = {
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
        **_contents(kept),
    }
    (folder / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return cases, blank, sources


def _contents(kept: list[Source]) -> dict[str, Any]:
    """What the manifest says of the pictures, and what decoded them.

    No dates, so that a store says nothing about when it was made.
    """
    return {
        "contents": count_subjects(source.subject for source in kept),
        "kinds": count_kinds(source.kind for source in kept),
        "num_burned_in": sum(source.kind.is_burned_in for source in kept),
        "versions": {
            name: importlib.metadata.version(name) for name in ("numpy", "pillow", "pydicom")
        },
    }


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
            f"{folder.parent}: found {in_bytes(free)} of free space, expected at least "
            f"{in_bytes(needed)} for {len(sources)} images"
        )
