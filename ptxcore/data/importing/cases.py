"""One case of an import: an image decoded, its mask read, both ready to be written."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.contrast import has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.png import read_png
from ptxcore.data.formats.radiograph import Radiograph
from ptxcore.data.formats.subject import VIEWS
from ptxcore.data.importing.masks import MaskSource
from ptxcore.data.importing.naming import speaking_of
from ptxcore.data.importing.sources import Source
from ptxcore.data.parallel import in_order
from ptxcore.data.store.case_table import Case, case_digest
from ptxcore.errors import DataError, DicomError


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What becomes of one source.

    Attributes:
        source: What it was read from.
        pixels: Shape (H, W), of the type of the store.
        packed: Its mask, eight pixels in a byte.
        case: What the store's table has of it.
        is_blank: Whether the image shows nothing.
    """

    source: Source
    pixels: NDArray[Any]
    packed: NDArray[np.uint8]
    case: Case
    is_blank: bool


def decode_all(
    sources: Iterable[Source], decode: Callable[[Source], Decoded], workers: int
) -> Iterator[Decoded | tuple[Source, DataError]]:
    """Decode in threads, a few ahead; what cannot be decoded is a result too.

    Args:
        sources: Images that become cases.
        decode: See `decode_case`.
        workers: Number of threads.

    Yields:
        In the order of the sources; an error comes without its traceback, which holds pixels.
    """

    def attempt(source: Source) -> Decoded | tuple[Source, DataError]:
        try:
            return decode(source)
        except DataError as error:
            return source, type(error)(str(error))

    return in_order(attempt, sources, workers)


def decode_case(source: Source, dtype: np.dtype[Any], salt: bytes, masks: MaskSource) -> Decoded:
    """Read an image and its mask.

    Args:
        source: An image that becomes a case.
        dtype: Type of the store's pixels.
        salt: Salt of the hash of the patient.
        masks: Masks of the import.

    Raises:
        DataError: One of the two cannot be used.
    """
    is_png = source.path.suffix.lower() == ".png"
    with speaking_of(source.path, source.label):
        radiograph = read_png(source.path) if is_png else read_dicom(source.path)
    pixels = _as(radiograph.pixels, dtype)
    mask = masks.mask(source.image_id, source.shape, f"mask of {source.label}")
    packed = np.packbits(mask)
    case = _case(source, radiograph, pixels, mask, packed, salt)
    return Decoded(
        source=source, pixels=pixels, packed=packed, case=case, is_blank=not has_contrast(pixels)
    )


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
        spacing_from=source.spacing.origin,
    )
