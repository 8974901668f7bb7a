"""The table of a case store, its manifest, and the hashes that hold them to the pixels.

What `case_store` reads beside images and masks, and an import writes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import StoreError

FORMAT = 1
MANIFEST, CASES, IMAGES, MASKS, SALT, KEY = (
    "manifest.json",
    "cases.csv",
    "images.bin",
    "masks.bin",
    "salt.key",
    "ids.key",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image of the store.

    Attributes:
        case_id: 16 hexadecimal digits from the image's id, see `case_ids`; the same in every import
            with the same key.
        group: 16 hexadecimal digits; images of one patient share it, within this store alone.
        view: "AP", "PA", another position, or "" where unknown.
        height: Height of the original grid in pixels.
        width: Width of the original grid in pixels.
        spacing_height_mm: Height of a pixel, NaN where unknown.
        spacing_width_mm: Width of a pixel, NaN where unknown.
        mask_px: Pixels of the mask on the original grid; 0 for a negative case.
        digest: SHA-256 of shape, pixels and mask: 64 hexadecimal digits.
        subgroup: Label given at import, such as a site; "" where none was.
        spacing_from: Where the size of a pixel was measured, one of
            `ptxcore.data.formats.spacing.ORIGINS`; "" in stores of earlier versions.
    """

    case_id: str
    group: str
    view: str
    height: int
    width: int
    spacing_height_mm: float
    spacing_width_mm: float
    mask_px: int
    digest: str
    subgroup: str = ""
    spacing_from: str = ""

    @property
    def is_positive(self) -> bool:
        """Whether the mask has any pixel."""
        return self.mask_px > 0

    @property
    def num_pixels(self) -> int:
        """Pixels of the original grid."""
        return self.height * self.width

    @property
    def pixel_spacing_mm(self) -> tuple[float, float] | None:
        """Height and width of a pixel in mm; None where unknown."""
        if math.isnan(self.spacing_height_mm) or math.isnan(self.spacing_width_mm):
            return None
        return self.spacing_height_mm, self.spacing_width_mm


def read_table(folder: Path, manifest: dict[str, Any]) -> tuple[Case, ...]:
    """The cases of a store, in the order of their ids.

    Args:
        folder: Folder of the store.
        manifest: Manifest from `read_manifest`.

    Raises:
        StoreError: The table is damaged, or another than was imported.
    """
    path = folder / CASES
    try:
        table = path.read_bytes()
        cases = tuple(_case_of(row) for row in csv.DictReader(table.decode("utf-8").splitlines()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: found damage ({type(error).__name__}); import again") from error
    if hashlib.sha256(table).hexdigest() != manifest.get("cases_sha256"):
        raise StoreError(f"{path}: found other rows than were imported; import again")
    return cases


def count_spacings(cases: Sequence[Case]) -> dict[str, int]:
    """How many cases have a size of their pixels from where, the commonest first."""
    words = (case.spacing_from or "unknown" for case in cases)
    return dict(Counter(sorted(words)).most_common())


def case_digest(image: NDArray[Any], packed: NDArray[np.uint8]) -> str:
    """SHA-256 over shape, type, pixels and mask of one case.

    Args:
        image: Shape (H, W), uint8 or little-endian uint16.
        packed: The mask, eight pixels a byte, uint8 of shape (ceil(H W / 8),).

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{image.shape[0]} {image.shape[1]} {image.itemsize}\n".encode())
    digest.update(image.data)
    digest.update(packed.data)
    return digest.hexdigest()


def content_hash(cases: Sequence[Case]) -> str:
    """The data hash: SHA-256 over ids and digests in the order of the ids.

    Args:
        cases: Cases in any order.

    Returns:
        64 hexadecimal digits.
    """
    lines = sorted(f"{case.case_id} {case.digest}\n" for case in cases)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_table(path: Path, cases: Sequence[Case]) -> str:
    """Write the table of cases.

    Args:
        path: Path of the file; one that is there is replaced.
        cases: Cases in the order of their ids.

    Returns:
        SHA-256 of the file: 64 hexadecimal digits.

    Raises:
        OSError: It cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Case)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(case) for case in cases)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """What stands beside the pixels of a store, checked as far as it can be without them.

    Args:
        path: Folder of the store.

    Raises:
        StoreError: It is damaged, or of another format.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path / MANIFEST}: found no JSON, expected one; import again") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(manifest, dict) or found != FORMAT:
        raise StoreError(f"{path}: found store format {found}, expected {FORMAT}; import again")
    missing = {"data_hash", "phantom", "dtype"} - manifest.keys()
    if missing:
        raise StoreError(f"{path / MANIFEST}: found no {sorted(missing)}; import again")
    if not re.fullmatch(r"[0-9a-f]{64}", str(manifest["data_hash"])):  # it names folders of copies
        raise StoreError(
            f"{path / MANIFEST}: data_hash: found no 64 hexadecimal digits; import again"
        )
    if manifest["dtype"] not in ("uint8", "uint16"):
        raise StoreError(
            f"{path / MANIFEST}: dtype: found {manifest['dtype']!r}, expected uint8 or uint16"
        )
    return manifest


def _case_of(row: dict[str, str]) -> Case:
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str}
    row = {"subgroup": "", "spacing_from": "", **row}  # not in stores of earlier versions
    return Case(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields(Case)})
