from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from filelock import FileLock
from PIL import Image
from tiny_dicom import DicomSet, rle_of, write_dicom

from ptxcore.data.importing.run import ImportReport, import_cases
from ptxcore.data.store.case_ids import plain_id
from ptxcore.data.store.case_store import CaseStore
from ptxcore.data.store.summary import describe_store
from ptxcore.errors import DataError, DicomError, MaskError, StoreError


def test_images_masks_and_facts_arrive(dicom_set: DicomSet, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = import_cases(
        dicom_set.dicom,
        dicom_set.rle,
        tmp_path / "store",
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert (report.num_cases, report.num_positive, report.num_groups) == (12, 5, 6)
    assert (report.num_excluded, report.num_missing, report.num_skipped) == (0, 0, 0)
    assert report.warnings == ()
    assert seen == [(number, 12) for number in range(1, 13)]
    store = CaseStore.open(tmp_path / "store")
    store.verify()
    assert store.data_hash == report.data_hash
    assert not store.phantom
    assert store.manifest["groups"] == "patient_id"
    assert [case.case_id for case in store.cases] == sorted(case.case_id for case in store.cases)
    for number, uid in enumerate(dicom_set.uids):
        index = store.index(store.case_id_of(uid))
        case = store.cases[index]
        assert np.array_equal(store.image(index), dicom_set.images[number])
        assert np.array_equal(store.mask(index), dicom_set.masks[number])
        assert case.mask_px == dicom_set.masks[number].sum()
        assert case.view == ("PA", "AP")[number % 2]
        assert case.pixel_spacing_mm == (0.14, 0.15)
        twin = store.cases[store.index(store.case_id_of(dicom_set.uids[number ^ 1]))]
        assert case.group == twin.group


def test_case_ids_are_keyed_as_documented(dicom_set: DicomSet, tmp_path: Path) -> None:
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store", key=tmp_path / "a.key")
    key = bytes.fromhex((tmp_path / "a.key").read_text())
    store = CaseStore.open(tmp_path / "store")
    assert (
        store.case_id_of(" 1.2.3 ")
        == (hmac.new(key, b"ptxsweep-case:1.2.3", hashlib.sha256).hexdigest()[:16])
    )
    ids = {case.case_id for case in store.cases}
    assert ids == {store.case_id_of(uid) for uid in dicom_set.uids}
    assert not ids & {plain_id(uid) for uid in dicom_set.uids}  # as anybody could compute them


def test_the_same_images_have_the_same_ids_under_a_key(dicom_set: DicomSet, tmp_path: Path) -> None:
    def ids(name: str, key: str) -> list[str]:
        place = tmp_path / name
        import_cases(dicom_set.dicom, dicom_set.rle, place, key=tmp_path / key)
        for secret in ("ids.key", "salt.key"):
            assert stat.S_IMODE((place / secret).stat().st_mode) == 0o600
        return [case.case_id for case in CaseStore.open(place).cases]

    assert ids("one", "a.key") == ids("two", "a.key")
    assert not set(ids("three", "b.key")) & set(ids("four", "a.key"))
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    (tmp_path / "b.key").write_text("secret")
    with pytest.raises(DataError, match="found no key of case ids, expected 64 hexadecimal digits"):
        ids("five", "b.key")


def test_without_a_place_for_a_key_the_store_has_its_own(
    dicom_set: DicomSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("PTXSWEEP_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    reports = [import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / name) for name in "ab"]
    assert reports[0].data_hash != reports[1].data_hash
    assert any("case ids hold in this store alone" in text for text in reports[0].warnings)
    store = CaseStore.open(tmp_path / "a")
    assert {store.case_id_of(uid) for uid in dicom_set.uids} == {
        case.case_id for case in store.cases
    }
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    reports = [import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / name) for name in "cd"]
    assert reports[0].data_hash == reports[1].data_hash
    assert (tmp_path / "settings" / "ptxsweep" / "case-ids.key").is_file()


def test_a_copy_without_the_key_knows_cases_by_that_of_the_project(
    dicom_set: DicomSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a", key=tmp_path / "a.key")
    expected = CaseStore.open(tmp_path / "a").case_id_of("1.2.3")
    (tmp_path / "a" / "ids.key").unlink()
    with pytest.raises(StoreError, match=r"found no key of its case ids.*PTXSWEEP_KEY"):
        CaseStore.open(tmp_path / "a").case_id_of("1.2.3")
    monkeypatch.setenv("PTXSWEEP_KEY", str(tmp_path / "a.key"))
    assert CaseStore.open(tmp_path / "a").case_id_of("1.2.3") == expected


def test_drawn_images_and_earlier_stores_have_ids_without_a_key(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    for uid, image in zip(dicom_set.uids, dicom_set.images, strict=True):
        (path,) = dicom_set.dicom.rglob(f"{uid}.dcm")
        write_dicom(path, image, uid=uid, SyntheticData="YES")
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a")
    store = CaseStore.open(tmp_path / "a")
    assert store.id_key is None
    assert not (tmp_path / "a" / "ids.key").exists()
    assert {case.case_id for case in store.cases} == {plain_id(uid) for uid in dicom_set.uids}
    assert store.case_id_of(dicom_set.uids[0]) == plain_id(dicom_set.uids[0])


def test_the_data_hash_knows_no_workers_and_no_names(dicom_set: DicomSet, tmp_path: Path) -> None:
    reports = [
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / str(workers), workers=workers)
        for workers in (1, 2, 5)
    ]
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(dicom_set.dicom.rglob("*.dcm"))):
        (flat / f"{97 * number % 100}.dicom").write_bytes(path.read_bytes())
    reports.append(import_cases(flat, dicom_set.rle, tmp_path / "renamed"))
    assert len({report.data_hash for report in reports}) == 1
    for name in ("images.bin", "masks.bin"):
        contents = {(tmp_path / folder / name).read_bytes() for folder in ("1", "2", "renamed")}
        assert len(contents) == 1


@pytest.mark.parametrize("what", ["pixel", "mask", "id"])
def test_the_data_hash_covers(what: str, dicom_set: DicomSet, tmp_path: Path) -> None:
    before = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "before")
    path = sorted(dicom_set.dicom.rglob("*.dcm"))[0]
    uid, table = path.stem, dicom_set.rle.read_text()
    if what == "pixel":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    elif what == "mask":
        lines = [line for line in table.splitlines() if uid not in line]
        dicom_set.rle.write_text("\n".join([*lines, f"{uid}, 0 1"]))
    else:
        write_dicom(path, dicom_set.images[dicom_set.uids.index(uid)], uid="1.2.3")
        dicom_set.rle.write_text(table.replace(uid, "1.2.3"))
    after = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "after")
    assert after.data_hash != before.data_hash


def test_groups_are_salted_and_the_salt_stays_inside(dicom_set: DicomSet, tmp_path: Path) -> None:
    groups = []
    for name in ("one", "two"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / name)
        store = CaseStore.open(tmp_path / name)
        groups.append([case.group for case in store.cases])
        salt = (tmp_path / name / "salt.key").read_bytes()
        assert len(salt) == 32
        assert stat.S_IMODE((tmp_path / name / "salt.key").stat().st_mode) == 0o600
        expected = hmac.new(salt, b"patient patient-0", hashlib.sha256).hexdigest()[:16]
        assert store.cases[store.index(store.case_id_of(dicom_set.uids[0]))].group == expected
        for path in (tmp_path / name).iterdir():
            content = path.read_bytes()
            assert path.name in ("salt.key", "ids.key") or (
                salt not in content and salt.hex() not in str(content)
            )
    assert not set(groups[0]) & set(groups[1])


SECRETS = {
    "PatientName": "Doe^Jane",
    "PatientID": "MRN-0042-17",
    "PatientBirthDate": "19641117",
    "StudyDate": "20190821",
    "StudyTime": "131415.16",
    "AccessionNumber": "ACC-998877",
    "InstitutionName": "St Elsewhere",
    "ReferringPhysicianName": "Strange^Stephen",
    "StudyInstanceUID": "1.9.8.7.6.5.4.3.2.1",
    "SeriesInstanceUID": "1.9.8.7.6.5.4.3.2.2",
    "ViewPosition": "JANE DOE",
    "BodyPartExamined": "RIB OF MRS DOE",
    "Modality": "ELSEWHERE CR 7",
    "ImageComments": "fell on 3 March",
    "PatientAge": "054Y",
    "StudyID": "STUDY-31",
    "DeviceSerialNumber": "SERIAL-5150",
}


def test_no_identifier_reaches_the_store(tmp_path: Path) -> None:
    dicom, uid = tmp_path / "hospital-export", "1.2.826.777.888.999"
    dicom.mkdir()
    mask = np.zeros((16, 16), dtype=np.bool_)
    mask[3:6, 2:9] = True
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_dicom(dicom / "jane-doe.dcm", pixels, uid=uid, **SECRETS)
    (tmp_path / "masks.csv").write_text(f"{uid},{rle_of(mask)}\n")
    (tmp_path / "groups.csv").write_text(f"image_id,group\n{uid},family-doe-7\n")
    groups = {"patient": None, "table": tmp_path / "groups.csv"}
    for name, table in groups.items():
        store = tmp_path / f"store-{name}"
        import_cases(dicom, tmp_path / "masks.csv", store, groups=table)
        CaseStore.open(store).resampled(8)
        secrets = [uid, "hospital-export", "jane-doe", "family-doe-7", *SECRETS.values()]
        written = [path for path in store.rglob("*") if path.is_file()]
        assert len(written) >= 7
        for path in written:
            shown = str(path.relative_to(store)).lower()
            content = b"" if path.name == "images.bin" else path.read_bytes().lower()
            for secret in secrets:
                assert secret.lower().encode() not in content, f"{secret} in {path.name}"
                assert secret.lower() not in shown


def test_errors_name_files_when_asked_and_never_identifiers(tmp_path: Path) -> None:
    dicom = tmp_path / "dicom"
    dicom.mkdir()
    write_dicom(dicom / "a.dcm", np.zeros((4, 4), dtype=np.uint8), uid="1.2.3.4.5", **SECRETS)
    (tmp_path / "masks.csv").write_text("1.2.3.4.5,20 1\n")
    with pytest.raises(MaskError, match=r"mask of file 1 of 1: run-length encoding") as caught:
        import_cases(dicom, tmp_path / "masks.csv", tmp_path / "store")
    secrets = ("a.dcm", "1.2.3.4.5", *SECRETS.values())
    assert not [word for word in secrets if word in str(caught.value)]
    with pytest.raises(MaskError, match=r"mask of a\.dcm: run-length encoding"):
        import_cases(dicom, tmp_path / "masks.csv", tmp_path / "store", name_files=True)


def test_images_without_annotation(dicom_set: DicomSet, tmp_path: Path) -> None:
    lines = dicom_set.rle.read_text().splitlines()
    dicom_set.rle.write_text("\n".join(lines[:10]))
    left_out = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a")
    assert (left_out.num_cases, left_out.num_excluded) == (9, 3)
    assert "3 images have no annotation and were left out" in left_out.warnings
    kept = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", unannotated="negative")
    assert (kept.num_cases, kept.num_positive, kept.num_excluded) == (12, 5, 0)


def test_an_image_that_is_left_out_may_be_anything(dicom_set: DicomSet, tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), dtype=np.uint8)
    write_dicom(dicom_set.dicom / "video.dcm", pixels, uid="1.9", NumberOfFrames=30)
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a")
    assert (report.num_cases, report.num_excluded) == (12, 1)
    with pytest.raises(DataError, match=r"^file 13 of 13: NumberOfFrames: found 30.*--name-files"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", unannotated="negative")


def test_annotations_without_image(dicom_set: DicomSet, tmp_path: Path) -> None:
    with dicom_set.rle.open("a") as file:
        file.write("9.9.9, -1\n9.9.8, 1 1\n")
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")
    assert report.num_missing == 2
    assert "2 annotations have no image" in report.warnings


def test_nothing_belongs_together(dicom_set: DicomSet, tmp_path: Path) -> None:
    dicom_set.rle.write_text("a,-1\nb,1 1\n")
    with pytest.raises(DataError, match="found 12 images and 2 annotations, but none that belong"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")
    with pytest.raises(DataError, match="but none that belong together; expected the SOPInstance"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store", unannotated="negative")


def test_what_macos_and_people_leave_in_folders(dicom_set: DicomSet, tmp_path: Path) -> None:
    (dicom_set.dicom / "._1.dcm").write_bytes(b"\0\x05\x16\x07" + b"\0" * 200)
    (dicom_set.dicom / ".DS_Store").write_bytes(b"x")
    (dicom_set.dicom / "readme.txt").write_text("hello")
    (dicom_set.dicom / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")
    assert (report.num_cases, report.num_skipped) == (12, 4)
    assert "2 files with a name that begins with a dot were skipped" in report.warnings
    assert "2 files are no images and were skipped" in report.warnings


def test_dicom_objects_that_are_no_images_are_skipped(dicom_set: DicomSet, tmp_path: Path) -> None:
    pixels, directory = np.zeros((4, 4), dtype=np.uint8), "1.2.840.10008.1.3.10"
    index = {"uid": None, "SOPClassUID": directory, "remove": ("Rows", "Columns")}
    write_dicom(dicom_set.dicom / "dicomdir", pixels, **index)
    write_dicom(dicom_set.dicom / "index.dcm", pixels, **index)
    write_dicom(dicom_set.dicom / "sr", pixels, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    reference = import_cases(dicom_set.dicom / "series-0", dicom_set.rle, tmp_path / "a")
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", unannotated="negative")
    assert (reference.num_skipped, report.num_cases, report.num_skipped) == (0, 12, 3)
    assert "3 files are no images and were skipped" in report.warnings
    # An image without an id cannot stand in the table; as a negative case it needs one.
    write_dicom(dicom_set.dicom / "stray.dcm", pixels, uid=None)
    assert import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "c").num_excluded == 1
    with pytest.raises(DataError, match="SOPInstanceUID: found none, expected one"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "d", unannotated="negative")


def test_objects_and_sizes_are_counted_and_kept(dicom_set: DicomSet, tmp_path: Path) -> None:
    first, second, *_ = sorted(dicom_set.dicom.rglob("*.dcm"))
    for path, change in (
        (first, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1", "ImageLaterality": "L"}),
        (second, {"ImagerPixelSpacing": [0.2, 0.2]}),
    ):
        dataset = pydicom.dcmread(path)
        for keyword, value in change.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a")
    assert report.kinds["object"] == {"secondary capture": 11, "DX for processing": 1}
    assert report.kinds["laterality"] == {"unknown": 11, "left": 1}
    assert report.spacings == {"stated": 11, "calibrated": 1}
    assert any("1 of 12 images are DX for processing" in text for text in report.warnings)
    store = CaseStore.open(tmp_path / "a")
    assert store.cases[store.index(store.case_id_of(second.stem))].spacing_from == "calibrated"
    facts = describe_store(store)
    assert facts["objects"] == report.kinds["object"]
    assert facts["pixel_sizes"] == report.spacings


def test_words_drawn_into_pictures_are_refused_unless_asked_for(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    for path in sorted(dicom_set.dicom.rglob("*.dcm"))[:2]:
        dataset = pydicom.dcmread(path)
        dataset.BurnedInAnnotation = "YES"
        dataset.save_as(path)
    with pytest.raises(DataError, match=r"found 2 of 12 files unusable") as caught:
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a")
    assert "BurnedInAnnotation: found YES" in str(caught.value)
    assert "--allow-burned-in" in str(caught.value)
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a", allow_burned_in=True)
    assert report.num_burned_in == 2
    assert any("2 images have words drawn into them" in text for text in report.warnings)
    assert CaseStore.open(tmp_path / "a").manifest["num_burned_in"] == 2


def test_objects_without_rows_and_class_are_skipped(dicom_set: DicomSet, tmp_path: Path) -> None:
    pixels, bare = np.zeros((4, 4), dtype=np.uint8), ("Rows", "Columns", "SOPClassUID", "PixelData")
    stray = write_dicom(dicom_set.dicom / "stray", pixels, uid="1.9", remove=bare)
    dataset = pydicom.dcmread(stray)
    for sop_class in ("", "1.2.3.4.5"):  # none, and one that no list knows
        dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.save_as(stray, enforce_file_format=False)
        place = tmp_path / f"store{sop_class}"
        report = import_cases(dicom_set.dicom, dicom_set.rle, place, unannotated="negative")
        assert (report.num_cases, report.num_skipped) == (12, 1)


def test_what_the_pictures_are_of_is_counted_and_kept(dicom_set: DicomSet, tmp_path: Path) -> None:
    write_dicom(
        dicom_set.dicom / "knee.dcm",
        np.zeros((4, 4), dtype=np.uint8),
        ViewPosition="LL",
        BodyPartExamined="KNEE",
        remove=("Modality",),
    )
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a", unannotated="negative")
    assert report.contents == {
        "modality": {"DX": 12, "unknown": 1},
        "view": {"AP": 6, "PA": 6, "LL": 1},
        "body_part": {"unknown": 12, "KNEE": 1},
    }
    assert "1 image is a lateral or oblique view (LL 1)" in report.warnings
    assert "1 image names another body part than the chest (KNEE 1)" in report.warnings
    assert CaseStore.open(tmp_path / "a").contents == report.contents


def test_other_modalities_are_refused_unless_asked_for(dicom_set: DicomSet, tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), dtype=np.uint8)
    write_dicom(dicom_set.dicom / "ct.dcm", pixels, Modality="CT")
    assert import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a").num_excluded == 1
    with pytest.raises(DataError, match=r"^file 1 of 13: Modality: found CT, .*--any-modality"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", unannotated="negative")
    assert not (tmp_path / "b").exists()
    report = import_cases(
        dicom_set.dicom,
        dicom_set.rle,
        tmp_path / "b",
        unannotated="negative",
        any_modality=True,
    )
    assert report.contents["modality"] == {"DX": 12, "CT": 1}
    # What it is comes before whether it is good: an ultrasound in colour, a slice without rows.
    write_dicom(dicom_set.dicom / "us.dcm", pixels, uid="1.8", Modality="US", SamplesPerPixel=3)
    write_dicom(dicom_set.dicom / "bare.dcm", pixels, uid="1.9", Modality="MR", remove=("Rows",))
    rest: dict[str, Any] = {"unannotated": "negative", "skip_other_modalities": True}
    skipped = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "c", **rest)
    assert skipped.num_cases == 12
    assert "3 images are no projection radiographs and were left out" in skipped.warnings
    assert "1 image has another modality than a radiograph has (CT 1)" in report.warnings


def test_links_to_files_are_followed_and_linked_folders_are_not_entered(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    one, two, *_ = sorted(dicom_set.dicom.rglob("*.dcm"))
    (linked / "one.dcm").symlink_to(one)
    (linked / "folder").symlink_to(two.parent)
    report = import_cases(linked, dicom_set.rle, tmp_path / "store")
    assert report.num_cases == 1


def test_names_without_suffix(dicom_set: DicomSet, tmp_path: Path) -> None:
    for path in dicom_set.dicom.rglob("*.dcm"):
        path.rename(path.with_suffix(""))
    assert import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store").num_cases == 12


def test_no_images_at_all(dicom_set: DicomSet, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "._a.dcm").write_bytes(b"x")
    with pytest.raises(DataError, match="found no DICOM and no PNG file among 1 files"):
        import_cases(empty, dicom_set.rle, tmp_path / "store")
    with pytest.raises(DataError, match="found no such folder"):
        import_cases(tmp_path / "nowhere", dicom_set.rle, tmp_path / "store")


def test_every_unusable_file_is_listed_at_once(dicom_set: DicomSet, tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), dtype=np.uint8)
    write_dicom(dicom_set.dicom / "a.dcm", pixels, uid=dicom_set.uids[0])
    write_dicom(dicom_set.dicom / "b.dcm", pixels, uid=dicom_set.uids[1], NumberOfFrames=3)
    (dicom_set.dicom / "c.dcm").write_bytes(b"not an image")
    with pytest.raises(DataError, match="found 3 of 15 files unusable:") as caught:
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store", name_files=True)
    message = str(caught.value)
    assert "SOPInstanceUID: found the same as in a.dcm, expected one of its own" in message
    assert "b.dcm: NumberOfFrames: found 3, expected 1" in message
    assert "c.dcm: preamble: found no 'DICM' at byte 128, expected a DICOM file" in message
    assert not (tmp_path / "store").exists()


def test_deep_and_shallow_images_share_a_range(dicom_set: DicomSet, tmp_path: Path) -> None:
    deep = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
    write_dicom(dicom_set.dicom / "deep.dcm", deep, uid="1.9", BitsStored=12)
    with dicom_set.rle.open("a") as file:
        file.write("1.9, -1\n")
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")
    store = CaseStore.open(tmp_path / "store")
    store.verify()
    assert store.dtype == np.uint16
    first = store.image(store.index(store.case_id_of(dicom_set.uids[0])))
    assert np.array_equal(first, dicom_set.images[0].astype(np.uint16) * 257)
    last = store.image(store.index(store.case_id_of("1.9")))
    assert (last.min(), last.max()) == (0, 65_535)
    assert store.resampled(8).image(store.index(store.case_id_of("1.9"))).shape == (8, 8)


def test_one_drawn_image_marks_the_store(dicom_set: DicomSet, tmp_path: Path) -> None:
    path = sorted(dicom_set.dicom.rglob("*.dcm"))[4]
    image = dicom_set.images[dicom_set.uids.index(path.stem)]
    write_dicom(path, image, uid=path.stem, SyntheticData="YES")
    assert import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store").phantom
    assert CaseStore.open(tmp_path / "store").phantom


def test_external_groups(dicom_set: DicomSet, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    rows = [f"{uid}, {number // 4}" for number, uid in enumerate(dicom_set.uids)]
    table.write_text("\ufeffimage_id,group\r\n" + "\r\n".join(rows), encoding="utf-8")
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a", groups=table)
    assert report.num_groups == 3
    assert CaseStore.open(tmp_path / "a").manifest["groups"] == "table"
    table.write_text("\n".join(rows[:-1]))
    with pytest.raises(DataError, match="group: found no row in the group table"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", groups=table)
    table.write_text("\n".join([*rows, rows[0]]))
    with pytest.raises(DataError, match="found 1 images in several rows, expected one row"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", groups=table)
    table.write_text("just one column")
    with pytest.raises(DataError, match=r"groups\.csv: row 1: expected 'image_id,group'"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", groups=table)


def test_subgroups_are_kept_and_must_be_those_of_many(dicom_set: DicomSet, tmp_path: Path) -> None:
    table = tmp_path / "sites.csv"
    rows = [
        f"{uid},{'north' if number % 2 else 'south'}" for number, uid in enumerate(dicom_set.uids)
    ]
    table.write_text("image_id,subgroup\n" + "\n".join(rows), encoding="utf-8")
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a", subgroups=table)
    cases = CaseStore.open(tmp_path / "a").cases
    assert {case.subgroup for case in cases} == {"north", "south"}
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "plain")
    assert {case.subgroup for case in CaseStore.open(tmp_path / "plain").cases} == {""}
    for content, expected in (
        (rows[:-1], "found no row for 1 of 12 images"),
        ([*rows[:-1], f"{dicom_set.uids[-1]},Doe"], "found 3 subgroups, the smallest of 1 images"),
        ([row.replace("north", "a/b") for row in rows], "found a subgroup of other characters"),
        (["x"], "row 1: expected 'image_id,subgroup'"),
    ):
        table.write_text("\n".join(content), encoding="utf-8")
        with pytest.raises(DataError, match=expected):
            import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "b", subgroups=table)
    assert not (tmp_path / "b").exists()


def test_a_store_of_an_earlier_version_has_no_subgroups(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a")
    table = tmp_path / "a" / "cases.csv"
    lines = [line.rpartition(",")[0] for line in table.read_text(encoding="utf-8").splitlines()]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    manifest = tmp_path / "a" / "manifest.json"
    known = json.loads(manifest.read_text(encoding="utf-8"))
    known["cases_sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(known), encoding="utf-8")
    assert {case.subgroup for case in CaseStore.open(tmp_path / "a").cases} == {""}


@pytest.mark.parametrize(
    ("patient", "warning"),
    [("p-{}", "every image has a patient of its own"), ("ANON", "all images have the same")],
)
def test_groups_that_help_nobody_are_pointed_out(
    patient: str, warning: str, tmp_path: Path
) -> None:
    (tmp_path / "dicom").mkdir()
    for number in range(3):
        write_dicom(
            tmp_path / "dicom" / f"{number}.dcm",
            np.zeros((4, 4), dtype=np.uint8),
            uid=f"1.2.{number}",
            PatientID=patient.format(number),
        )
    (tmp_path / "masks.csv").write_text("1.2.0,1 1\n1.2.1,-1\n1.2.2,-1")
    report = import_cases(tmp_path / "dicom", tmp_path / "masks.csv", tmp_path / "store")
    assert any(warning in text for text in report.warnings)


def _write_pairs(folder: Path, dicom_set: DicomSet) -> None:
    for name, arrays in (("images", dicom_set.images), ("masks", dicom_set.masks)):
        (folder / name).mkdir(parents=True)
        for uid, array in zip(dicom_set.uids, arrays, strict=True):
            pixels = array.astype(np.uint8) * (255 if name == "masks" else 1)
            Image.fromarray(pixels).save(folder / name / f"{uid}.png")


def test_png_pairs_and_png_with_a_table_give_the_same_data(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    _write_pairs(tmp_path / "png", dicom_set)
    reference = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "a").data_hash
    pairs = import_cases(tmp_path / "png", None, tmp_path / "b")
    table = import_cases(tmp_path / "png", dicom_set.rle, tmp_path / "c")
    images_alone = import_cases(tmp_path / "png" / "images", dicom_set.rle, tmp_path / "d")
    assert pairs.num_positive == table.num_positive == 5
    assert {pairs.data_hash, table.data_hash, images_alone.data_hash} == {reference}


def test_png_masks_must_fit_their_images(dicom_set: DicomSet, tmp_path: Path) -> None:
    _write_pairs(tmp_path / "png", dicom_set)
    path = tmp_path / "png" / "masks" / f"{dicom_set.uids[3]}.png"
    Image.new("L", (48, 31)).save(path)
    with pytest.raises(MaskError, match=r"size: found 31 x 48 px, expected 32 x 48 px"):
        import_cases(tmp_path / "png", None, tmp_path / "store")
    path.unlink()
    assert import_cases(tmp_path / "png", None, tmp_path / "store").num_excluded == 1


def test_two_masks_of_one_name_are_refused(dicom_set: DicomSet, tmp_path: Path) -> None:
    _write_pairs(tmp_path / "png", dicom_set)
    (tmp_path / "png" / "masks" / "second").mkdir()
    name = f"{dicom_set.uids[0]}.png"
    Image.new("L", (48, 32), 255).save(tmp_path / "png" / "masks" / "second" / name)
    with pytest.raises(DataError, match="masks: found 1 names that several files have"):
        import_cases(tmp_path / "png", None, tmp_path / "store")


def test_links_to_folders_are_told_and_dead_ones_refused(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    (tmp_path / "all").mkdir()
    for path in dicom_set.dicom.rglob("*.dcm"):
        (tmp_path / "all" / path.name).hardlink_to(path)
    (tmp_path / "all" / "more").symlink_to(dicom_set.dicom)
    report = import_cases(tmp_path / "all", dicom_set.rle, tmp_path / "store")
    assert "1 link to another folder was not followed" in report.warnings
    (tmp_path / "all" / "gone.dcm").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"file: found No such file.*expected a readable DICOM"):
        import_cases(tmp_path / "all", dicom_set.rle, tmp_path / "other")


def test_soft_masks_are_refused_unless_a_threshold_is_given(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    _write_pairs(tmp_path / "png", dicom_set)
    reference = import_cases(tmp_path / "png", None, tmp_path / "a").data_hash
    path = tmp_path / "png" / "masks" / f"{dicom_set.uids[0]}.png"
    soft = np.where(dicom_set.masks[0], np.uint8(200), np.uint8(0))
    soft[-1, -1] = 30
    Image.fromarray(soft).save(path)
    expected = r"^mask of file 1 of 12: values: found 0, 30 and 200.*--mask-threshold.*--name-files"
    with pytest.raises(MaskError, match=expected):
        import_cases(tmp_path / "png", None, tmp_path / "b")
    report = import_cases(tmp_path / "png", None, tmp_path / "b", mask_threshold=0.5)
    assert report.data_hash == reference
    assert CaseStore.open(tmp_path / "b").manifest["mask_threshold"] == 0.5


def test_inverted_masks_are_said_whatever_they_are_written_as(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    rows = [
        f"{uid},{rle_of(~mask)}" for uid, mask in zip(dicom_set.uids, dicom_set.masks, strict=True)
    ]
    dicom_set.rle.write_text("\n".join(rows))
    report = import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")
    expected = "12 of 12 masks cover more than half of their image, as inverted masks do"
    assert report.warnings[0].startswith(expected)


def test_no_masks_of_any_kind(dicom_set: DicomSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no table of masks and no PNG pairs"):
        import_cases(dicom_set.dicom, None, tmp_path / "store")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unannotated": "maybe"}, "unannotated: found 'maybe'"),
        ({"mask_threshold": 1.0}, "mask_threshold: found 1.0, expected a share in"),
        ({"workers": 0}, "workers: found 0"),
    ],
)
def test_arguments(change: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        import_cases(tmp_path, None, tmp_path / "store", **change)  # type: ignore[arg-type]


def test_a_store_is_never_overwritten(dicom_set: DicomSet, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "empty")
    for place in (tmp_path / "empty", dicom_set.rle):
        with pytest.raises(StoreError, match="exists already; choose another folder"):
            import_cases(dicom_set.dicom, dicom_set.rle, place)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failure_half_way_leaves_nothing(
    workers: int, dicom_set: DicomSet, tmp_path: Path
) -> None:
    path = sorted(dicom_set.dicom.rglob("*.dcm"))[7]
    path.write_bytes(path.read_bytes()[:-900])
    place = tmp_path / "place"
    with pytest.raises(DicomError, match=r"^file \d+ of 12: PixelData.*--name-files"):
        import_cases(dicom_set.dicom, dicom_set.rle, place / "store", workers=workers)
    assert list(place.iterdir()) == []


def test_two_imports_into_one_place(dicom_set: DicomSet, tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".store.lock"),
        pytest.raises(StoreError, match="another import is writing it"),
    ):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")


KILLED = """
import os, sys
from pathlib import Path
from ptxcore.data.importing.run import import_cases

def tell(done, total):
    print(done, flush=True)
    if done == 5:
        import time; time.sleep(60)

import_cases(*map(Path, sys.argv[1:4]), on_progress=tell)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_import_leaves_no_store_and_does_not_stand_in_the_way(
    dicom_set: DicomSet, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    words = [str(dicom_set.dicom), str(dicom_set.rle), str(place / "store")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[4])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *words], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != b"5":
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (place / "store").exists()
    assert list(place.glob(".store.part-*"))
    assert import_cases(dicom_set.dicom, dicom_set.rle, place / "store").num_cases == 12
    assert [path.name for path in place.iterdir()] == ["store"]


@pytest.mark.siim
def test_the_real_slice(siim_import: ImportReport) -> None:
    report = siim_import
    assert (report.num_cases, report.num_positive, report.num_excluded) == (252, 87, 5)
    assert report.num_groups == 252
    assert any("a patient of its own" in text for text in report.warnings)
    store = CaseStore.open(report.store)
    assert store.dtype == np.uint8
    assert {case.view for case in store.cases} == {"AP", "PA"}
    shares = sorted(case.mask_px / case.num_pixels for case in store.cases if case.is_positive)
    assert 0.002 < shares[len(shares) // 2] < 0.02


@pytest.mark.siim
def test_the_real_png_pairs(siim: Path, tmp_path: Path) -> None:
    pairs = import_cases(siim / "png", None, tmp_path / "pairs")
    table = import_cases(siim / "png", siim / "png" / "train-rle.csv", tmp_path / "table")
    assert pairs.num_cases == table.num_cases == table.num_positive == 42
    assert pairs.data_hash == table.data_hash


@pytest.mark.siim
def test_the_real_oddities(siim: Path, tmp_path: Path) -> None:
    (tmp_path / "masks.csv").write_text("ID_0a4f3c934,-1\nID_004d6fbb6,1 5\n")
    report = import_cases(
        siim / "oddities", tmp_path / "masks.csv", tmp_path / "store", unannotated="negative"
    )
    assert (report.num_cases, report.num_positive) == (11, 1)
    assert "10 images have a SOPInstanceUID that breaks the standard" in report.warnings
    assert "1 file with a name that begins with a dot was skipped" in report.warnings
