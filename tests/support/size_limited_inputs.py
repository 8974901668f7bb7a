"""Inputs that claim more than they hold; as a program: reads them all and prints what it took.

A process of its own, because the peak of a process never falls.
"""

from __future__ import annotations

import gzip
import json
import resource
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless
from tiny_dicom import write_dicom

from ptxcore.data.formats import rle, rle_table
from ptxcore.data.formats.dicom import MAX_INFLATED_BYTES, read_dicom, read_header
from ptxcore.data.formats.png import read_png, read_png_header
from ptxcore.errors import DataError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
HUGE = 60_000


def inputs(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and reading of each."""
    path = write_dicom(folder / "side.dcm", RAMP, Rows=HUGE, Columns=HUGE)
    yield "DICOM of 60,000 x 60,000 px", lambda: read_dicom(path)
    yield "its header", lambda: read_header(path)
    below = write_dicom(folder / "below.dcm", RAMP, Rows=16_000, Columns=16_000)
    yield "DICOM of 16,000 x 16,000 px in 256 bytes", lambda: read_dicom(below)
    long = folder / "long.dcm"
    head = write_dicom(folder / "whole.dcm", RAMP, remove=("PixelData",)).read_bytes()
    long.write_bytes(head + struct.pack("<HH2sHI", 0x6000, 0x3000, b"OB", 0, 2**32 - 2) + b"\0" * 9)
    yield "DICOM element of 4 GiB", lambda: read_dicom(long)
    deflated = folder / "deflated.dcm"
    deflated.write_bytes(_deflated(head))
    yield "deflated DICOM", lambda: read_header(deflated)
    larger = write_dicom(
        folder / "jpeg.dcm", np.zeros((8_000, 8_000), np.uint8), syntax=JPEG2000Lossless,
        Rows=16, Columns=16,
    )  # fmt: skip
    yield "JPEG 2000 larger than its header", lambda: read_dicom(larger)
    png = folder / "side.png"
    Image.fromarray(RAMP).save(png)
    png.write_bytes(_resized(png.read_bytes()))
    yield "PNG of 60,000 x 60,000 px", lambda: read_png(png)
    yield "the PNG's header", lambda: read_png_header(png)
    for text in ("0 99999999999999999999999", f"0 {2**62} {2**62} {2**62}", "9" * 4_000 + " 1"):
        yield f"RLE {text[:30]}", lambda text=text: rle.decode([text], 16, 16)  # type: ignore[misc]
    yield "RLE of very many runs", lambda: rle.decode(["0 0 " * 1_000_000], 16, 16)
    table = folder / "masks.csv.gz"
    with gzip.open(table, "wb", compresslevel=1) as file:
        file.write(b"ImageId,EncodedPixels\n")
        for _ in range(300):
            file.write(b"\n" * 2**20)
    yield "gzip csv of 300 MiB", lambda: rle_table.read_csv(table)
    sparse = folder / "masks.csv"
    with sparse.open("wb") as file:
        file.truncate(2**33)
    yield "csv of 8 GiB", lambda: rle_table.read_csv(sparse)


def _deflated(head: bytes) -> bytes:
    """A file whose deflated part is longer than any image."""
    old = struct.pack("<HH2sH", 2, 0x10, b"UI", 20)  # the last of its meta elements
    new = struct.pack("<HH2sH", 2, 0x10, b"UI", 22) + DeflatedExplicitVRLittleEndian.encode()
    meta = head[: head.index(old)] + new
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros, pieces = b"\0" * 2**24, []
    for _ in range(MAX_INFLATED_BYTES // 2**24 + 1):
        pieces.append(deflater.compress(zeros))
    return meta + b"".join(pieces) + deflater.flush()


def _resized(png: bytes) -> bytes:
    """The same file with another size in its header chunk."""
    chunk = b"IHDR" + struct.pack(">II", HUGE, HUGE) + png[24:29]
    return png[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


def main(folder: Path) -> None:
    rows = []
    for name, read in list(inputs(folder)):
        tracemalloc.start()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read()
            end = "a result"
        except DataError as error:
            end = f"{type(error).__name__}: {error}"
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows.append(
            {
                "name": name,
                "end": end,
                "python_mib": tracemalloc.get_traced_memory()[1] / 2**20,
                "resident_mib": (after - before) / 1024,
            }
        )
        tracemalloc.stop()
    print(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
