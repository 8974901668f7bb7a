"""The first pass of an import: which files are images, and which of them become cases.

Headers alone are read here, so that whatever is wrong with the set as a whole is said before the
first pixel is decoded, and all of it at once.

Exports of hospitals are full of files named after patients, so errors count the files they found
("file 7 of 120", in the order of their paths) and name them only when asked to.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydicom.config import IGNORE
from pydicom.uid import UID

from ptxcore.data.formats.dicom import read_header
from ptxcore.data.formats.files import ImageFiles, base_name
from ptxcore.data.formats.object_kind import ObjectKind, refuse_burned_in
from ptxcore.data.formats.png import png_id, read_png_header
from ptxcore.data.formats.radiograph import Header
from ptxcore.data.formats.spacing import Spacing
from ptxcore.data.formats.subject import Subject, refuse_foreign
from ptxcore.data.importing.naming import hint, refuse_all, speaking_of
from ptxcore.data.store.case_ids import keyed_id, plain_id
from ptxcore.errors import DataError, NoImageError, OtherModalityError

MAX_SUBGROUPS, MIN_IN_SUBGROUP = 20, 5
_OTHER_MODALITY = (
    "leave it out (--skip-other-modalities does), or give --any-modality if it is meant"
)
_BURNED_IN = "leave it out, or give --allow-burned-in if that may stand in a store"
ANY_MODALITY = "leave it out, or give --any-modality if it is meant"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One image that becomes a case.

    Attributes:
        path: Path of the image.
        label: What messages call it.
        case_id: See `ptxcore.data.store.case_ids`.
        uid: Id of the image in its source.
        person: What the image is grouped by: patient, external group, or the image itself.
        image_id: Id by which the source of the masks knows it.
        shape: Height and width in pixels.
        is_eight_bit: Whether it decodes to uint8.
        is_phantom: Whether it says that it is drawn.
        subject: What it is of.
        kind: What kind of object it is.
        spacing: Size of a pixel, and where it was measured.
    """

    path: Path
    label: str
    case_id: str
    uid: str
    person: str
    image_id: str
    shape: tuple[int, int]
    is_eight_bit: bool
    is_phantom: bool
    subject: Subject
    kind: ObjectKind
    spacing: Spacing


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The result of the first pass.

    Attributes:
        chosen: Chosen images in the order of their case ids.
        num_excluded: Images without an annotation.
        num_rows_unused: Annotations without an image.
        num_invalid_uids: Chosen images with a SOPInstanceUID that breaks the standard.
        num_no_images: DICOM files skipped for a SOP class that is that of no image.
        num_foreign: Images left out because they are no projection radiographs.
        unreadable: A sentence for each image left out because it, or its mask, cannot be read.
    """

    chosen: tuple[Source, ...]
    num_excluded: int
    num_rows_unused: int
    num_invalid_uids: int
    num_no_images: int
    num_foreign: int
    unreadable: tuple[str, ...] = ()


def choose_sources(
    files: ImageFiles,
    annotated: Collection[str],
    group_of: Mapping[str, str] | None,
    key: bytes,
    *,
    keep_unannotated: bool,
    any_modality: bool = False,
    skip_other_modalities: bool = False,
    allow_burned_in: bool = False,
    skip_unreadable: bool = False,
    name_files: bool = False,
) -> Sources:
    """Match images and annotations.

    Args:
        files: Files from `find_images`.
        annotated: Ids of images with an annotation, be it an empty one.
        group_of: Patient by image id; None takes the PatientID.
        key: Key of the case ids; those of drawn images have none.
        keep_unannotated: Whether an image without annotation is a negative case.
        any_modality: Whether images that are no projection radiographs become cases too.
        skip_other_modalities: Whether they are left out and counted, rather than refused.
        allow_burned_in: Whether those with words of a patient in the pixels do, which are refused.
        skip_unreadable: Whether files with a header that cannot be read are left out and listed.
        name_files: Whether messages name files, rather than count them.

    Raises:
        DataError: Files that cannot be used, ids that are not unique, images without a group, or
            no image with an annotation. All such files are listed in one message.
    """
    wanted = None if keep_unannotated else annotated
    names = Counter(name for path in files.paths if (name := base_name(path)) in annotated)
    chosen: dict[str, Source] = {}
    problems: list[DataError] = []
    unreadable: list[DataError] = []
    num_excluded = num_invalid = num_no_images = num_foreign = 0
    for number, path in enumerate(files.paths, start=1):
        label = path.name if name_files else f"file {number} of {len(files.paths)}"
        is_named = names[base_name(path)] > 0
        try:
            with speaking_of(path, label):
                found = _identify(
                    path,
                    None if is_named else wanted,
                    are_png=files.are_png,
                    is_any=any_modality,
                )
        except NoImageError:
            num_no_images += 1
            continue
        except OtherModalityError as error:
            num_foreign += 1
            problems += [] if skip_other_modalities else [error]
            continue
        except DataError as error:
            unreadable.append(error)
            problems += [] if skip_unreadable else [error]
            continue
        if found is None:
            num_excluded += 1
            continue
        try:
            if not allow_burned_in:
                refuse_burned_in(label, found.kind, _BURNED_IN)
            uid, source = _source(path, label, found, group_of, key)
            if uid not in annotated and is_named:
                source = replace(source, image_id=base_name(path))
                if names[source.image_id] > 1:
                    raise DataError(f"{label}: found the name of another image, expected its own")
            _refuse_twin(chosen, source, "file stem" if files.are_png else "SOPInstanceUID")
        except DataError as error:
            problems.append(error)
            continue
        chosen[source.case_id] = source
        num_invalid += not files.are_png and not UID(uid, validation_mode=IGNORE).is_valid
    can_skip = bool(unreadable and chosen) and not skip_unreadable
    refuse_all(problems, len(files.paths), hint(names_files=name_files, can_skip=can_skip))
    if not chosen:
        refuse_all(unreadable, len(files.paths), hint(names_files=name_files))
    num_matched = len({source.image_id for source in chosen.values()} & set(annotated))
    if num_matched == 0:
        names_of = "file stems" if files.are_png else "SOPInstanceUIDs or file stems"
        raise DataError(
            f"found {len(files.paths) - num_no_images} images and {len(annotated)} annotations, "
            f"but none that belong together; expected the {names_of} of the images as ids"
        )
    return Sources(
        chosen=tuple(chosen[key] for key in sorted(chosen)),
        num_excluded=num_excluded,
        num_rows_unused=len(annotated) - num_matched,
        num_invalid_uids=num_invalid,
        num_no_images=num_no_images,
        num_foreign=num_foreign,
        unreadable=tuple(map(str, unreadable)),
    )


def _refuse_twin(chosen: Mapping[str, Source], source: Source, name: str) -> None:
    if source.case_id in chosen:
        raise DataError(
            f"{source.label}: {name}: found the same as in {chosen[source.case_id].label}, "
            "expected one of its own; remove one of the two files"
        )


def _identify(
    path: Path, wanted: Container[str] | None, *, are_png: bool, is_any: bool
) -> Header | None:
    """The image's id and shape; None where it is not wanted."""
    if not are_png:
        judge = partial(refuse_foreign, path.name, advice=_OTHER_MODALITY)
        return read_header(path, wanted, None if is_any else judge)
    if wanted is not None and png_id(path) not in wanted:
        return None
    return read_png_header(path)


def _source(
    path: Path,
    label: str,
    header: Header,
    group_of: Mapping[str, str] | None,
    key: bytes,
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
        case_id=plain_id(header.uid) if header.is_phantom else keyed_id(header.uid, key),
        uid=header.uid,
        person=person,
        image_id=header.uid,
        shape=header.shape,
        is_eight_bit=header.is_eight_bit,
        is_phantom=header.is_phantom,
        subject=header.subject,
        kind=header.kind,
        spacing=header.spacing,
    )
    return header.uid, source


def how_grouped(sources: Iterable[Source]) -> str:
    """How it is known which images belong to one patient, as the manifest keeps it.

    Args:
        sources: Sources with a `person` from `choose_sources`.

    Returns:
        "table" (given with the images), "patient_id", "image" (each taken as a patient of its
        own), or several of them with ", " between.
    """
    ways = {"group": "table", "patient": "patient_id", "image": "image"}
    return ", ".join(sorted({ways[source.person.partition(" ")[0]] for source in sources}))


def read_subgroups(path: Path) -> dict[str, str]:
    """Label by image id, from a table `image_id,subgroup`: a site, a scanner, a sex.

    The label is shown as it is, so it must be that of many: few labels, each of several images.

    Args:
        path: Path of the file, UTF-8.

    Raises:
        DataError: It is no such table, or its labels are those of few images.
    """
    labels = read_groups(path, "subgroup")
    counts = Counter(labels.values())
    if len(counts) > MAX_SUBGROUPS or min(counts.values(), default=MIN_IN_SUBGROUP) < (
        MIN_IN_SUBGROUP
    ):
        raise DataError(
            f"{path.name}: found {len(counts)} subgroups, the smallest of "
            f"{min(counts.values())} images, expected at most {MAX_SUBGROUPS} of at least "
            f"{MIN_IN_SUBGROUP} each: their names are shown, so they must not tell of a patient"
        )
    if any(re.fullmatch(r"[\w .+-]{1,40}", label) is None for label in counts):
        raise DataError(
            f"{path.name}: found a subgroup of other characters, expected up to 40 letters, "
            "digits, blanks and .+-"
        )
    return labels


def read_groups(path: Path, column: str = "group") -> dict[str, str]:
    """Patient by image id, from a table `image_id,group` with or without that header.

    Args:
        path: Path of the file, UTF-8.
        column: Name of the second column.

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
        raise DataError(f"{path.name}: found no csv file, expected 'image_id,{column}'") from error
    if rows and [cell.lower() for cell in rows[0]] == ["image_id", column]:
        rows = rows[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not all(row):
            raise DataError(f"{path.name}: row {number}: expected 'image_id,{column}'")
    twice = [name for name, count in Counter(row[0] for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{path.name}: found {len(twice)} images in several rows, expected one row")
    return {row[0]: row[1] for row in rows}
