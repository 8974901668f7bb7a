"""The first pass of an import: which files are images, and which of them become cases.

Headers alone are read here, so that whatever is wrong with the set as a whole is said before the
first pixel is decoded, and all of it at once.

Exports of hospitals are full of files named after patients, so errors count the files they found
("file 7 of 120", in the order of their paths) and name them only when asked to.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.config import IGNORE
from pydicom.uid import UID

from ptxcore.data.dicom import read_header
from ptxcore.data.png import read_png_header
from ptxcore.data.radiograph import Header
from ptxcore.errors import DataError

_MAX_LISTED = 10
#: A file's name can hold that of a patient.
HINT = " (--name-files tells which file)"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One image that becomes a case.

    Attributes:
        path: Of the image.
        label: What messages call it.
        case_id: See `case_id_of`.
        person: Whose image it is: patient, external group, or the image itself.
        rows: Its run-length encodings; none for an empty mask.
        mask_path: Its mask as PNG, instead of encodings.
        shape: Height and width in pixels.
        is_eight_bit: Whether it decodes to uint8.
        is_phantom: Whether it says that it is drawn.
    """

    path: Path
    label: str
    case_id: str
    person: str
    rows: tuple[str, ...]
    mask_path: Path | None
    shape: tuple[int, int]
    is_eight_bit: bool
    is_phantom: bool


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """What a folder holds.

    Attributes:
        paths: The images.
        are_png: Whether they are PNG rather than DICOM.
        masks: Masks as PNG by the stem of their image; empty where there are none.
        num_hidden: Files skipped for a name that begins with a dot: what macOS leaves (`._*`).
        num_other: Files skipped because they are neither DICOM nor PNG.
    """

    paths: tuple[Path, ...]
    are_png: bool
    masks: Mapping[str, Path]
    num_hidden: int
    num_other: int


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The result of the first pass.

    Attributes:
        chosen: In the order of their case ids.
        num_excluded: Images without an annotation.
        num_rows_unused: Annotations without an image.
        num_invalid_uids: Chosen images whose SOPInstanceUID breaks the standard.
    """

    chosen: tuple[Source, ...]
    num_excluded: int
    num_rows_unused: int
    num_invalid_uids: int


def case_id_of(uid: str) -> str:
    """The id under which a store and everything after it knows an image: 16 hexadecimal digits.

    Args:
        uid: SOPInstanceUID, or stem of a PNG file; white space around it does not count.
    """
    return hashlib.sha256(f"ptxsweep-case:{uid.strip()}".encode()).hexdigest()[:16]


def find_images(folder: Path) -> ImageFiles:
    """Look through a folder, at any depth, for DICOM files, or for PNG files if it has none.

    PNG files may be in subfolders `images` and `masks`, paired by their stems.

    Args:
        folder: Files in it whose names begin with a dot are counted and not looked at.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: found no such folder, expected one with DICOM or PNG files")
    everything = sorted(path for path in folder.rglob("*") if path.is_file())
    seen = [path for path in everything if not path.name.startswith(".")]
    paths = [path for path in seen if _is_dicom(path)]
    masks: dict[str, Path] = {}
    are_png = not paths
    if are_png:
        paths = [path for path in seen if path.suffix.lower() == ".png"]
        if (folder / "images").is_dir():
            masks = {path.stem: path for path in paths if folder / "masks" in path.parents}
            paths = [path for path in paths if folder / "images" in path.parents]
    if not paths:
        raise DataError(
            f"{folder}: found no DICOM and no PNG file among {len(everything)} files; "
            "expected a folder with images"
        )
    return ImageFiles(
        paths=tuple(paths),
        are_png=are_png,
        masks=masks,
        num_hidden=len(everything) - len(seen),
        num_other=len(seen) - len(paths) - len(masks),
    )


def _is_dicom(path: Path) -> bool:
    """By name, else by the magic word of PS3.10: a name that is a UID seems to have a suffix."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    if path.suffix.lower() in (".png", ".csv", ".txt", ".json", ".jpg") or path.name == "DICOMDIR":
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return True  # not skipped in silence: the reader will say what is wrong with it


def choose_sources(
    files: ImageFiles,
    rows: Mapping[str, Sequence[str]] | None,
    group_of: Mapping[str, str] | None,
    *,
    keep_unannotated: bool,
    name_files: bool = False,
) -> Sources:
    """Match images and annotations.

    Args:
        files: From `find_images`.
        rows: Encodings by image id; None takes the masks that are files.
        group_of: Patient by image id; None takes the PatientID.
        keep_unannotated: Whether an image without annotation is a negative case.
        name_files: Whether messages name files, rather than count them.

    Raises:
        DataError: Files that cannot be used, ids that are not unique, images without a group, or
            no image with an annotation. All such files are listed in one message.
    """
    annotated = files.masks.keys() if rows is None else rows.keys()
    wanted = None if keep_unannotated else annotated
    chosen: dict[str, Source] = {}
    problems: list[str] = []
    num_excluded = num_invalid = 0
    for number, path in enumerate(files.paths, start=1):
        label = path.name if name_files else f"file {number} of {len(files.paths)}"
        try:
            with speaking_of(path, label):
                found = _identify(path, wanted, are_png=files.are_png)
            if found is None:
                num_excluded += 1
                continue
            uid, source = _source(path, label, found, files.masks, rows, group_of)
        except DataError as error:
            problems.append(str(error))
            continue
        if source.case_id in chosen:
            name = "file stem" if files.are_png else "SOPInstanceUID"
            problems.append(
                f"{label}: {name}: found the same as in {chosen[source.case_id].label}, "
                "expected one of its own; remove one of the two files"
            )
            continue
        chosen[source.case_id] = source
        num_invalid += not files.are_png and not UID(uid, validation_mode=IGNORE).is_valid
    _refuse(problems, len(files.paths), "" if name_files else HINT)
    num_matched = len({case_id_of(uid) for uid in annotated} & chosen.keys())
    if num_matched == 0:
        raise DataError(
            f"found {len(files.paths)} images and {len(annotated)} annotations, but none that "
            "belong together; expected the "
            f"{'file stems' if files.are_png else 'SOPInstanceUIDs'} of the images as ids"
        )
    return Sources(
        chosen=tuple(chosen[key] for key in sorted(chosen)),
        num_excluded=num_excluded,
        num_rows_unused=len(annotated) - num_matched,
        num_invalid_uids=num_invalid,
    )


@contextmanager
def speaking_of(path: Path, label: str, hint: str = "") -> Iterator[None]:
    """Errors of a reader about a file call it by another name, and end with a hint.

    Args:
        path: Of the file; messages that begin with its name lose it.
        label: What they begin with instead.
        hint: What they end with.

    Raises:
        DataError: One was raised within: the same class with the new message.
    """
    try:
        yield
    except DataError as error:
        text = str(error).removeprefix(f"{path.name}: ")
        raise type(error)(f"{label}: {text}{hint}") from error.__cause__


def _identify(path: Path, wanted: Container[str] | None, *, are_png: bool) -> Header | None:
    """The image's id and shape; None where it is not wanted."""
    if not are_png:
        return read_header(path, wanted)
    if wanted is not None and path.stem not in wanted:
        return None
    return read_png_header(path)


def _source(
    path: Path,
    label: str,
    header: Header,
    masks: Mapping[str, Path],
    rows: Mapping[str, Sequence[str]] | None,
    group_of: Mapping[str, str] | None,
) -> tuple[str, Source]:
    if group_of is not None:
        if header.uid not in group_of:
            raise DataError(f"{label}: group: found no row in the group table, expected one")
        person = f"group {group_of[header.uid]}"
    else:
        person = f"patient {header.patient_id}" if header.patient_id else f"image {header.uid}"
    source = Source(
        path=path,
        label=label,
        case_id=case_id_of(header.uid),
        person=person,
        rows=tuple(rows.get(header.uid, ())) if rows is not None else (),
        mask_path=masks.get(header.uid) if rows is None else None,
        shape=header.shape,
        is_eight_bit=header.is_eight_bit,
        is_phantom=header.is_phantom,
    )
    return header.uid, source


def _refuse(problems: Sequence[str], num_files: int, hint: str) -> None:
    """All that is wrong in one message: nobody mends files one import at a time."""
    if len(problems) == 1:
        raise DataError(problems[0] + hint)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems[:_MAX_LISTED])
        more = len(problems) - _MAX_LISTED
        rest = f"\n  and {more} more" if more > 0 else ""
        raise DataError(f"found {len(problems)} of {num_files} files unusable:{listed}{rest}{hint}")


def how_grouped(sources: Iterable[Source]) -> str:
    """How it is known which images belong to one patient, as the manifest keeps it.

    Args:
        sources: Whose `person` `choose_sources` filled.

    Returns:
        "table" (given with the images), "patient_id", "image" (each taken as a patient of its
        own), or several of them with ", " between.
    """
    ways = {"group": "table", "patient": "patient_id", "image": "image"}
    return ", ".join(sorted({ways[source.person.partition(" ")[0]] for source in sources}))


def read_groups(path: Path) -> dict[str, str]:
    """Patient by image id, from a table `image_id,group` with or without that header.

    Args:
        path: Of the file, UTF-8.

    Raises:
        DataError: It is no such table, or an image stands in it twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        kind = type(error).__name__
        raise DataError(f"{path}: found no readable csv file ({kind}), expected one") from error
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if any(row)]
    except csv.Error as error:
        raise DataError(f"{path.name}: found no csv file, expected 'image_id,group'") from error
    if rows and [cell.lower() for cell in rows[0]] == ["image_id", "group"]:
        rows = rows[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not all(row):
            raise DataError(f"{path.name}: row {number}: expected 'image_id,group'")
    twice = [name for name, count in Counter(row[0] for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{path.name}: found {len(twice)} images in several rows, expected one row")
    return {row[0]: row[1] for row in rows}
