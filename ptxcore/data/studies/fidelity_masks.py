"""Where the masks of a fidelity study come from: a table, a store, or a table's for a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats import rle_table
from ptxcore.data.formats.rle_fit import Asked, dialect_of
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Masks that are decoded one by one.

    Attributes:
        loaders: Each gives one mask of shape (H, W), bool, when called, in any thread.
        side_px: Longer side of the smallest of them.
        num_rows_unused: Images of the table that the store does not hold.
        num_cases_unused: Cases of the store without a row in the table.
    """

    loaders: tuple[Callable[[], NDArray[np.bool_]], ...]
    side_px: int
    num_rows_unused: int = 0
    num_cases_unused: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """A half, a quarter and an eighth of `side_px`: coarser than every mask."""
        return tuple(dict.fromkeys(max(1, self.side_px // factor) for factor in (2, 4, 8)))


def masks_of_table(path: Path, height: int, width: int) -> Masks:
    """All masks of a table, on one grid.

    Args:
        path: See `ptxcore.data.formats.rle_table.read_table`.
        height: Height of every image in pixels.
        width: Width of every image in pixels.

    Raises:
        MaskError: The file is no such table.
    """
    table = rle_table.read_table(path)
    table.dialect = dialect_of(
        table, dict.fromkeys(table.rows, (height, width)), Asked(grid=(height, width))
    )
    return Masks(
        loaders=tuple(partial(table.decode, image_id, height, width) for image_id in table.rows),
        side_px=max(height, width),
    )


def masks_of_store(folder: Path) -> Masks:
    """All masks of a store.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    store = CaseStore.open(folder)
    return Masks(
        loaders=tuple(partial(store.mask, index) for index in range(len(store))),
        side_px=min(map(max, store.shapes), default=1),
    )


def masks_of_both(path: Path, folder: Path) -> Masks:
    """The table's masks of those images that the store holds, each on the grid of its image.

    So annotations that were made anew can be measured before they are imported, on the images that
    a sweep sees. A store knows a case by a keyed hash of the image's id.

    Args:
        path: See `ptxcore.data.formats.rle_table.read_table`.
        folder: Folder of the store; its own masks are not read.

    Raises:
        MaskError: The file is no such table.
        StoreError: There is no such store, or it is damaged.
        DataError: The store holds none of the table's images.
    """
    table, store = rle_table.read_table(path), CaseStore.open(folder)
    shapes = {case.case_id: (case.height, case.width) for case in store.cases}
    found = [
        (image_id, shapes[case_id])
        for image_id in table.rows
        if (case_id := store.case_id_of(image_id)) in shapes
    ]
    table.dialect = dialect_of(table, dict(found), Asked())
    if not found:
        raise DataError(
            f"{path.name}: found none of its {len(table.rows)} images among the {len(shapes)} "
            f"cases of {folder}, expected the table of the images that were imported; or leave out "
            "--store and measure all of them"
        )
    return Masks(
        loaders=tuple(partial(table.decode, image_id, *shape) for image_id, shape in found),
        side_px=min(max(shape) for _, shape in found),
        num_rows_unused=len(table.rows) - len(found),
        num_cases_unused=len(shapes) - len(found),
    )
