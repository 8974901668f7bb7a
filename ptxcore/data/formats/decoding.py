"""Decode the pixels of a DICOM file by what `codecs` names, after a look at what they say of
themselves (`codestream`).
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_fragments, get_frame, parse_basic_offsets
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from ptxcore.data.formats.codecs import DEFLATED_FRAME, Readers, name_of, readers_of
from ptxcore.data.formats.codestream import check_codestream, is_endless, read_codestream
from ptxcore.data.formats.elements import refusal, syntax_of
from ptxcore.data.formats.samples import SampleBits
from ptxcore.errors import DicomError

#: pydicom would take the sample to be at the bottom of its word, and cut the rest off.
_WHOLE_WORDS: Any = {"correct_unused_bits": False}


def decode(path: Path, dataset: FileDataset, bits: SampleBits) -> NDArray[Any]:
    """The decoded frame, always by the same decoder where several are installed.

    Its words are whole: `samples` takes the picture out of them.

    Args:
        path: What errors name.
        dataset: Header, pixels and file meta information; the frame is cut out of its items.
        bits: What the header says of its samples.

    Returns:
        Shape (H, W), integers of the bits allocated.

    Raises:
        DicomError: There are no pixels, nothing decodes them, or they are not those of the header.
    """
    if "PixelData" not in dataset:
        raise refusal(path, "PixelData", "none", "an image")
    syntax = syntax_of(dataset)
    if syntax == JPEGBaseline8Bit:
        return _decode_jpeg(path, dataset)
    readers = readers_of(syntax, bits_stored=bits.stored)
    if not readers.plugins:
        raise _no_reader(path, syntax, readers, bits)
    if syntax == DEFLATED_FRAME:
        return _inflate(path, dataset, bits)
    decoder = get_decoder(syntax)
    if not decoder.is_native:
        _check_frame(path, dataset, bits)
    problems: dict[str, Exception] = {}
    for plugin in readers.plugins:
        try:
            pixels: NDArray[Any] = decoder.as_array(
                dataset,
                decoding_plugin="" if decoder.is_native else plugin,
                raw=True,
                **_WHOLE_WORDS,
            )[0]
            return pixels
        except Exception as error:  # decoders raise whatever they like; the next one may do
            problems[plugin] = error
    raise _failure(path, syntax, readers, problems)


def _no_reader(path: Path, syntax: UID, readers: Readers, bits: SampleBits) -> DicomError:
    if not readers.is_known:
        expected = "one that can be decoded (`ptxsweep doctor` lists them)"
        return refusal(path, "TransferSyntaxUID", name_of(syntax), expected)
    deep = ""
    if syntax == JPEGExtended12Bit and bits.stored != 8:
        deep = f" with samples of {bits.stored} bits"
    remedy = f"; {readers.remedy}" if readers.remedy else ""
    return DicomError(
        f"{path.name}: TransferSyntaxUID: found {name_of(syntax)}{deep}, for which no decoder is "
        f"installed{remedy}"
    )


def _failure(
    path: Path, syntax: UID, readers: Readers, problems: dict[str, Exception]
) -> DicomError:
    tried = " nor ".join(f"by {plugin} ({_reason(e, plugin)})" for plugin, e in problems.items())
    remedy = f"; {readers.remedy}, which may do" if readers.remedy else ""
    last = list(problems.values())[-1]
    error = DicomError(
        f"{path.name}: PixelData: cannot be decoded as {name_of(syntax)} {tried}{remedy}"
    )
    error.__cause__ = last
    return error


def _reason(error: Exception, plugin: str) -> str:
    """The last thing that pydicom says, which begins with the plugin's name."""
    text = str(error).strip().rpartition(f"{plugin}: ")[2]
    return " ".join(text.split()) or type(error).__name__


def _check_frame(path: Path, dataset: FileDataset, bits: SampleBits) -> None:
    """Refuse a compressed image of another kind than the header says, before it is decoded."""
    frame = _only_frame(path, dataset)
    if is_endless(frame):
        raise refusal(path, "PixelData", "a JPEG 2000 box of length 0", "boxes up to the image")
    stream = read_codestream(frame)
    if stream is not None:
        check_codestream(path, stream, (dataset.Rows, dataset.Columns), bits)


def _only_frame(path: Path, dataset: FileDataset) -> bytes:
    """The first frame, which is the only one from here on, by whatever table of offsets."""
    _refuse_more_frames(path, dataset)
    try:
        alone = encapsulate([get_frame(dataset.PixelData, 0, number_of_frames=1)])
        frame = get_frame(alone, 0, number_of_frames=1)  # padded to even, as decoders see it
    except Exception as error:  # items that do not fit together raise nearly anything
        found = f"items that hold no frame ({type(error).__name__})"
        raise refusal(path, "PixelData", found, "one frame") from error
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    dataset.PixelData = alone
    return frame


def _refuse_more_frames(path: Path, dataset: FileDataset) -> None:
    """Refuse several frames under a header of one, of which decoders would show the first."""
    try:
        number = _num_frames(dataset)
    except Exception:  # items that do not fit together, of which the decoder will speak
        return
    if number > 1:
        raise refusal(path, "PixelData", f"{number} frames", "one, as the header says")


def _num_frames(dataset: FileDataset) -> int:
    """How many, by the table of offsets, else by the items that begin as the first."""
    if dataset.get("ExtendedOffsetTable"):
        return len(dataset.ExtendedOffsetTable) // 8
    items = io.BytesIO(dataset.PixelData)
    if offsets := parse_basic_offsets(items):
        return len(offsets)
    begins = [item[:8] for item in generate_fragments(items)]
    return begins.count(begins[0])


def _inflate(path: Path, dataset: FileDataset, bits: SampleBits) -> NDArray[Any]:
    """Deflated Image Frame Compression: words as in little endian, deflated (PS3.5 A.4.14)."""
    kind = np.dtype(f"<u{bits.allocated // 8}")
    size = dataset.Rows * dataset.Columns * kind.itemsize
    try:
        words = zlib.decompressobj(-zlib.MAX_WBITS).decompress(_only_frame(path, dataset), size + 2)
    except zlib.error as error:
        raise refusal(path, "PixelData", "what cannot be inflated", "a deflated frame") from error
    if not size <= len(words) <= size + size % 2:
        expected = f"{size} bytes, as the header says"
        found = f"{len(words)} bytes" if len(words) < size else "more bytes"
        raise refusal(path, "PixelData", f"{found} once it is inflated", expected)
    return np.frombuffer(words[:size], dtype=kind).reshape(dataset.Rows, dataset.Columns)


def _decode_jpeg(path: Path, dataset: FileDataset) -> NDArray[np.uint8]:
    """What pydicom does with Pillow, without its copies: they take as long as the decoding."""
    _refuse_more_frames(path, dataset)
    try:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        with Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
            if image.mode == "L" and image.size == (dataset.Columns, dataset.Rows):
                return np.asarray(image)
            found = f"a JPEG image of mode {image.mode}, {image.height} x {image.width} px"
    except Exception as error:  # as in `decode`
        found = f"what cannot be decoded as JPEG Baseline ({type(error).__name__})"
    expected = f"one of mode L, {dataset.Rows} x {dataset.Columns} px"
    raise refusal(path, "PixelData", found, expected)
