"""Faults of single images: all of them at once, or all the others without them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_dicom import DicomSet, write_dicom

from ptxcore.data.importing.run import import_cases
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import DataError, DicomError
from sweep.cli import main


@pytest.fixture
def faulty(dicom_set: DicomSet) -> DicomSet:
    """Four of twelve at fault: two cut inside their pixels, a window, a mask beyond its image."""
    paths = {path.stem: path for path in dicom_set.dicom.rglob("*.dcm")}
    for uid in dicom_set.uids[6:8]:
        paths[uid].write_bytes(paths[uid].read_bytes()[:-900])
    uid = dicom_set.uids[8]
    write_dicom(paths[uid], dicom_set.images[8], uid=uid, WindowCenter=5, WindowWidth=0)
    rows = dicom_set.rle.read_text().splitlines()
    dicom_set.rle.write_text("\n".join([*rows[:-1], f"{dicom_set.uids[11]}, 9999999 5"]))
    return dicom_set


@pytest.mark.parametrize("workers", [1, 3])
def test_faults_of_pixels_and_masks_are_listed_at_once(
    workers: int, faulty: DicomSet, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(DataError, match=r"^found 4 of 12 files unusable:") as caught:
        import_cases(
            faulty.dicom,
            faulty.rle,
            tmp_path / "place" / "store",
            workers=workers,
            on_progress=lambda done, total: seen.append((done, total)),
        )
    assert type(caught.value) is DataError
    message = str(caught.value)
    assert message.count("PixelData: cannot be decoded as Explicit VR Little Endian by") == 2
    assert message.count("WindowWidth: found 0, expected at least 1") == 1
    assert message.count("mask of file ") == 1
    assert message.endswith("(--name-files tells which file, --skip-unreadable goes on without)")
    assert list((tmp_path / "place").iterdir()) == []
    assert seen[-1] == (12, 12)
    numbers = [int(line.split("file ")[1].split(" of")[0]) for line in message.splitlines()[1:]]
    assert numbers == sorted(numbers)


def test_one_fault_alone_keeps_its_class(dicom_set: DicomSet, tmp_path: Path) -> None:
    path = next(dicom_set.dicom.rglob("*.dcm"))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DicomError, match=r"PixelData.*--skip-unreadable goes on without\)$"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")


def test_the_others_are_imported_when_asked(faulty: DicomSet, tmp_path: Path) -> None:
    (faulty.dicom / "zzz.dcm").write_bytes(b"not an image")
    report = import_cases(faulty.dicom, faulty.rle, tmp_path / "store", skip_unreadable=True)
    assert (report.num_cases, len(report.unreadable)) == (8, 5)
    assert report.unreadable[0].startswith("file 13 of 13: preamble: found no 'DICM'")
    assert report.warnings[0].startswith("5 images that cannot be read were left out:\n  file ")
    store = CaseStore.open(tmp_path / "store")
    store.verify()
    assert store.manifest["num_unreadable"] == 5
    assert sum(store.manifest["contents"]["modality"].values()) == 8
    for uid, image in zip(faulty.uids[:6], faulty.images, strict=False):
        assert np.array_equal(store.image(store.index(store.case_id_of(uid))), image)


def test_nothing_that_can_be_read_is_no_store(dicom_set: DicomSet, tmp_path: Path) -> None:
    for path in dicom_set.dicom.rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataError, match=r"^found 12 of 12 files unusable:") as caught:
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store", skip_unreadable=True)
    assert "and 2 more (--name-files" in str(caught.value)
    for path in dicom_set.dicom.rglob("*.dcm"):
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"^found 12 of 12 files unusable:"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store", skip_unreadable=True)


def test_other_faults_stop_it_all_the_same(dicom_set: DicomSet, tmp_path: Path) -> None:
    write_dicom(dicom_set.dicom / "twin.dcm", dicom_set.images[0], uid=dicom_set.uids[0])
    with pytest.raises(DataError, match="SOPInstanceUID: found the same as in"):
        import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store", skip_unreadable=True)


def test_the_command_lists_what_it_left_out(
    faulty: DicomSet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = ["data", "import", "--dicom", str(faulty.dicom), "--rle", str(faulty.rle)]
    assert main([*files, "--store", str(tmp_path / "a")]) == 2
    assert "error: found 4 of 12 files unusable:" in capfd.readouterr().err
    assert main([*files, "--store", str(tmp_path / "b"), "--skip-unreadable"]) == 0
    said = capfd.readouterr()
    assert "warning: 4 images that cannot be read were left out:" in said.err
    assert "8 cases, 5 positive, 0 excluded" in said.out
    arguments = [*files, "--store", str(tmp_path / "c"), "--skip-unreadable", "--json"]
    assert main(arguments) == 0
    assert len(json.loads(capfd.readouterr().out)["unreadable"]) == 4
