"""What a compressed image says of itself, held against the header before anything is decoded.

The first frame header of JPEG (ISO/IEC 10918-1 B.2.2), JPEG-LS (ISO/IEC 14495-1 C.2.2) and JPEG
2000 with its high-throughput kind (ISO/IEC 15444-1 A.5.1), inside a JP2 file (I.4) or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptxcore.data.formats.elements import refusal
from ptxcore.data.formats.samples import SampleBits

#: Frame headers of JPEG, SOF0 to SOF15 without the three codes between that mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_LS_FRAME = 0xF7
#: Markers without a length: restarts, begin and end, TEM.
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
_BEGIN_J2K, _BEGIN_JP2 = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "


@dataclass(frozen=True, kw_only=True)
class Codestream:
    """The frame header.

    Attributes:
        kind: "JPEG", "JPEG-LS" or "JPEG 2000".
        height: In pixels; 0 where JPEG leaves it to a marker behind the first scan.
        width: In pixels.
        precision: Bits of a number.
        num_components: 1 for grey.
        is_signed: Whether numbers have a sign; None where the format cannot say so.
    """

    kind: str
    height: int
    width: int
    precision: int
    num_components: int
    is_signed: bool | None


def read_codestream(frame: bytes) -> Codestream | None:
    """Find the frame header.

    Args:
        frame: A compressed frame.

    Returns:
        None where there is none that is known here: of RLE, and of what is damaged.
    """
    if frame.startswith((_BEGIN_J2K, _BEGIN_JP2)):
        at = 0 if frame.startswith(_BEGIN_J2K) else _start_of_image(frame)
        return None if at is None else _jpeg_2000(frame, at)
    return _jpeg(frame) if frame.startswith(b"\xff\xd8") else None


def is_endless(frame: bytes) -> bool:
    """Whether pydicom would look for the image for ever: it steps from box to box by their lengths.

    Args:
        frame: A compressed frame.
    """
    return frame.startswith(_BEGIN_JP2) and any(
        size == 0 for _, kind, size in _boxes(frame) if kind != b"jp2c"
    )


def _boxes(frame: bytes) -> Iterator[tuple[int, bytes, int]]:
    at = 12
    while at < len(frame):
        size, kind = int.from_bytes(frame[at : at + 4], "big"), frame[at + 4 : at + 8]
        yield at, kind, size
        if size == 0 or kind == b"jp2c":
            return
        at += size


def _start_of_image(frame: bytes) -> int | None:
    return next((at + 8 for at, kind, _ in _boxes(frame) if kind == b"jp2c"), None)


def _jpeg_2000(frame: bytes, at: int) -> Codestream | None:
    if frame[at : at + 4] != _BEGIN_J2K or len(frame) < at + 43:
        return None
    right, bottom, left, top = (
        int.from_bytes(frame[place : place + 4], "big") for place in range(at + 8, at + 24, 4)
    )
    depth = frame[at + 42]
    return Codestream(
        kind="JPEG 2000",
        height=bottom - top,
        width=right - left,
        precision=(depth & 0x7F) + 1,
        num_components=int.from_bytes(frame[at + 40 : at + 42], "big"),
        is_signed=depth >= 0x80,
    )


def _jpeg(frame: bytes) -> Codestream | None:
    at = 2
    while at + 10 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte before the marker
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _JPEG_FRAMES or marker == _JPEG_LS_FRAME:
            return Codestream(
                kind="JPEG-LS" if marker == _JPEG_LS_FRAME else "JPEG",
                precision=frame[at + 4],
                height=int.from_bytes(frame[at + 5 : at + 7], "big"),
                width=int.from_bytes(frame[at + 7 : at + 9], "big"),
                num_components=frame[at + 9],
                is_signed=None,
            )
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def check_codestream(
    path: Path, stream: Codestream, shape: tuple[int, int], bits: SampleBits
) -> None:
    """Refuse an image that is another than the header says, of which decoders make what they like.

    Its numbers may be as deep as the samples, or as their words with what else is in these.

    Args:
        path: What errors name.
        stream: What the image says.
        shape: Height and width by the header.
        bits: Samples by the header.

    Raises:
        DicomError: Size, components, depth or sign differ.
    """
    says = f"as the {stream.kind} codestream"
    if (stream.height or shape[0], stream.width) != shape:
        expected = f"one of {shape[0]} x {shape[1]} px, as the header says"
        raise refusal(
            path, "PixelData", f"an image of {stream.height} x {stream.width} px", expected
        )
    if stream.num_components != 1:
        raise refusal(path, "SamplesPerPixel", 1, f"{stream.num_components}, {says} has")
    if stream.is_signed not in (None, bits.is_signed):
        expected = f"{int(stream.is_signed)}, {says} is {'' if stream.is_signed else 'un'}signed"
        raise refusal(path, "PixelRepresentation", int(bits.is_signed), expected)
    if stream.precision not in (bits.stored, bits.allocated):
        raise refusal(path, "BitsStored", bits.stored, f"{stream.precision}, {says} has")
