"""Masks that anyone predicted for the cases of a store: found by name, by reference or by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.dicom_seg import read_seg, source_uids
from ptxcore.data.formats.files import list_files
from ptxcore.data.formats.png_mask import read_png_mask
from ptxcore.data.formats.rle import SIIM, Dialect, decode
from ptxcore.data.formats.rle_fit import Asked, dialect_of
from ptxcore.data.formats.rle_table import Table, read_table
from ptxcore.data.importing.naming import speaking_of
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import DataError, MaskError

#: How `predict` and others end the names of masks, longest first.
_ENDINGS = (".mask.png", "_mask.png", ".png")
_TABLES = (".csv", ".csv.gz")
_OTHER_OUTPUTS = (".probability.png", ".attention.png")


@dataclass(frozen=True, kw_only=True)
class PredictedMasks:
    """Where the mask of each case is.

    Attributes:
        files: PNG file or DICOM Segmentation by case id.
        uids: SOP Instance UID by case id, where the file is a segmentation.
        rows: Run-length encodings by case id.
        dialect: How they are meant.
        num_unknown: Masks of no case of the store.
        missing: Ids of the store's cases without a mask, in its order.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    uids: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, list[str]] = field(default_factory=dict)
    dialect: Dialect = SIIM
    num_unknown: int
    missing: tuple[str, ...]

    def mask(self, case_id: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """One mask, of `shape`; empty where the case has none.

        Raises:
            DataError: It cannot be read, or is of another size.
        """
        if case_id in self.rows:
            return decode(self.rows[case_id], *shape, self.dialect)
        path = self.files.get(case_id)
        if path is None:
            return np.zeros(shape, dtype=bool)
        with speaking_of(path, f"the mask of case {case_id}"):  # a name can be a patient's
            if path.suffix == ".png":
                found = read_png_mask(path)
            else:
                found = read_seg(path)[self.uids[case_id]]
        if found.shape != shape:
            raise MaskError(
                f"case {case_id}: found a mask of {found.shape[0]} x {found.shape[1]} px, expected "
                f"{shape[0]} x {shape[1]} as the image has"
            )
        return found


def find_masks(source: Path, store: CaseStore) -> PredictedMasks:
    """Look for a mask of each case.

    Args:
        source: A table of run lengths (`ImageId,EncodedPixels`) in the dialect that fits, or a
            folder, at any depth, of PNG masks (`<stem>.mask.png`, `<stem>.png`, where the stem is
            that of the image or its SOP Instance UID) or of DICOM Segmentations, which name their
            image.
        store: The cases.

    Raises:
        DataError: Nothing there is a mask of a case of the store, two are of one case, or a table
            or segmentation cannot be read.
    """
    files: dict[str, Path] = {}
    uids: dict[str, str] = {}
    rows: dict[str, list[str]] = {}
    dialect = SIIM
    times: Counter[str] = Counter()
    if source.is_file():
        if not source.name.lower().endswith(_TABLES):
            raise DataError(
                f"masks: found the file {source.name}, expected a folder of masks, or a table "
                f"whose name ends in {' or '.join(_TABLES)}"
            )
        table = read_table(source)
        dialect = _fitting(table, store)
        rows = {store.case_id_of(uid): encodings for uid, encodings in table.rows.items()}
        times.update(list(rows))
    else:
        listing = list_files(source)
        for path in listing.dicom:
            for uid in source_uids(path):
                case_id = store.case_id_of(uid)
                files[case_id], uids[case_id] = path, uid
                times[case_id] += 1
        for path in listing.other:
            ending = next((word for word in _ENDINGS if path.name.endswith(word)), None)
            if ending and not path.name.endswith(_OTHER_OUTPUTS):
                case_id = store.case_id_of(path.name.removesuffix(ending))
                files[case_id] = path
                times[case_id] += 1
    known = {case.case_id for case in store.cases}
    twice = sum(count > 1 for case_id, count in times.items() if case_id in known)
    if twice:
        raise DataError(
            f"masks: found two or more of {twice} case(s), expected one each; give a folder with "
            "masks of one kind"
        )
    if not known & set(times):
        raise DataError(
            f"masks: found {len(times)}, none of them of a case of the store; expected names as "
            "the images have (<stem>.mask.png), segmentations that refer to them, or a table with "
            "their ids"
        )
    return PredictedMasks(
        files=files,
        uids=uids,
        rows=rows,
        dialect=dialect,
        num_unknown=len(set(times) - known),
        missing=tuple(case.case_id for case in store.cases if case.case_id not in times),
    )


def _fitting(table: Table, store: CaseStore) -> Dialect:
    """The dialect of a table for the cases of a store."""
    known = {case.case_id: (case.height, case.width) for case in store.cases}
    shapes = {uid: known[name] for uid in table.rows if (name := store.case_id_of(uid)) in known}
    return dialect_of(table, shapes, Asked())
