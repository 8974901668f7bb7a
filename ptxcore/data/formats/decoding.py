"""Decode the pixels of a DICOM file, always by the same decoder where several are installed.

JPEG Baseline and JPEG 2000 go by Pillow, uncompressed and RLE by pydicom itself, JPEG-LS by
`pyjpegls` (MIT), which highdicom brings. JPEG Lossless needs `python-gdcm` (BSD), which is used
when it is installed. pylibjpeg's JPEG plugin is GPL, so it is no dependency, and comes last where
it is installed: it also decodes some pixels by one grey value differently, and the same files must
give the same data hash everywhere.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import JPEGBaseline8Bit

from ptxcore.data.formats.elements import int_of, refusal, syntax_of
from ptxcore.errors import DicomError

_DECODER_ORDER = ("pydicom", "pillow", "gdcm", "pyjpegls", "pylibjpeg")
#: pydicom would take the sample to be at the bottom of its word, and cut the rest off.
_WHOLE_WORDS: Any = {"correct_unused_bits": False}


def decode(path: Path, dataset: FileDataset) -> NDArray[Any]:
    """The decoded frame, always by the same decoder where several are installed.

    Its words are whole: `samples` takes the picture out of them.

    Args:
        path: What errors name.
        dataset: Header, pixels and file meta information; the frame is cut out of its items.

    Returns:
        Shape (H, W), integers of the bits allocated.

    Raises:
        DicomError: There are no pixels, nothing decodes them, or they are of another size.
    """
    if "PixelData" not in dataset:
        raise refusal(path, "PixelData", "none", "an image")
    syntax = syntax_of(dataset)
    if syntax == JPEGBaseline8Bit:
        return _decode_jpeg(path, dataset)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        # An id that the standard does not know has no name but itself.
        found = ("another" if syntax.name == str(syntax) else syntax.name) if syntax else "none"
        raise refusal(path, "TransferSyntaxUID", found, "one that can be decoded") from None
    plugins = sorted(decoder.available_plugins, key=_DECODER_ORDER.index)
    if not decoder.is_native and not plugins:
        raise DicomError(
            f"{path.name}: TransferSyntaxUID: found {syntax.name}, for which no decoder is "
            "installed; `pip install python-gdcm` brings one"
        )
    if not decoder.is_native:
        _check_frame(path, dataset)
    problem: Exception | None = None
    for plugin in plugins or [""]:
        try:
            pixels: NDArray[Any] = decoder.as_array(
                dataset, decoding_plugin=plugin, raw=True, **_WHOLE_WORDS
            )[0]
            return pixels
        except Exception as error:  # decoders raise whatever they like; the next one may do
            problem = error
    raise DicomError(
        f"{path.name}: PixelData: cannot be decoded as {syntax.name}: {problem}"
    ) from problem


def _check_frame(path: Path, dataset: FileDataset) -> None:
    """Refuse a compressed image of another size than the header says, before it is decoded."""
    size = dataset.Columns, dataset.Rows
    expected = f"one of {dataset.Rows} x {dataset.Columns} px, as the header says"
    try:
        alone = encapsulate([get_frame(dataset.PixelData, 0, number_of_frames=1)])
        frame = get_frame(alone, 0, number_of_frames=1)  # padded to even, as decoders see it
    except Exception as error:  # items that do not fit together raise nearly anything
        found = f"items that hold no frame ({type(error).__name__})"
        raise refusal(path, "PixelData", found, "one frame") from error
    # From here on this is the only frame, by whatever table of offsets pydicom would go.
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    dataset.PixelData = alone
    if _is_endless(frame):
        raise refusal(path, "PixelData", "a JPEG 2000 box of length 0", "boxes up to the image")
    # Decoders differ in what they make of it: some add half the range.
    is_signed = get_j2k_parameters(frame).get("is_signed", False)
    if is_signed and int_of(dataset, "PixelRepresentation", 0) == 0:
        raise refusal(path, "PixelRepresentation", 0, "1, as the JPEG 2000 codestream is signed")
    try:
        with Image.open(io.BytesIO(frame), formats=["JPEG", "JPEG2000"]) as image:
            height, width = image.height, image.width
    except Image.DecompressionBombError:
        raise refusal(path, "PixelData", "a larger image", expected) from None
    except Exception:  # not for Pillow: the decoder will say what is wrong with it
        return
    if (width, height) != size:
        raise refusal(path, "PixelData", f"an image of {height} x {width} px", expected)


def _is_endless(frame: bytes) -> bool:
    """Whether pydicom would look for the image for ever: it steps from box to box by their lengths.

    The boxes of a JP2 file are those of ISO/IEC 15444-1 I.4.
    """
    at = 12
    if not frame.startswith(b"\0\0\0\x0cjP  "):
        return False
    while at < len(frame) and frame[at + 4 : at + 8] != b"jp2c":
        length = int.from_bytes(frame[at : at + 4], "big")
        if length == 0:
            return True
        at += length
    return False


def _decode_jpeg(path: Path, dataset: FileDataset) -> NDArray[np.uint8]:
    """What pydicom does with Pillow, without its copies: they take as long as the decoding."""
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
