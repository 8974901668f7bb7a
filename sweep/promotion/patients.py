"""What a sweep of an older version does not keep, and needs to know the patients of the cases."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ptxcore.errors import CoreError
from sweep.analysis.detection import detect
from sweep.analysis.resampling import resample
from sweep.analysis.standing import standing
from sweep.errors import StorageError
from sweep.ledger.projection import Projection
from sweep.storage.case_stores import open_store, store_of


def ask_patients(
    projection: Projection,
    folder: Path,
    home: Path,
    store: Path | str | None = None,
    *,
    ranks: bool = True,
) -> None:
    """Give a projection in memory what newer sweeps keep; nothing where the store is gone.

    Args:
        projection: Changed in place.
        folder: Folder of the sweep, with the tables of its trials.
        home: Folder of the home.
        store: Where the case store is now, if it moved.
        ranks: Whether the ranking is resampled too, which takes a while with many trials.
    """
    ranks = ranks and projection.resampling is None
    if standing(projection).winner is None:
        return
    if not ranks and projection.detection is not None:
        return
    header = projection.header
    with contextlib.suppress(CoreError, StorageError):
        cases = open_store(store or store_of(header, home))
        if cases.data_hash != header.data_hash:
            return
        groups = {case.case_id: case.group for case in cases.cases}
        if ranks and (drawn := resample(projection, folder, groups)):
            projection.resampling = drawn.to_stored()
        if projection.detection is None and (told := detect(projection, folder, groups)):
            projection.detection = told.to_stored()
