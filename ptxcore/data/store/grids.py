"""The cases of a store at another size: made once, kept beside the store, mapped into memory.

Every trial needs the same small images. They are resampled by the first process that asks, under
a file lock, into a folder that takes its name only when it is whole; all others map it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ptxcore.data.parallel import in_order, num_processors
from ptxcore.data.resample import resize_image, resize_mask
from ptxcore.errors import StoreError

IMAGES, SOFT_MASKS = "images.bin", "masks.bin"
#: A second process waits at most this long for the first.
TIMEOUT_SECONDS = 3600.0

Shape = tuple[int, int]


class Grid:
    """Images and soft masks of every case at one size, read-only.

    Attributes:
        image_size: Longer side in pixels.
        shapes: Height and width of every case on this grid.
    """

    def __init__(
        self, folder: Path, image_size: int, shapes: Sequence[Shape], dtype: np.dtype[Any]
    ) -> None:
        """Map the files.

        Args:
            folder: Folder, as `make_grid` wrote it.
            image_size: Longer side in pixels.
            shapes: Height and width of every case on this grid, in the order of the store.
            dtype: Type of the store's images, uint8 or uint16.

        Raises:
            StoreError: A file is missing or has another size.
        """
        self.image_size = image_size
        self.shapes = tuple(shapes)
        self._starts = starts_of([height * width for height, width in shapes])
        self._images = map_file(folder / IMAGES, dtype, self._starts[-1])
        self._masks = map_file(folder / SOFT_MASKS, np.dtype(np.uint8), self._starts[-1])

    def image(self, index: int) -> NDArray[Any]:
        """Read-only view of shape (h, w) in the store's type (uint8 or uint16) and full range.

        Args:
            index: Zero-based position of the case in its store.
        """
        return self._cut(self._images, index)

    def soft_mask(self, index: int) -> NDArray[np.uint8]:
        """Read-only view of shape (h, w), uint8: covered share of each pixel, 0 to 255.

        Args:
            index: Zero-based position of the case in its store.
        """
        return self._cut(self._masks, index)

    def _cut(self, flat: NDArray[Any], index: int) -> NDArray[Any]:
        start, stop = self._starts[index], self._starts[index + 1]
        return flat[start:stop].reshape(self.shapes[index])


def starts_of(sizes: Sequence[int]) -> list[int]:
    """Where each of a row of blocks begins, and where the last one ends.

    Args:
        sizes: Sizes of N blocks, 0 or more each.

    Returns:
        N + 1 sums, the first one 0.
    """
    return [0, *np.cumsum(np.asarray(sizes, dtype=np.int64)).tolist()]


def map_file(path: Path, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Map a file of `count` values read-only.

    All processes of a machine that map it share one copy in the page cache.

    Args:
        path: Path of a file of nothing but values.
        dtype: Type of each value, in the byte order of the file.
        count: Number of values, at least 1: an empty file cannot be mapped.

    Returns:
        Shape (count,) of that type, backed by the file: pages are read when they are touched.

    Raises:
        StoreError: It is missing or has another size.
    """
    found = path.stat().st_size if path.is_file() else None
    expected = count * dtype.itemsize
    if found != expected:
        raise StoreError(
            f"{path}: found {'no such file' if found is None else f'{found} bytes'}, expected "
            f"{expected} bytes; remove a derived folder, or import a store again"
        )
    return np.memmap(path, dtype=dtype, mode="r", shape=(count,))


def make_grid(
    folder: Path,
    shapes: Sequence[Shape],
    image_of: Callable[[int], NDArray[Any]],
    mask_of: Callable[[int], NDArray[np.bool_]],
    method: str = "lanczos",
) -> None:
    """Write the files of a grid, unless another process has, or is just doing it.

    Args:
        folder: Takes its name at the end, whole.
        shapes: Height and width of every case on the grid.
        image_of: Original image by zero-based index: shape (H, W), uint8 or uint16.
        mask_of: Original mask by zero-based index: shape (H, W), bool.
        method: Filter of the images, see `ptxcore.data.resample`.

    Raises:
        StoreError: The store cannot be written to, or another process took too long.
        SettingsError: No such filter.
    """
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(exist_ok=True)
        with FileLock(folder.parent / f"{folder.name}.lock", timeout=TIMEOUT_SECONDS):
            if not folder.is_dir():
                _remove_leftovers(folder)
                _write(folder, shapes, image_of, mask_of, method)
    except Timeout as error:
        raise StoreError(
            f"{folder}: found another process at work on it for {TIMEOUT_SECONDS:.0f} s; "
            "stop it, or remove the lock file beside the folder"
        ) from error
    except OSError as error:  # read-only, full, not ours
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror}), but images of this size are needed; "
            "use a store that is writable and has room, or make the size once where it is"
        ) from error


def _remove_leftovers(folder: Path) -> None:
    """Remove drafts of killed processes: no other is at work, as the lock is ours."""
    for path in folder.parent.glob(f"{folder.name}.part-*"):
        shutil.rmtree(path)


def _write(
    folder: Path,
    shapes: Sequence[Shape],
    image_of: Callable[[int], NDArray[Any]],
    mask_of: Callable[[int], NDArray[np.bool_]],
    method: str,
) -> None:
    def resampled(index: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        shape = shapes[index]
        image = resize_image(image_of(index), shape, method)
        return image, resize_mask(mask_of(index), shape)

    making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.part-"))
    try:
        with (making / IMAGES).open("wb") as images, (making / SOFT_MASKS).open("wb") as masks:
            for image, mask in in_order(resampled, range(len(shapes)), num_processors()):
                images.write(image.data)
                masks.write(mask.data)
        making.chmod(0o755)
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
