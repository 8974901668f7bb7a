"""Images from elsewhere than a folder: a zip archive, or the index of a disc.

An archive may be anybody's, so nothing in it is believed: no member leaves the folder that it is
unpacked into, is larger than an image can be, or fills the disk. Members are counted in messages,
never named: their names can be those of patients.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ptxcore.data.formats.dicom import MAX_INFLATED_BYTES
from ptxcore.errors import DataError
from ptxcore.hints import in_bytes

#: More than any collection of radiographs in one archive.
MAX_MEMBERS = 1_000_000
_PIECE = 2**20


def is_source(path: Path) -> bool:
    """Whether a file is one that `opened` makes a folder of."""
    return path.is_file() and (_is_index(path) or zipfile.is_zipfile(path))


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder that a source means.

    Args:
        path: A folder, which is itself; a zip archive, of which a copy is unpacked and removed at
            the end; the index of a disc (DICOMDIR, in capitals or not), for the folder it is in.

    Raises:
        DataError: An archive that is damaged, encrypted, or too large, or with members that are
            none of plain files inside it; a file of another kind.
    """
    if not path.is_file():
        yield path
    elif _is_index(path):
        yield path.absolute().parent
    elif zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="ptxsweep-zip-") as folder:
            _unpack(path, Path(folder))
            try:
                yield Path(folder)
            except DataError as error:
                raise type(error)(str(error).replace(folder, str(path))) from error.__cause__
    else:
        raise DataError(
            f"{path}: found a file, expected a folder, a zip archive or the DICOMDIR of a disc"
        )


def given_path(file: Path, folder: Path, source: Path) -> Path:
    """What a user would call a file: in an archive by its own path, as if that were a folder.

    Args:
        file: A file that was found.
        folder: What `opened` made of a source.
        source: The source.
    """
    if not source.is_file() or not file.is_relative_to(folder):
        return file
    return (source.parent if _is_index(source) else source) / file.relative_to(folder)


def _is_index(path: Path) -> bool:
    return path.name.upper() == "DICOMDIR"


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check(path, members, shutil.disk_usage(folder).free)
            for number, member in enumerate(members, start=1):
                place = folder.joinpath(*PurePosixPath(member.filename).parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with archive.open(member) as source, place.open("xb") as copy:
                        shutil.copyfileobj(source, copy, _PIECE)
                except FileExistsError:
                    raise _refusal(path, number, members, "the name of another") from None
                except (OSError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
                    found = f"damage ({type(error).__name__})"
                    raise _refusal(path, number, members, found) from error
    except DataError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything inside zipfile
        found = f"what cannot be unpacked ({type(error).__name__})"
        raise DataError(f"{path.name}: found {found}, expected a zip archive") from error


def _check(path: Path, members: list[zipfile.ZipInfo], free_bytes: int) -> None:
    """Refuse what must not be unpacked; zipfile unpacks no more of a member than it claims."""
    if len(members) > MAX_MEMBERS:
        raise DataError(f"{path.name}: found {len(members)} files, expected at most {MAX_MEMBERS}")
    for number, member in enumerate(members, start=1):
        name = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename or not name.parts:
            raise _refusal(path, number, members, "a place outside of it")
        if ":" in name.parts[0] or kind not in (0, stat.S_IFREG):
            raise _refusal(path, number, members, "something that is no plain file")
        if member.flag_bits & 1:
            raise _refusal(path, number, members, "an encrypted one; unpack it yourself")
        if member.file_size > MAX_INFLATED_BYTES:
            raise _refusal(path, number, members, in_bytes(member.file_size))
    total = sum(member.file_size for member in members)
    if total > free_bytes:
        raise DataError(
            f"{path.name}: found {in_bytes(total)} in it, expected at most the "
            f"{in_bytes(free_bytes)} that are free for temporary files (TMPDIR)"
        )


def _refusal(path: Path, number: int, members: list[zipfile.ZipInfo], found: str) -> DataError:
    place = f"member {number} of {len(members)}"
    return DataError(f"{path.name}: {place}: found {found}, expected a file of at most one image")
