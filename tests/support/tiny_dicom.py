"""DICOM files of a few pixels, written with pydicom and nothing of the project."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

UID_ROOT = "1.2.826.0.1.3680043.8.498."


#: Encoded by a plugin of pydicom rather than by Pillow.
_COMPRESSED = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls"}


DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
#: What the first component of a JPEG 2000 image of one says of itself: its depth and its sampling,
#: behind the number of components (ISO/IEC 15444-1 A.5.1).
_ONE_COMPONENT = b"\0\1%c\1\1"


@dataclass(frozen=True, kw_only=True)
class DicomSet:
    """What `write_set` wrote."""

    folder: Path
    dicom: Path
    rle: Path
    uids: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    masks: tuple[NDArray[np.bool_], ...]


def write_dicom(
    path: Path,
    pixels: NDArray[Any],
    *,
    uid: str | None = "1.2.3.4",
    syntax: str = ExplicitVRLittleEndian,
    remove: tuple[str, ...] = (),
    overlay_bits: Sequence[int] = (),
    **elements: Any,
) -> Path:
    """Write one greyscale image; `elements` replace or add data elements by keyword.

    The header says of `overlay_bits` that each holds an overlay.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID_ROOT + "1"
    meta.TransferSyntaxUID = JPEG2000Lossless if syntax == DEFLATED_FRAME else syntax
    dataset = FileDataset(
        str(path),
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    if uid is not None:
        dataset.SOPInstanceUID = uid
    dataset.Modality = "DX"
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel = 1
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    if syntax in (JPEGBaseline8Bit, JPEG2000Lossless):
        is_signed = elements.get("PixelRepresentation", dataset.PixelRepresentation) == 1
        dataset.PixelData = encapsulate([_codestream(pixels, syntax, is_signed=is_signed)])
    elif syntax == DEFLATED_FRAME:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        frame = deflater.compress(pixels.astype(f"<u{pixels.itemsize}").tobytes())
        dataset.PixelData = encapsulate([frame + deflater.flush()])
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
    if syntax in _COMPRESSED:  # of whole words, so before the header says that less is stored
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        plugin = _COMPRESSED[syntax]
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    dataset["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = elements.get("HighBit", dataset.BitsStored - 1)
    for number, bit in enumerate(overlay_bits):
        dataset.add_new((0x6000 + 2 * number, 0x0102), "US", bit)
    for keyword in remove:
        del dataset[keyword]
    dataset.save_as(path)
    if syntax == DEFLATED_FRAME:
        rename_syntax(path, JPEG2000Lossless, syntax)
    return path


def rename_syntax(path: Path, old: str, new: str) -> None:
    """Give a file a transfer syntax that pydicom does not write, with an id of the same length."""
    before, after = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (old, new))
    assert len(before) == len(after)
    path.write_bytes(path.read_bytes().replace(before, after, 1))


def _codestream(pixels: NDArray[Any], syntax: str, *, is_signed: bool) -> bytes:
    """Pillow writes no signed JPEG 2000, but numbers lose half their range before the transform."""
    stream, depth = io.BytesIO(), 8 * pixels.itemsize
    if syntax == JPEGBaseline8Bit or not is_signed:
        Image.fromarray(pixels).save(stream, "JPEG" if syntax == JPEGBaseline8Bit else "JPEG2000")
        return stream.getvalue()
    raised = pixels.view(f"u{pixels.itemsize}") ^ (1 << depth - 1)
    Image.fromarray(raised).save(stream, "JPEG2000", no_jp2=True)
    unsigned, signed = (_ONE_COMPONENT % byte for byte in (depth - 1, depth - 1 | 0x80))
    assert stream.getvalue().count(unsigned) == 1
    return stream.getvalue().replace(unsigned, signed)


def rle_of(mask: NDArray[np.bool_]) -> str:
    """The encoding of a mask, pixel by pixel, as its description reads."""
    words: list[int] = []
    gap = length = 0
    for value in [*mask.flatten(order="F").tolist(), False]:
        if value:
            length += 1
        elif length:
            words += [gap, length]
            gap, length = 1, 0
        else:
            gap += 1
    return " ".join(map(str, words)) or "-1"


def write_set(
    folder: Path, *, num_cases: int, num_positive: int, shape: tuple[int, int] = (32, 48)
) -> DicomSet:
    """Write DICOM files in nested folders and a table of masks, in the dialect of SIIM-ACR."""
    rng = np.random.default_rng(5)
    uids, images, masks = [], [], []
    lines = ["ImageId, EncodedPixels"]
    for number in range(num_cases):
        uid = f"{UID_ROOT}{1000 + number}"
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        mask = np.zeros(shape, dtype=np.bool_)
        if number < num_positive:
            top, left = rng.integers(0, shape[0] - 9), rng.integers(0, shape[1] - 9)
            mask[top : top + 3 + number, left : left + 8] = True
        path = folder / "dicom" / f"series-{number % 3}" / f"{uid}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dicom(
            path,
            image,
            uid=uid,
            PatientID=f"patient-{number // 2}",
            ViewPosition=("PA", "AP")[number % 2],
            PixelSpacing=[0.14, 0.15],
        )
        uids.append(uid)
        images.append(image)
        masks.append(mask)
        lines.append(f"{uid}, {rle_of(mask)}")
    (folder / "masks.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return DicomSet(
        folder=folder,
        dicom=folder / "dicom",
        rle=folder / "masks.csv",
        uids=tuple(uids),
        images=tuple(images),
        masks=tuple(masks),
    )
