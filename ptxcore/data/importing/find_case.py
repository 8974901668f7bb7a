"""Which case of a store a file became, and which file a case came from.

A store keeps no names: the id of a case is a keyed hash of the image's own id, so the files are
asked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxcore.data.formats.dicom import read_header
from ptxcore.data.formats.files import find_images
from ptxcore.data.formats.png import png_id
from ptxcore.data.store.case_store import Case, CaseStore, OnProgress, no_progress
from ptxcore.errors import DataError


@dataclass(frozen=True, kw_only=True)
class FileCase:
    """A file and what a store has of it.

    Attributes:
        path: Path of the file.
        case_id: Id that its image has in the store, or would have.
        case: The case; None where the store has none of that id.
    """

    path: Path
    case_id: str
    case: Case | None


def find_cases(
    paths: Sequence[Path],
    store: CaseStore,
    case_ids: Collection[str] = (),
    on_progress: OnProgress = no_progress,
) -> list[FileCase]:
    """Read the ids of images and look them up.

    Args:
        paths: DICOM or PNG files, or folders of either, searched as an import does. Files of
            folders that cannot be read are passed over.
        store: Where the cases are.
        case_ids: Only files of these cases; of all where it is empty.
        on_progress: Called after every file.

    Raises:
        DataError: A file that was named cannot be read, or a folder holds no image.
    """
    cases = {case.case_id: case for case in store.cases}
    files = [(path, path in paths) for path in _expanded(paths)]
    found = []
    for number, (path, is_named) in enumerate(files, start=1):
        try:
            case_id = store.case_id_of(_image_id(path))
        except DataError:
            if is_named:
                raise
            continue
        finally:
            on_progress(number, len(files))
        if not case_ids or case_id in case_ids:
            found.append(FileCase(path=path, case_id=case_id, case=cases.get(case_id)))
    return found


def _expanded(paths: Sequence[Path]) -> list[Path]:
    return [
        file for path in paths for file in (find_images(path).paths if path.is_dir() else (path,))
    ]


def _image_id(path: Path) -> str:
    if path.suffix.lower() == ".png":
        return png_id(path)
    header = read_header(path)
    assert header is not None  # any id is wanted
    return header.uid
