"""Import: from a folder of images and a table of masks to a case store.

Two passes. The first reads headers alone, decides which images become cases and finds what is
wrong with the set as a whole. The second decodes in threads (Pillow and zlib let go of the
interpreter lock), a few images ahead of the writer, so memory does not grow with their number.
The store is built beside its place and renamed at the end: there is a whole store, or none.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import importlib.metadata
import json
import math
import os
import secrets
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data import rle as rle_codec
from ptxcore.data.dicom import is_plain_eight_bit, read_dicom, read_header
from ptxcore.data.png import read_png
from ptxcore.data.radiograph import Radiograph
from ptxcore.data.store import (
    CASES,
    FORMAT,
    IMAGES,
    MANIFEST,
    MASKS,
    SALT,
    Case,
    write_table,
)
from ptxcore.errors import DataError, DicomError, MaskError, StoreError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import gave.

    Attributes:
        store: Folder of the new store.
        num_cases: Cases in it.
        num_positive: Cases with a mask.
        num_excluded: Images without a row in the table.
        num_missing: Rows of the table without an image.
        num_skipped: Files that are no images (AppleDouble, text).
        num_groups: Distinct patients, as far as the grouping knows.
        data_hash: SHA-256 of ids, pixels and masks.
        phantom: Whether the images are drawn.
        warnings: Sentences for the user.
    """

    store: Path
    num_cases: int
    num_positive: int
    num_excluded: int
    num_missing: int
    num_skipped: int
    num_groups: int
    data_hash: str
    phantom: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One image file after the first pass."""

    path: Path
    uid: str
    case_id: str
    rows: tuple[str, ...]
    group: str | None
    eight_bit: bool


def case_id_of(uid: str) -> str:
    """The id under which a store and everything after it knows an image: 16 hexadecimal digits."""
    return hashlib.sha256(f"ptxsweep-case:{uid.strip()}".encode()).hexdigest()[:16]


def import_cases(
    images: Path,
    rle: Path,
    store: Path,
    *,
    groups: Path | None = None,
    unannotated: str = "exclude",
    workers: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ImportReport:
    """Make a case store.

    Args:
        images: Folder of DICOM files, or of PNG files, at any depth.
        rle: Table of image ids and run-length encodings.
        store: Folder to make; it must not exist.
        groups: Table `image_id,group` that says which images belong to one patient, for data
            whose PatientID does not.
        unannotated: "exclude" leaves images without a row out; "negative" takes them as empty.
        workers: Threads; as many as processors unless given.
        on_progress: Called with the number of cases written and their total.

    Raises:
        DataError: Something about the files; nothing is left behind.
    """
    if unannotated not in ("exclude", "negative"):
        raise DataError(f"unannotated: found {unannotated!r}, expected 'exclude' or 'negative'")
    if store.exists():
        raise StoreError(f"{store}: exists already; choose another folder or remove it first")
    masks = rle_codec.read_csv(rle)
    group_of = None if groups is None else _read_groups(groups)
    files, num_skipped = _find(images)
    sources, num_excluded = _first_pass(files, masks, group_of, unannotated)
    if not sources:
        raise DataError(
            f"{images}: none of {len(files)} images has a row in {rle.name}; do the ids match?"
        )
    num_missing = len(set(masks) - {source.uid for source in sources})
    store.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=store.parent, prefix=f".{store.name}."))
    try:
        salt = secrets.token_bytes(32)
        cases, data_hash, phantom = _second_pass(
            sources, making, salt, workers or os.cpu_count() or 1, on_progress
        )
        _write_rest(making, cases, salt, data_hash, phantom, sources)
        making.chmod(0o755)
        making.rename(store)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    num_groups = len({case.group for case in cases})
    return ImportReport(
        store=store,
        num_cases=len(cases),
        num_positive=sum(case.is_positive for case in cases),
        num_excluded=num_excluded,
        num_missing=num_missing,
        num_skipped=num_skipped,
        num_groups=num_groups,
        data_hash=data_hash,
        phantom=phantom,
        warnings=_warnings(
            num_cases=len(cases),
            num_groups=num_groups,
            num_excluded=num_excluded,
            num_missing=num_missing,
            num_skipped=num_skipped,
        ),
    )


def _find(folder: Path) -> tuple[list[Path], int]:
    if not folder.is_dir():
        raise DataError(f"{folder}: found no such folder, expected one with DICOM or PNG files")
    everything = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path for path in everything if _is_dicom(path)]
    if not files:
        files = [path for path in everything if _is_png(path)]
    if not files:
        raise DataError(f"{folder}: found no DICOM and no PNG file among {len(everything)} files")
    return files, len(everything) - len(files)


def _is_dicom(path: Path) -> bool:
    """By name, or by the magic word of PS3.10 for files without one."""
    if path.name.startswith("._"):
        return False
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not path.name.startswith("._")


def _first_pass(
    files: list[Path],
    masks: Mapping[str, list[str]],
    group_of: Mapping[str, str] | None,
    unannotated: str,
) -> tuple[list[_Source], int]:
    sources: dict[str, _Source] = {}
    num_excluded = 0
    for path in files:
        header = None if _is_png(path) else read_header(path)
        uid = path.stem if header is None else str(header.SOPInstanceUID).strip()
        if uid not in masks and unannotated == "exclude":
            num_excluded += 1
            continue
        case_id = case_id_of(uid)
        if case_id in sources:
            raise DicomError(
                f"{path.name}: SOPInstanceUID: found the same as in {sources[case_id].path.name}, "
                "expected one of its own; remove one of the two files"
            )
        if group_of is not None and uid not in group_of:
            raise DataError(f"{path.name}: found no group in the group table, expected one")
        sources[case_id] = _Source(
            path=path,
            uid=uid,
            case_id=case_id,
            rows=tuple(masks.get(uid, ())),
            group=None if group_of is None else group_of[uid],
            eight_bit=header is None or is_plain_eight_bit(header),
        )
    return [sources[key] for key in sorted(sources)], num_excluded


def _second_pass(
    sources: list[_Source], folder: Path, salt: bytes, workers: int, on_progress: Progress
) -> tuple[list[Case], str, bool]:
    dtype = np.uint8 if all(source.eight_bit for source in sources) else np.uint16
    cases: list[Case] = []
    digest = hashlib.sha256()
    phantom = False
    with (folder / IMAGES).open("wb") as images, (folder / MASKS).open("wb") as masks:
        for source, (radiograph, packed, mask_px) in _ahead(_decode, sources, workers):
            case = _case(source, radiograph, mask_px, salt)
            pixels = _as(radiograph.pixels, dtype).tobytes()
            images.write(pixels)
            masks.write(packed)
            # As `store.content_hash`, but on the fly.
            digest.update(f"{case.case_id} {case.height} {case.width} {len(pixels)}\n".encode())
            digest.update(pixels)
            digest.update(packed)
            cases.append(case)
            phantom = phantom or radiograph.is_phantom
            on_progress(len(cases), len(sources))
    return cases, digest.hexdigest(), phantom


def _ahead(
    work: Callable[[_Source], Any], sources: Iterable[_Source], workers: int
) -> Iterator[tuple[_Source, Any]]:
    """Results in order, at most two per worker waiting."""
    waiting: deque[tuple[_Source, Future[Any]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for source in sources:
                waiting.append((source, pool.submit(work, source)))
                if len(waiting) >= 2 * workers:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _decode(source: _Source) -> tuple[Radiograph, bytes, int]:
    radiograph = read_png(source.path) if _is_png(source.path) else read_dicom(source.path)
    height, width = radiograph.pixels.shape
    try:
        mask = rle_codec.decode(source.rows, height, width)
    except MaskError as error:
        raise MaskError(f"{source.path.name}: {error}") from error
    return radiograph, np.packbits(mask).tobytes(), int(np.count_nonzero(mask))


def _as(pixels: NDArray[Any], dtype: type) -> NDArray[Any]:
    if pixels.dtype == dtype:
        return pixels
    if dtype is np.uint16:
        return pixels.astype(np.uint16) * np.uint16(257)  # 255 becomes 65,535
    raise AssertionError("an image turned out deeper than its header said")


def _case(source: _Source, radiograph: Radiograph, mask_px: int, salt: bytes) -> Case:
    person = source.group or radiograph.patient_id or source.uid
    spacing = radiograph.pixel_spacing_mm or (math.nan, math.nan)
    height, width = radiograph.pixels.shape
    return Case(
        case_id=source.case_id,
        group=hmac.new(salt, person.encode(), hashlib.sha256).hexdigest()[:16],
        view=_view(radiograph.view),
        height=height,
        width=width,
        spacing_height_mm=spacing[0],
        spacing_width_mm=spacing[1],
        mask_px=mask_px,
    )


def _view(view: str | None) -> str:
    """A view position of the standard's list; anything else could be free text about a person."""
    return view if view in ("AP", "PA", "LL", "RL", "LLD", "RLD", "LLO", "RLO") else ""


def _write_rest(
    folder: Path,
    cases: list[Case],
    salt: bytes,
    data_hash: str,
    phantom: bool,
    sources: list[_Source],
) -> None:
    write_table(folder / CASES, cases)
    (folder / SALT).write_bytes(salt)
    (folder / SALT).chmod(0o600)
    manifest = {
        "format": FORMAT,
        "num_cases": len(cases),
        "num_positive": sum(case.is_positive for case in cases),
        "dtype": "uint8" if all(source.eight_bit for source in sources) else "uint16",
        "data_hash": data_hash,
        "phantom": phantom,
        "versions": {
            name: importlib.metadata.version(name) for name in ("numpy", "pillow", "pydicom")
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _read_groups(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
    if rows and [cell.lower() for cell in rows[0]] == ["image_id", "group"]:
        rows = rows[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not all(row):
            raise DataError(f"{path.name}: row {number}: expected 'image_id,group'")
    twice = [name for name, count in Counter(row[0] for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{path.name}: {len(twice)} images stand in more than one row")
    return {row[0]: row[1] for row in rows}


def _warnings(
    *, num_cases: int, num_groups: int, num_excluded: int, num_missing: int, num_skipped: int
) -> tuple[str, ...]:
    found = []
    if num_groups == num_cases:
        found.append(
            "every image has a patient of its own: folds cannot keep a patient's images together. "
            "If patients do have several images, give --groups."
        )
    if num_excluded:
        found.append(f"{num_excluded} images have no row in the table and were left out.")
    if num_missing:
        found.append(f"{num_missing} rows of the table have no image.")
    if num_skipped:
        found.append(f"{num_skipped} files are no images and were skipped.")
    return tuple(found)
