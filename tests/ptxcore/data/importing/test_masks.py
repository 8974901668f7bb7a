"""Masks as files of every kind, each beside the same masks as run lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from tiny_dicom import DicomSet, rle_of

from ptxcore.data.importing.run import import_cases
from ptxcore.data.store.case_store import CaseStore
from ptxcore.data.studies.import_sheet import OUTLINE_RGB, draw_import_sheet
from ptxcore.errors import DataError, MaskError
from ptxcore.export.dicom_seg import make_seg
from ptxcore.export.source_image import Maker, read_source


@pytest.fixture
def reference(dicom_set: DicomSet, tmp_path: Path) -> str:
    return import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "reference").data_hash


def imported(dicom_set: DicomSet, tmp_path: Path, **options: Any) -> str:
    place = tmp_path / f"store-{len(list(tmp_path.iterdir()))}"
    return import_cases(dicom_set.dicom, None, place, **options).data_hash


def save(mask: Any, path: Path, direction: tuple[float, ...] | None = None) -> None:
    image = sitk.GetImageFromArray(mask)
    if direction:
        image.SetDirection(direction)
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", "_mask.nrrd"])
def test_nifti_and_nrrd(suffix: str, dicom_set: DicomSet, tmp_path: Path, reference: str) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, (uid, mask) in enumerate(zip(dicom_set.uids, dicom_set.masks, strict=True)):
        values = mask.astype(np.float32 if number % 2 else np.uint8)
        save(values[None] if number % 3 else values, folder / f"{uid}{suffix}")
    assert imported(dicom_set, tmp_path, masks=folder) == reference


def test_axes_that_mirror_or_turn_are_asked_about(
    dicom_set: DicomSet, tmp_path: Path, reference: str
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for uid, mask in zip(dicom_set.uids, dicom_set.masks, strict=True):
        # What nibabel writes of an array [row, column] with the identity as its affine.
        save(mask.astype(np.uint8).T, folder / f"{uid}.nii.gz", (-1.0, 0.0, 0.0, -1.0))
    with pytest.raises(MaskError, match=r"axes that turn or mirror the picture.*--mask-axes"):
        imported(dicom_set, tmp_path, masks=folder)
    assert imported(dicom_set, tmp_path, masks=folder, mask_axes="yx") == reference
    with pytest.raises(MaskError, match=r"size: found 48 x 32 px, expected 32 x 48 px"):
        imported(dicom_set, tmp_path, masks=folder, mask_axes="xy")


@pytest.mark.parametrize("kind", ["png", "nrrd"])
def test_classes_are_united_only_when_they_are_named(
    kind: str, dicom_set: DicomSet, tmp_path: Path, reference: str
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for uid, mask in zip(dicom_set.uids, dicom_set.masks, strict=True):
        values = mask.astype(np.uint8)
        values[mask & (np.arange(mask.size).reshape(mask.shape) % 2 == 0)] = 2
        values[-1, :7] = 5
        image = Image.fromarray(values) if kind == "png" else sitk.GetImageFromArray(values)
        path = folder / f"{uid}.{kind}"
        image.save(path) if kind == "png" else sitk.WriteImage(image, str(path))
    with pytest.raises(MaskError, match=r"mask of file \d+ of 12: values: found .*--mask-class 1"):
        imported(dicom_set, tmp_path, masks=folder)
    assert imported(dicom_set, tmp_path, masks=folder, mask_classes=["1", "2"]) == reference
    for other in (["1"], ["all"]):
        assert imported(dicom_set, tmp_path, masks=folder, mask_classes=other) != reference
    with pytest.raises(MaskError, match="--mask-class: found a name, expected numbers"):
        imported(dicom_set, tmp_path, masks=folder, mask_classes=["left"])


def test_dicom_segmentations_beside_their_images(
    dicom_set: DicomSet, tmp_path: Path, reference: str
) -> None:
    maker = Maker(model="m", version="1", software="s")
    for path in sorted(dicom_set.dicom.rglob("*.dcm")):
        mask = dicom_set.masks[dicom_set.uids.index(path.stem)]
        image = pydicom.dcmread(path)
        image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.4"
        image.save_as(path)
        seg = make_seg(read_source(path), mask * 1.0, mask, maker=maker)
        if path.stem == dicom_set.uids[0]:
            seg.SegmentSequence[0].SegmentLabel = "Lung"
            seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue = "39607008"
        seg.save_as(path.with_suffix(".seg.dcm"))
    with pytest.raises(
        MaskError, match=r"found 1 segments, 0 of them a pneumothorax.*--mask-class"
    ):
        imported(dicom_set, tmp_path, masks=dicom_set.dicom)
    found = imported(dicom_set, tmp_path, masks=dicom_set.dicom, mask_classes=["all"])
    assert found == reference
    # A damaged one must not make its image a healthy one.
    (dicom_set.dicom / "more.dcm").write_bytes(b"no DICOM")
    with pytest.raises(DataError, match=r"^masks: file 1 of 25: file: found damage"):
        imported(dicom_set, tmp_path, masks=dicom_set.dicom, unannotated="negative")


def test_coco(dicom_set: DicomSet, tmp_path: Path, reference: str) -> None:
    images, annotations = [], []
    for number, (uid, mask) in enumerate(zip(dicom_set.uids, dicom_set.masks, strict=True)):
        height, width = mask.shape
        images.append({"id": number, "file_name": f"x/{uid}.dcm", "height": height, "width": width})
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if mask.any():
            x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
            polygon = [int(value) for value in (x0, y0, x1, y0, x1, y1, x0, y1)]
            annotations.append({"image_id": number, "category_id": 1, "segmentation": [polygon]})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "pneumothorax"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert imported(dicom_set, tmp_path, masks=tmp_path / "coco.json") == reference


def test_the_layout_of_ptx_498(dicom_set: DicomSet, tmp_path: Path) -> None:
    folder = tmp_path / "PTX-498"
    for number, (image, mask) in enumerate(zip(dicom_set.images, dicom_set.masks, strict=True)):
        place = folder / ("SiteA", "SiteB")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number // 2}.1.img.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(place / f"{number // 2}.2.mask.png")
        Image.fromarray(image).save(place / f"{number // 2}.3.merge.png")
    report = import_cases(folder, None, tmp_path / "store")
    assert (report.num_cases, report.num_positive, report.num_skipped) == (12, 5, 12)
    assert sorted(case.mask_px for case in CaseStore.open(tmp_path / "store").cases) == sorted(
        int(mask.sum()) for mask in dicom_set.masks
    )


def test_masks_are_found_by_the_name_of_the_file(
    dicom_set: DicomSet, tmp_path: Path, reference: str
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, path in enumerate(sorted(dicom_set.dicom.rglob("*.dcm"))):
        mask = dicom_set.masks[dicom_set.uids.index(path.stem)]
        path.rename(path.with_name(f"IM{number}.dcm"))
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"IM{number}_mask.png")
    assert imported(dicom_set, tmp_path, masks=folder) == reference
    first, second = sorted(dicom_set.dicom.rglob("*.dcm"))[:2]
    (first.parent / "more").mkdir()
    second.rename(first.parent / "more" / first.name)
    with pytest.raises(DataError, match="found the name of another image"):
        imported(dicom_set, tmp_path, masks=folder)


def test_images_and_masks_in_one_folder(dicom_set: DicomSet, tmp_path: Path) -> None:
    folder = tmp_path / "png"
    folder.mkdir()
    for number, (image, mask) in enumerate(zip(dicom_set.images, dicom_set.masks, strict=True)):
        Image.fromarray(image).save(folder / f"{number}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{number}_mask.png")
    report = import_cases(folder, None, tmp_path / "store", masks=folder)
    assert (report.num_cases, report.num_positive) == (12, 5)
    assert report.masks == "masks: files by the names of their images (12 PNG)"


def test_what_is_no_folder_of_masks(dicom_set: DicomSet, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, message in (
        (tmp_path / "empty", "masks: found none, expected PNG, NIfTI or NRRD"),
        (dicom_set.rle, "a table of run lengths goes to --rle"),
    ):
        with pytest.raises(MaskError, match=message):
            imported(dicom_set, tmp_path, masks=place)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{dicom_set.uids[0]}.nii.gz").write_bytes(b"no gzip")
    with pytest.raises(MaskError, match=r"^mask of file 1 of 12: found damage, expected .* nii"):
        imported(dicom_set, tmp_path, masks=tmp_path / "broken")
    with pytest.raises(DataError, match="run lengths and masks as files, expected one"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "s", masks=tmp_path)


def test_the_sheet_shows_masks_of_all_sizes(dicom_set: DicomSet, tmp_path: Path) -> None:
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")
    sheet = draw_import_sheet(CaseStore.open(tmp_path / "store"))
    assert (sheet.info, sheet.mode) == ({}, "RGB")
    pixels = np.asarray(sheet)
    columns = [pixels[36:, start : start + 320] for start in range(6, 1310, 326)]
    outlined = [bool((column == OUTLINE_RGB).all(axis=2)[:320].any()) for column in columns]
    assert outlined == [True] * 4  # the first row holds four of the five with a mask
    assert rle_of(dicom_set.masks[0]) != "-1"
