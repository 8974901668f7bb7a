"""What an import tells its user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxcore.data.formats.contrast import doubts_about_contrast
from ptxcore.data.formats.files import ImageFiles
from ptxcore.data.formats.object_kind import count_kinds, doubts_about_kinds
from ptxcore.data.formats.spacing import doubts_about_spacings
from ptxcore.data.formats.subject import count_subjects, doubts_about
from ptxcore.data.importing.naming import in_lines
from ptxcore.data.importing.sources import Sources
from ptxcore.data.store.case_ids import ProjectKey
from ptxcore.data.store.case_table import Case, content_hash, count_spacings
from ptxcore.data.store.mask_areas import doubts_about_areas

_OWN_KEY = (
    "the case ids hold in this store alone, since there is no folder to keep a key in; the same "
    "images imported again get other ids, unless --key names a file"
)


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import gave.

    Attributes:
        store: Folder of the new store.
        num_cases: Cases in it.
        num_positive: Cases with a mask.
        num_excluded: Images without an annotation that were left out.
        num_missing: Annotations without an image.
        num_skipped: Files that are no images (AppleDouble, text, DICOM reports and indices).
        num_without_contrast: Cases with an image that shows nothing, see
            `ptxcore.data.formats.contrast`.
        num_groups: Distinct patients, as far as the grouping knows.
        data_hash: SHA-256 of ids, pixels and masks.
        phantom: Whether any image is drawn.
        contents: How many cases have which "modality", "view" and "body_part", by the words of
            `ptxcore.data.formats.subject`.
        kinds: How many cases are which "object", "image_type" and "laterality", by the words of
            `ptxcore.data.formats.object_kind`.
        spacings: How many have a size of their pixels from where, see `Case.spacing_from`.
        num_burned_in: Cases that say that words of a patient are drawn into their pixels.
        masks: How the masks were read.
        key: File of the key of the case ids; None where they have none, or one of this store alone.
        unreadable: A sentence for each image left out because it, or its mask, cannot be read.
        warnings: Sentences for the user.
    """

    store: Path
    num_cases: int
    num_positive: int
    num_excluded: int
    num_missing: int
    num_skipped: int
    num_without_contrast: int
    num_groups: int
    data_hash: str
    phantom: bool
    contents: Mapping[str, Mapping[str, int]]
    kinds: Mapping[str, Mapping[str, int]]
    spacings: Mapping[str, int]
    num_burned_in: int
    masks: str
    key: str | None
    unreadable: tuple[str, ...]
    warnings: tuple[str, ...]


def make_report(
    store: Path,
    cases: list[Case],
    blank: Sequence[str],
    files: ImageFiles,
    sources: Sources,
    masks: str,
    ids: ProjectKey,
) -> ImportReport:
    """Count what was written, and say what a user should know.

    Args:
        store: Folder of the new store.
        cases: All that are in it.
        blank: What messages call those without contrast.
        files: Files from `find_images`.
        sources: Sources from `choose_sources`.
        masks: How the masks were read.
        ids: Key of the case ids.
    """
    is_keyed = not all(source.is_phantom for source in sources.chosen)
    num_groups = len({case.group for case in cases})
    num_positive = sum(case.is_positive for case in cases)
    return ImportReport(
        store=store,
        num_cases=len(cases),
        num_positive=num_positive,
        num_excluded=sources.num_excluded,
        num_missing=sources.num_rows_unused,
        num_skipped=files.num_hidden + files.num_other + sources.num_no_images,
        num_without_contrast=len(blank),
        num_groups=num_groups,
        data_hash=content_hash(cases),
        phantom=any(source.is_phantom for source in sources.chosen),
        contents=count_subjects(source.subject for source in sources.chosen),
        kinds=count_kinds(source.kind for source in sources.chosen),
        spacings=count_spacings(cases),
        num_burned_in=sum(source.kind.is_burned_in for source in sources.chosen),
        masks=masks,
        key=str(ids.path) if is_keyed and ids.path is not None else None,
        unreadable=sources.unreadable,
        warnings=(
            *_warnings(cases, blank, num_groups, files, sources),
            *([_OWN_KEY] if is_keyed and ids.path is None else []),
        ),
    )


def _warnings(
    cases: list[Case], blank: Sequence[str], num_groups: int, files: ImageFiles, sources: Sources
) -> Iterator[str]:
    if sources.unreadable:
        number = len(sources.unreadable)
        what = "image that cannot be read was" if number == 1 else "images that cannot be read were"
        yield f"{number} {what} left out:{in_lines(sources.unreadable)}"
    yield from doubts_about_contrast(len(blank), blank)
    yield from doubts_about_areas(cases)
    if num_groups == len(cases):
        yield (
            "every image has a patient of its own, so folds cannot keep a patient's images "
            "together; if patients do have several images, give --groups"
        )
    elif num_groups == 1:
        yield (
            "all images have the same patient, perhaps a placeholder, so no fold plan can be "
            "made; give --groups"
        )
    yield from doubts_about(count_subjects(source.subject for source in sources.chosen))
    yield from doubts_about_kinds(count_kinds(source.kind for source in sources.chosen))
    num_not_square = sum(not source.spacing.is_square for source in sources.chosen)
    yield from doubts_about_spacings(count_spacings(cases), num_not_square)
    if not any(case.is_positive for case in cases):
        yield "no image has a mask, so nothing can be learned from this store"
    yield from _counted(files, sources)


def _counted(files: ImageFiles, sources: Sources) -> Iterator[str]:
    """How much was left out, or taken although something speaks against it."""
    for number, one, many in (
        (
            sources.num_excluded,
            "image has no annotation and was left out",
            "images have no annotation and were left out",
        ),
        (
            sum(source.kind.is_burned_in for source in sources.chosen),
            "image has words drawn into it, as BurnedInAnnotation says, and was taken",
            "images have words drawn into them, as BurnedInAnnotation says, and were taken",
        ),
        (
            sources.num_foreign,
            "image is no projection radiograph and was left out",
            "images are no projection radiographs and were left out",
        ),
        (sources.num_rows_unused, "annotation has no image", "annotations have no image"),
        (
            sources.num_invalid_uids,
            "image has a SOPInstanceUID that breaks the standard",
            "images have a SOPInstanceUID that breaks the standard",
        ),
        (
            files.num_hidden,
            "file with a name that begins with a dot was skipped",
            "files with a name that begins with a dot were skipped",
        ),
        (
            files.num_other + sources.num_no_images,
            "file is no image and was skipped",
            "files are no images and were skipped",
        ),
        (
            files.num_links,
            "link to another folder was not followed",
            "links to other folders were not followed",
        ),
    ):
        if number:
            yield f"{number} {one if number == 1 else many}"
