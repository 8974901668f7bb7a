"""A case store: decoded images and masks in flat files that every process maps into memory.

    manifest.json   format, counts, type of the pixels, hashes, versions
    cases.csv       one row per case: hashed id, hashed group, view, shape, spacing, mask, digest
    images.bin      images one after another, uint8 or little-endian uint16
    masks.bin       masks one after another, eight pixels a byte, each padded to whole bytes
    salt.key        the secret behind group hashes; stays here
    ids.key         the secret behind case ids, which other stores of a project share; stays here
    derived/<size>/ the same images and masks on a smaller grid, made on demand;
                    <size>-<filter> where the filter is not Lanczos

Reading an image gives a view of the map: all trials on a machine share one page cache, and none
holds the data set in memory of its own. Cases stand in the order of their ids.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.parallel import in_order, num_processors
from ptxcore.data.resample import target_shape
from ptxcore.data.store.case_ids import (
    KEY_VARIABLE,
    existing_key,
    fingerprint,
    keyed_id,
    plain_id,
    read_key,
)
from ptxcore.data.store.case_table import (
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
    count_spacings,
    read_manifest,
    read_table,
    write_table,
)
from ptxcore.data.store.grids import Grid, make_grid, map_file, starts_of
from ptxcore.errors import DataError, StoreError

__all__ = [
    "CASES",
    "FORMAT",
    "IMAGES",
    "KEY",
    "MANIFEST",
    "MASKS",
    "SALT",
    "Case",
    "CaseStore",
    "OnProgress",
    "case_digest",
    "content_hash",
    "count_spacings",
    "no_progress",
    "read_manifest",
    "write_table",
]

#: Called with how much is done and how much there is.
OnProgress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """An `OnProgress` that does nothing."""


class CaseStore:
    """An open store. Opening reads the table alone; pixels come when they are asked for.

    Attributes:
        folder: Where it is.
        manifest: What was written beside the pixels.
        cases: Sorted by id.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], cases: tuple[Case, ...]) -> None:
        """From what `open` has read and checked; that maps the files too.

        Args:
            folder: Where the store is.
            manifest: Manifest from `read_manifest`.
            cases: Sorted by id.
        """
        self.folder = folder
        self.manifest = manifest
        self.cases = cases
        self._index = {case.case_id: index for index, case in enumerate(cases)}
        self._grids: dict[tuple[int, str], Grid] = {}

    @classmethod
    def open(cls, folder: Path) -> CaseStore:
        """Open a store; its files are mapped, not read.

        Args:
            folder: Folder, as `ptxsweep data import` wrote it.

        Raises:
            StoreError: There is none, it is of another format, or its files do not fit together.
        """
        path = Path(folder)
        if not (path / MANIFEST).is_file():
            raise StoreError(
                f"{path}: found no case store; make one with `ptxsweep data import`; if it moved, "
                "--store of resume and promote says where it is now"
            )
        manifest = read_manifest(path)
        cases = read_table(path, manifest)
        store = cls(path, manifest, cases)
        store._map()
        return store

    def __len__(self) -> int:
        return len(self.cases)

    def __reduce__(self) -> tuple[Callable[[Path], CaseStore], tuple[Path]]:
        # To another process goes the name of the folder, never a copy of the maps.
        return CaseStore.open, (self.folder,)

    @property
    def data_hash(self) -> str:
        """SHA-256 over case ids, pixels and masks: 64 hexadecimal digits."""
        return str(self.manifest["data_hash"])

    @property
    def phantom(self) -> bool:
        """Whether any image is drawn, not real."""
        return bool(self.manifest["phantom"])

    @property
    def contents(self) -> dict[str, dict[str, int]]:
        """Cases by modality, view and body part; empty in stores made before that was counted."""
        return dict(self.manifest.get("contents", {}))

    @property
    def id_key(self) -> str | None:
        """Fingerprint of the key of the case ids; None where they have none: of drawings, and in
        stores of earlier versions.
        """
        found = self.manifest.get("id_key")
        return None if found is None else str(found)

    def case_id_of(self, uid: str) -> str:
        """The id that an image has, or would have, in this store.

        Args:
            uid: SOPInstanceUID, or id of a PNG file.

        Raises:
            StoreError: This is a copy without the key of its ids, and the user has another one.
        """
        plain = plain_id(uid)
        if self.id_key is None or plain in self._index:
            return plain
        return keyed_id(uid, self._key)

    @cached_property
    def _key(self) -> bytes:
        for path in (self.folder / KEY, existing_key()):
            try:
                if path is not None and fingerprint(key := read_key(path)) == self.id_key:
                    return key
            except (OSError, DataError):
                continue
        raise StoreError(
            f"{self.folder}: found no key of its case ids, so no image can be looked up; expected "
            f"{KEY} there, as in the store that was imported, or the same key in {KEY_VARIABLE}"
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored pixels: uint8 or uint16."""
        return np.dtype(str(self.manifest["dtype"])).newbyteorder("<")

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of every case in pixels."""
        return tuple((case.height, case.width) for case in self.cases)

    def index(self, case_id: str) -> int:
        """Zero-based position of a case.

        Args:
            case_id: Id, as the table of cases has it.

        Raises:
            StoreError: The store has no such case.
        """
        if case_id not in self._index:
            raise StoreError(f"found no case {case_id} in the store; is the plan of another store?")
        return self._index[case_id]

    def image(self, index: int) -> NDArray[Any]:
        """Original pixels: a read-only view of shape (H, W), uint8 or uint16, bright = dense.

        Args:
            index: Zero-based position of the case, see `index`.
        """
        start, stop = self._image_starts[index], self._image_starts[index + 1]
        return self._images[start:stop].reshape(self.shapes[index])

    def look_of(self, index: int) -> tuple[int, int, bytes]:
        """What tells whether two stores have the same picture: its shape, and rows of its pixels.

        A few rows are enough: two radiographs share none. So it costs little more than nothing.

        Args:
            index: Zero-based position of the case, see `index`.
        """
        height, width = self.shapes[index]
        rows = self.image(index)[[height // 5, height // 2, 3 * height // 4]]
        if rows.dtype == np.uint8:  # what a store with deeper images would hold
            rows = rows.astype(np.uint16) * np.uint16(257)
        return height, width, hashlib.sha256(rows.tobytes()).digest()

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Original mask: a new bool array of shape (H, W).

        Args:
            index: Zero-based position of the case, see `index`.
        """
        flat = np.unpackbits(self._packed(index), count=self.cases[index].num_pixels)
        return flat.view(np.bool_).reshape(self.shapes[index])

    def soft_mask(self, index: int) -> NDArray[np.uint8]:
        """Original mask as on a derived grid: a new uint8 array of shape (H, W), 0 or 255.

        Args:
            index: Zero-based position of the case, see `index`.
        """
        return self.mask(index).view(np.uint8) * np.uint8(255)

    def resampled(self, image_size: int, resampling: str = "lanczos") -> Grid | CaseStore:
        """The cases with their longer side at `image_size` px.

        A grid is made at its first use, by one process while others wait, and kept in the store.

        Args:
            image_size: Size in pixels; 0 for the original grid.
            resampling: Filter of the images, one of `ptxcore.limits.RESAMPLINGS`.

        Returns:
            An object with `image(index)`, `soft_mask(index)` and `shapes`; this store itself
            where that is the original grid.

        Raises:
            StoreError: The store cannot be written to.
            SettingsError: No such filter.
        """
        key = image_size, resampling
        if key not in self._grids:
            shapes = [target_shape(*shape, image_size) for shape in self.shapes]
            if tuple(shapes) == self.shapes:
                return self
            suffix = "" if resampling == "lanczos" else f"-{resampling}"
            folder = self.folder / "derived" / f"{image_size}{suffix}"
            make_grid(folder, shapes, self.image, self.mask, resampling)
            self._grids[key] = Grid(folder, image_size, shapes, self.dtype)
        return self._grids[key]

    def verify(self, on_progress: OnProgress = no_progress) -> None:
        """Read everything and compare with the digests.

        Args:
            on_progress: Called with the number of cases read and of all cases.

        Raises:
            StoreError: Pixels, masks or ids are not those that were imported; says of how many
                cases, and names the first.
        """
        found = in_order(self._is_as_imported, range(len(self)), num_processors())
        changed = []
        for number, (case, is_same) in enumerate(zip(self.cases, found, strict=True), start=1):
            if not is_same:
                changed.append(case.case_id)
            on_progress(number, len(self))
        if changed:
            raise StoreError(
                f"{self.folder}: found {len(changed)} of {len(self)} cases changed or damaged "
                f"(the first: {changed[0]}), expected them as imported; import again"
            )
        if content_hash(self.cases) != self.data_hash:
            raise StoreError(
                f"{self.folder}: found a manifest with another data hash than the cases have; "
                "import again"
            )

    def _is_as_imported(self, index: int) -> bool:
        case, packed = self.cases[index], self._packed(index)
        is_same = case_digest(self.image(index), packed) == case.digest
        return is_same and int(np.bitwise_count(packed).sum()) == case.mask_px

    def _packed(self, index: int) -> NDArray[np.uint8]:
        return self._masks[self._mask_starts[index] : self._mask_starts[index + 1]]

    @cached_property
    def _image_starts(self) -> list[int]:
        return starts_of([case.num_pixels for case in self.cases])

    @cached_property
    def _mask_starts(self) -> list[int]:
        return starts_of([math.ceil(case.num_pixels / 8) for case in self.cases])

    def _map(self) -> None:
        self._images = map_file(self.folder / IMAGES, self.dtype, self._image_starts[-1])
        self._masks = map_file(self.folder / MASKS, np.dtype(np.uint8), self._mask_starts[-1])
