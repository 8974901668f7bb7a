"""A case store: decoded images and masks in flat files that every process maps into memory.

    manifest.json   format, counts, dtype, hashes, versions
    cases.csv       one row per case: hashed id, hashed group, view, shape, spacing, mask size
    images.bin      images one after another, uint8 or uint16
    masks.bin       masks one after another, eight pixels a byte, each padded to whole bytes
    salt.key        the secret behind group hashes; stays here
    derived/<size>/ the same images and masks on a smaller grid, made on demand

Reading an image gives a view of the map: all trials on a machine share one page cache, and none
holds the data set in memory of its own.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from ptxcore.data.resample import resize, target_shape
from ptxcore.errors import StoreError

FORMAT = 1
MANIFEST, CASES, IMAGES, MASKS, SALT = (
    "manifest.json",
    "cases.csv",
    "images.bin",
    "masks.bin",
    "salt.key",
)
#: A derived grid is made once; whoever comes second waits at most this long for it.
DERIVE_TIMEOUT_SECONDS = 1800.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image of the store.

    Attributes:
        case_id: 16 hexadecimal digits from the image's id; the same in every import.
        group: 16 hexadecimal digits; images of one patient share it, within this store alone.
        view: "AP", "PA", another position, or "" where unknown.
        height: Of the original grid in pixels.
        width: Of the original grid in pixels.
        spacing_height_mm: Height of a pixel, NaN where unknown.
        spacing_width_mm: Width of a pixel, NaN where unknown.
        mask_px: Pixels of the mask on the original grid; 0 for a negative case.
    """

    case_id: str
    group: str
    view: str
    height: int
    width: int
    spacing_height_mm: float
    spacing_width_mm: float
    mask_px: int

    @property
    def is_positive(self) -> bool:
        """Whether the mask has any pixel."""
        return self.mask_px > 0

    @property
    def num_pixels(self) -> int:
        """Pixels of the original grid."""
        return self.height * self.width


class Grid:
    """Images and soft masks at one size, mapped into memory."""

    def __init__(self, folder: Path, shapes: Sequence[tuple[int, int]], dtype: np.dtype[Any]):
        self._shapes = shapes
        self._starts = np.concatenate([[0], np.cumsum([h * w for h, w in shapes])]).tolist()
        self._images = np.memmap(folder / IMAGES, dtype=dtype, mode="r")
        self._masks = np.memmap(folder / MASKS, dtype=np.uint8, mode="r")

    def image(self, index: int) -> NDArray[Any]:
        """Read-only view of shape (h, w) in the store's type."""
        return self._cut(self._images, index)

    def soft_mask(self, index: int) -> NDArray[np.uint8]:
        """Shape (h, w), the covered share of each pixel times 255."""
        return self._cut(self._masks, index)

    def _cut(self, flat: NDArray[Any], index: int) -> NDArray[Any]:
        start, stop = self._starts[index], self._starts[index + 1]
        return flat[start:stop].reshape(self._shapes[index])


class OriginalGrid:
    """The original images, with the interface of a `Grid`."""

    def __init__(self, store: CaseStore) -> None:
        self._store = store

    def image(self, index: int) -> NDArray[Any]:
        """Read-only view of shape (H, W) in the store's type."""
        return self._store.image(index)

    def soft_mask(self, index: int) -> NDArray[np.uint8]:
        """Shape (H, W), 0 or 255."""
        return self._store.mask(index).astype(np.uint8) * np.uint8(255)


class CaseStore:
    """An open store. Opening reads the table alone; pixels come when they are asked for."""

    def __init__(self, folder: Path, manifest: dict[str, Any], cases: tuple[Case, ...]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.cases = cases
        self._index = {case.case_id: index for index, case in enumerate(cases)}
        self._grids: dict[int, Grid | OriginalGrid] = {}

    @classmethod
    def open(cls, folder: Path) -> CaseStore:
        """Open a store.

        Raises:
            StoreError: There is none, it is of another format, or its files do not fit together.
        """
        path = Path(folder)
        if not (path / MANIFEST).is_file():
            raise StoreError(f"{path}: found no case store; make one with `ptxsweep data import`")
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            with (path / CASES).open(encoding="utf-8", newline="") as file:
                cases = tuple(_case(row) for row in csv.DictReader(file))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: damaged case store ({error}); import it again") from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            found = manifest.get("format") if isinstance(manifest, dict) else None
            raise StoreError(f"{path}: found store format {found}, expected {FORMAT}")
        store = cls(path, manifest, cases)
        store._check_sizes()
        return store

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def data_hash(self) -> str:
        """SHA-256 over case ids, pixels and masks: 64 hexadecimal digits."""
        return str(self.manifest["data_hash"])

    @property
    def phantom(self) -> bool:
        """Whether the images are drawn, not real."""
        return bool(self.manifest["phantom"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored pixels: uint8 or uint16."""
        return np.dtype(str(self.manifest["dtype"]))

    def index(self, case_id: str) -> int:
        """Position of a case.

        Raises:
            StoreError: The store has no such case.
        """
        if case_id not in self._index:
            raise StoreError(f"found no case {case_id} in the store; is the plan of another store?")
        return self._index[case_id]

    def image(self, index: int) -> NDArray[Any]:
        """Original pixels: a read-only view of shape (H, W), uint8 or uint16."""
        case = self.cases[index]
        start = self._image_starts[index]
        return self._images[start : start + case.num_pixels].reshape(case.height, case.width)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Original mask: a new bool array of shape (H, W)."""
        case = self.cases[index]
        packed = self._masks[self._mask_starts[index] : self._mask_starts[index + 1]]
        flat = np.unpackbits(packed, count=case.num_pixels)
        return flat.view(np.bool_).reshape(case.height, case.width)

    def at(self, image_size: int) -> Grid | OriginalGrid:
        """The cases with their longer side at `image_size` px; 0 for the original grid.

        A grid is made at its first use, by one process while others wait, and kept in the store.
        """
        if image_size not in self._grids:
            self._grids[image_size] = self._grid(image_size)
        return self._grids[image_size]

    def verify(self) -> None:
        """Read everything and compare with the manifest's hash.

        Raises:
            StoreError: Pixels, masks or ids are not those that were imported.
        """
        found = content_hash(self.cases, self._pixels())
        if found != self.data_hash:
            raise StoreError(
                f"{self.folder}: found data hash {found[:12]}, the manifest says "
                f"{self.data_hash[:12]}; files were changed or damaged: import again"
            )

    def _pixels(self) -> Iterator[tuple[bytes, bytes]]:
        for index in range(len(self)):
            packed = self._masks[self._mask_starts[index] : self._mask_starts[index + 1]]
            yield self.image(index).tobytes(), packed.tobytes()

    @cached_property
    def _images(self) -> NDArray[Any]:
        return np.memmap(self.folder / IMAGES, dtype=self.dtype, mode="r")

    @cached_property
    def _masks(self) -> NDArray[np.uint8]:
        return np.memmap(self.folder / MASKS, dtype=np.uint8, mode="r")

    @cached_property
    def _image_starts(self) -> list[int]:
        return _starts([case.num_pixels for case in self.cases])

    @cached_property
    def _mask_starts(self) -> list[int]:
        return _starts([math.ceil(case.num_pixels / 8) for case in self.cases])

    def _check_sizes(self) -> None:
        expected = {
            IMAGES: self._image_starts[-1] * self.dtype.itemsize,
            MASKS: self._mask_starts[-1],
        }
        for name, size in expected.items():
            path = self.folder / name
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                raise StoreError(f"{path}: found {found} bytes, expected {size}; import again")

    def _grid(self, image_size: int) -> Grid | OriginalGrid:
        shapes = [target_shape(case.height, case.width, image_size) for case in self.cases]
        if all((c.height, c.width) == s for c, s in zip(self.cases, shapes, strict=True)):
            return OriginalGrid(self)
        folder = self.folder / "derived" / str(image_size)
        if not folder.is_dir():
            folder.parent.mkdir(exist_ok=True)
            with FileLock(folder.parent / f"{image_size}.lock", timeout=DERIVE_TIMEOUT_SECONDS):
                if not folder.is_dir():
                    self._derive(folder, shapes)
        return Grid(folder, shapes, self.dtype)

    def _derive(self, folder: Path, shapes: Sequence[tuple[int, int]]) -> None:
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}."))
        top = np.iinfo(self.dtype).max
        try:
            with (making / IMAGES).open("wb") as images, (making / MASKS).open("wb") as masks:
                for index, shape in enumerate(shapes):
                    image = resize(self.image(index), shape, "lanczos")
                    images.write(np.clip(np.round(image), 0, top).astype(self.dtype).tobytes())
                    share = resize(self.mask(index), shape, "area")
                    masks.write(np.clip(np.round(share * 255), 0, 255).astype(np.uint8).tobytes())
            making.chmod(0o755)
            making.rename(folder)
        except BaseException:
            shutil.rmtree(making)
            raise


def content_hash(cases: Sequence[Case], pixels: Iterator[tuple[bytes, bytes]]) -> str:
    """SHA-256 over case ids, shapes, pixels and masks in the order of the ids.

    Args:
        cases: Sorted by id.
        pixels: Image and packed mask of each case, as bytes.
    """
    digest = hashlib.sha256()
    for case, (image, mask) in zip(cases, pixels, strict=True):
        digest.update(f"{case.case_id} {case.height} {case.width} {len(image)}\n".encode())
        digest.update(image)
        digest.update(mask)
    return digest.hexdigest()


def write_table(path: Path, cases: Sequence[Case]) -> None:
    """Write the table of cases."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Case)])
        writer.writeheader()
        writer.writerows(asdict(case) for case in cases)


def _case(row: dict[str, str]) -> Case:
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str}
    return Case(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields(Case)})


def _starts(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(np.asarray(sizes, dtype=np.int64)).tolist()]
