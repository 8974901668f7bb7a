"""Which files `predict` segments: the definition of a DICOM file is that of the import.

Headers alone are read here, before a model is loaded and anything is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ptxcore.data.formats.dicom import read_header
from ptxcore.data.formats.files import base_name, is_hidden, list_files
from ptxcore.data.formats.radiograph import Header
from ptxcore.data.formats.subject import count_subjects, doubts_about, refuse_foreign
from ptxcore.data.importing.naming import HINT, refuse_all, speaking_of
from ptxcore.data.importing.sources import ANY_MODALITY
from ptxcore.errors import DataError, NoImageError
from sweep.errors import UsageError

#: File systems end at 255 bytes.
_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The files of one call.

    Attributes:
        files: The images, in the order of the arguments, sorted within a folder.
        labels: What errors call each: its name if the user gave that, else its place.
        names: What its outputs are named after, one of its own for each.
        headers: What each image says of itself.
        contents: Images by modality, view and body part, see `ptxcore.data.formats.subject`.
        skipped: Files left out: "hidden" for a name that begins with a dot, "not_dicom", and
            "no_image" for a report, an index or the like; "links" to other folders.
        warnings: Sentences for the user.
        problems: A sentence for each file that was left out because it cannot be used.
    """

    files: tuple[Path, ...]
    labels: Mapping[Path, str]
    names: Mapping[Path, str]
    headers: Mapping[Path, Header]
    contents: Mapping[str, Mapping[str, int]]
    skipped: Mapping[str, int]
    warnings: tuple[str, ...]
    problems: tuple[str, ...] = ()


def find_inputs(
    sources: Sequence[Path],
    *,
    any_modality: bool = False,
    name_files: bool = False,
    go_on: bool = False,
) -> Inputs:
    """The files themselves, and the DICOM files of folders at any depth.

    Args:
        sources: Files and folders.
        any_modality: Whether images that are no projection radiographs are segmented too.
        name_files: Whether errors name files that were found in folders, rather than count them;
            such names can be those of patients.
        go_on: Whether files that cannot be used are listed, as long as there are others.

    Raises:
        UsageError: There is no image, or two would be written to one name.
        DataError: Headers that cannot be read, or of what is no projection radiograph; all of them
            in one message.
    """
    found: list[Path] = []
    num_hidden = num_other = num_links = 0
    for source in sources:
        if source.is_dir():
            listing = list_files(source)
            found += listing.dicom
            num_hidden += listing.num_hidden
            num_other += len(listing.other)
            num_links += listing.num_links
        elif is_hidden(source):
            num_hidden += 1
        else:
            found.append(source)
    labels = _labels(found, sources, name_files=name_files)
    headers, problems, num_no_images = _read_headers(found, labels, any_modality=any_modality)
    images = [file for file in found if file in headers or file in problems]
    names = _names(images, sources)
    _check_names(names, labels, sources, name_files=name_files)
    is_named = name_files or set(found) <= set(sources)
    if not (go_on and headers):
        refuse_all(list(problems.values()), len(found), "" if is_named else HINT)
    skipped = {
        "hidden": num_hidden,
        "not_dicom": num_other,
        "no_image": num_no_images,
        "links": num_links,
    }
    if not headers:
        raise UsageError(
            f"predict: found no DICOM image among {len(found) + num_hidden + num_other} files, "
            "expected at least one"
        )
    contents = count_subjects(header.subject for header in headers.values())
    return Inputs(
        files=tuple(file for file in images if file in headers),
        labels=labels,
        names=names,
        headers=headers,
        contents=contents,
        skipped=skipped,
        warnings=(*doubts_about(contents), *_skips(skipped)),
        problems=tuple(map(str, problems.values())),
    )


def _labels(files: Sequence[Path], sources: Sequence[Path], *, name_files: bool) -> dict[Path, str]:
    return {
        file: file.name if name_files or file in sources else f"file {number} of {len(files)}"
        for number, file in enumerate(files, start=1)
    }


def _read_headers(
    files: Sequence[Path], labels: Mapping[Path, str], *, any_modality: bool
) -> tuple[dict[Path, Header], dict[Path, DataError], int]:
    """What each image says of itself, what is wrong with others, how many files are no images."""
    headers: dict[Path, Header] = {}
    problems: dict[Path, DataError] = {}
    num_no_images = 0
    for file in files:
        try:
            with speaking_of(file, labels[file]):
                judge = partial(refuse_foreign, file.name, advice=ANY_MODALITY)
                header = read_header(file, judge=None if any_modality else judge)
            assert header is not None  # any id is wanted
            headers[file] = header
        except NoImageError:
            num_no_images += 1
        except DataError as error:
            problems[file] = error
    return headers, problems, num_no_images


def _names(files: Sequence[Path], sources: Sequence[Path]) -> dict[Path, str]:
    """The name of each; of several in a folder with one name, as on discs, their way in it."""
    times = Counter(base_name(file) for file in files)
    names = {}
    for file in files:
        names[file] = base_name(file)
        folder = next((source for source in sources if source in file.parents), None)
        if times[names[file]] > 1 and folder is not None:
            way = "_".join(file.relative_to(folder).with_name(names[file]).parts)
            # Behind it come words such as ".probability.png".
            names[file] = way if len(way.encode()) <= _LONGEST_NAME else names[file]
    return names


def _check_names(
    names: Mapping[Path, str],
    labels: Mapping[Path, str],
    sources: Sequence[Path],
    *,
    name_files: bool,
) -> None:
    first: dict[str, Path] = {}
    for file, name in names.items():
        other = first.setdefault(name, file)
        if other is not file:
            is_named = name_files or {other, file} <= set(sources)
            both = f"{other} and {file}" if is_named else f"{labels[other]} and {labels[file]}"
            raise UsageError(
                f"predict: {both} would be written to one name; predict them apart"
                + ("" if is_named else HINT)
            )


def _skips(skipped: Mapping[str, int]) -> Iterator[str]:
    for kind, words in (
        ("hidden", "with a name that begins with a dot"),
        ("not_dicom", "that {} no DICOM"),
        ("no_image", "that {} DICOM but no image"),
    ):
        number = skipped[kind]
        if number == 1:
            yield f"1 file {words.format('is')} was skipped"
        elif number:
            yield f"{number} files {words.format('are')} were skipped"
    if number := skipped["links"]:
        links = "1 link to another folder was" if number == 1 else f"{number} links to folders were"
        yield f"{links} not followed"
