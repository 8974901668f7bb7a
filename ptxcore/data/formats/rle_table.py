"""Tables of run-length encodings: a row an image, or several."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.rle import SIIM, Dialect, decode
from ptxcore.data.formats.size_limits import read_gzip
from ptxcore.errors import MaskError

#: A table is read whole; that of SIIM-ACR has a few megabytes.
MAX_CSV_BYTES = 2**28
#: A first line is a header if its last cell is a name: no mask is.
_HEADER = re.compile(r"[A-Za-z_]+( [A-Za-z_]+)*")
_AROUND = ' "\t'
#: Names of columns, small letters alone.
_ID_NAMES = ("imageid", "id", "image", "sopinstanceuid", "anonsopuid", "sopuid", "uid")
_ENCODING_NAMES = ("encodedpixels", "rle", "maskrle", "rlemask", "segmentation", "mask")
_SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".nii", ".nii.gz", ".nrrd", ".tif")
_NOTHING = ("nan", "none", "null", "na", "n/a", "<na>", "nat")
#: The first number is enough: whoever writes one as 20.0 writes all so.
_FLOATS = re.compile(r"-?\d+\.\d*(e\+?\d+)?( .*)?", re.IGNORECASE)


@dataclass(kw_only=True)
class Table:
    """A table of masks, and where in it each encoding stands.

    Attributes:
        name: Name of the file.
        num_rows: Without a header and empty lines.
        rows: Non-empty encodings of each image, in the order of the file.
        places: Line and row of each of these, both from 1.
        dialect: How the numbers are meant.
    """

    name: str
    num_rows: int = 0
    rows: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    dialect: Dialect = SIIM

    def decode(self, image_id: str, height: int, width: int) -> NDArray[np.bool_]:
        """The mask of an image, as `decode` gives it.

        Args:
            image_id: Id of the image; one without a row has an empty mask.
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Raises:
            MaskError: A row is no encoding of that size; says which, but not of which image.
        """
        try:
            return decode(self.rows.get(image_id, ()), height, width, self.dialect)
        except MaskError:
            for text, (line, row) in zip(self.rows[image_id], self.places[image_id], strict=True):
                try:
                    decode([text], height, width, self.dialect)
                except MaskError as error:
                    place = f"{self.name}:{line} (row {row} of {self.num_rows})"
                    raise MaskError(f"{place}: {error}") from None
            raise


def read_csv(path: Path) -> dict[str, list[str]]:
    """Encodings by image id, in the order of the file: the `rows` of `read_table`."""
    return read_table(path).rows


def read_table(path: Path) -> Table:
    """Encodings by image id, and where they stand.

    With or without a header, a byte-order mark, carriage returns, spaces around names and values.
    In the dialect of SIIM-ACR, until `rle_fit` has told another.

    Args:
        path: A file of two columns, image id and encoding; compressed if its name ends in `.gz`.
            There may be others beside them if a header names the two, as that of CANDID-PTX does.

    Returns:
        For each image its non-empty rows; an image marked "-1" has none.

    Raises:
        MaskError: The file is no such table, or calls an image both empty and not.
    """
    table = Table(name=path.name)
    empty: set[str] = set()
    for number, (image_id, text) in _cells(path.name, _lines(path)):
        _check(f"{path.name}:{number}", image_id, text)
        table.num_rows += 1
        rows = table.rows.setdefault(image_id, [])
        if text in ("", "-1"):
            empty.add(image_id)
        else:
            rows.append(text)
            table.places.setdefault(image_id, []).append((number, table.num_rows))
        if rows and image_id in empty:
            raise MaskError(f"{path.name}:{number}: found an image both with and without a mask")
    if not table.rows:
        raise MaskError(f"{path.name}: found no rows, expected 'ImageId,EncodedPixels'")
    return table


def _cells(name: str, lines: list[str]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Line, from 1, with id and encoding of each row."""
    first = [cell.strip(_AROUND) for cell in lines[0].split(",")] if lines else []
    columns = _columns(first)
    if len(first) > 2 and columns is not None:
        yield from _wide_cells(name, lines, columns)
        return
    is_swapped = columns == (1, 0)
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip(_AROUND) for cell in line.split(",")]
        if not any(cells) or (number == 1 and _HEADER.fullmatch(cells[-1])):
            continue
        if len(cells) != 2 or not cells[0]:
            raise MaskError(
                f"{name}:{number}: found {len(cells)} columns, expected ImageId and EncodedPixels"
            )
        if is_swapped or (_is_encoding(cells[0]) and not _may_be_encoding(cells[1])):
            raise MaskError(
                f"{name}:{1 if is_swapped else number}: found the encoding before the id, expected "
                "ImageId and EncodedPixels in this order; swap the two columns"
            )
        yield number, (cells[0], cells[1])


def _columns(header: Sequence[str]) -> tuple[int, int] | None:
    """Places of id and encoding by the names of a header; None where it does not name both."""
    names = [re.sub(r"[^a-z]", "", cell.lower()) for cell in header]
    ids = [place for place, name in enumerate(names) if name in _ID_NAMES]
    encodings = [place for place, name in enumerate(names) if name in _ENCODING_NAMES]
    return (ids[0], encodings[0]) if len(ids) == len(encodings) == 1 else None


def _wide_cells(
    name: str, lines: list[str], columns: tuple[int, int]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Rows of a table with more columns, such as CANDID-PTX's with its reports in quotes."""
    limit = csv.field_size_limit(MAX_CSV_BYTES)  # of the whole process
    try:
        reader = csv.reader(line + "\n" for line in lines)
        header = next(reader)
        for row in reader:
            if len(row) not in (0, len(header)) or (row and not row[columns[0]].strip()):
                raise MaskError(
                    f"{name}:{reader.line_num}: found {len(row)} columns, or no id, expected "
                    f"{len(header)} as the header has"
                )
            if row:
                yield reader.line_num, (row[columns[0]].strip(), row[columns[1]].strip())
    except csv.Error as error:
        raise MaskError(f"{name}: found no csv file, expected one as its header says") from error
    finally:
        csv.field_size_limit(limit)


def _is_encoding(text: str) -> bool:
    return re.fullmatch(r"-1|\d+( +\d+)+", text) is not None


def _may_be_encoding(text: str) -> bool:
    if text == "":
        return True
    is_number = re.fullmatch(r"-?[\d.]+(e\+?\d+)?( .*)?", text) is not None
    return is_number and (text.count(".") < 2 or " " in text)  # a UID has more, and no space


def _check(place: str, image_id: str, text: str) -> None:
    """Refuse what spreadsheets and pandas make of a table, each in its own words."""
    if image_id.lower().endswith(_SUFFIXES):
        suffix = image_id.rpartition(".")[2].lower()
        raise MaskError(
            f"{place}: found an id that ends in .{suffix}, expected the SOPInstanceUID or the stem "
            "of the file alone; remove the suffix from the ids"
        )
    if text.lower() in _NOTHING:
        raise MaskError(
            f"{place}: found '{text}' instead of an encoding, as pandas writes an empty cell; "
            "expected -1 where there is no mask"
        )
    if _FLOATS.fullmatch(text):
        raise MaskError(
            f"{place}: found numbers with a decimal point, as pandas writes a column with gaps; "
            "expected whole numbers, and -1 where there is no mask"
        )


def _lines(path: Path) -> list[str]:
    try:
        # Not the csv module: it refuses fields over 128 KiB, which one large mask can reach.
        return _content(path).decode("utf-8-sig").splitlines()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        kind = type(error).__name__
        raise MaskError(f"{path.name}: not a readable gzip file ({kind})") from error
    except UnicodeDecodeError as error:
        raise MaskError(f"{path.name}: not a csv file in UTF-8: {error.reason}") from error
    except OSError as error:
        raise MaskError(f"{path}: found no readable file ({error.strerror})") from error


def _content(path: Path) -> bytes:
    limit = f"expected at most {MAX_CSV_BYTES / 2**20:.0f} MiB; import the images in parts"
    if path.stat().st_size > MAX_CSV_BYTES:
        raise MaskError(f"{path.name}: found {path.stat().st_size / 2**20:.0f} MiB, {limit}")
    if path.suffix != ".gz":
        return path.read_bytes()
    content = read_gzip(path, MAX_CSV_BYTES)
    if content is None:
        raise MaskError(f"{path.name}: found more than that once it is inflated, {limit}")
    return content
