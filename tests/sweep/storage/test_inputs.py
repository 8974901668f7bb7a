"""`predict` takes what `data import` takes, and says what it leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import CTImageStorage
from tiny_dicom import write_dicom

from ptxcore.data.formats.files import find_images
from ptxcore.errors import DataError
from sweep.errors import UsageError
from sweep.storage.inputs import find_inputs

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
DIRECTORY = "1.2.840.10008.1.3.10"


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A folder as hospitals hand it out, with four images under names of four kinds."""
    disc = tmp_path / "disc"
    (disc / "images" / "st1").mkdir(parents=True)
    for name in ("one.dcm", "images/TWO.DCM", "images/st1/im3", "images/st1/1.2.3.4"):
        write_dicom(disc / name, PIXELS, uid=f"1.2.{len(name)}")
    write_dicom(disc / "report.dcm", PIXELS, uid="1.2.1", SOPClassUID=BASIC_TEXT_SR)
    write_dicom(disc / "index", PIXELS, uid=None, SOPClassUID=DIRECTORY, remove=("Rows",))
    write_dicom(disc / "dicomdir", PIXELS, uid=None, SOPClassUID=DIRECTORY, remove=("Rows",))
    (disc / "._one.dcm").write_bytes(b"\0\5\26\7")
    (disc / "readme.txt").write_text("hello")
    (tmp_path / "second-disc").mkdir()
    (disc / "second").symlink_to(tmp_path / "second-disc")
    return disc


def test_a_folder_holds_what_an_import_finds_in_it(disc: Path) -> None:
    found = find_inputs([disc])
    assert sorted(file.name for file in found.files) == ["1.2.3.4", "TWO.DCM", "im3", "one.dcm"]
    assert set(found.files) <= set(find_images(disc).paths)
    assert found.skipped == {"hidden": 1, "not_dicom": 2, "no_image": 2, "links": 1}
    assert found.contents["modality"] == {"DX": 4}
    assert found.warnings == (
        "1 file with a name that begins with a dot was skipped",
        "2 files that are no DICOM were skipped",
        "2 files that are DICOM but no image were skipped",
        "1 link to another folder was not followed",
    )
    assert {found.labels[file] for file in found.files} <= {f"file {n} of 6" for n in range(1, 7)}


def test_names_that_are_uids_do_not_lose_their_end(tmp_path: Path) -> None:
    files = [write_dicom(tmp_path / f"1.2.3.{n}", PIXELS, uid=f"1.2.3.{n}") for n in range(2)]
    assert find_inputs(files).files == tuple(files)
    (tmp_path / "again").mkdir()
    twin = write_dicom(tmp_path / "again" / "1.2.3.0", PIXELS)
    with pytest.raises(UsageError, match=r"1\.2\.3\.0 and .* would be written to one name"):
        find_inputs([*files, twin])


def test_names_that_a_disc_has_in_every_folder(tmp_path: Path) -> None:
    for number, place in enumerate(("st1/se1", "st1/se2", "st2/se1")):
        (tmp_path / "disc" / place).mkdir(parents=True)
        write_dicom(tmp_path / "disc" / place / "im000000", PIXELS, uid=f"1.2.{number}")
    write_dicom(tmp_path / "disc" / "st2" / "im000001.dcm", PIXELS, uid="1.2.9")
    found = find_inputs([tmp_path / "disc"])
    assert [found.names[file] for file in found.files] == [
        "st1_se1_im000000",
        "st1_se2_im000000",
        "im000001",
        "st2_se1_im000000",
    ]
    deep = tmp_path / "disc" / ("x" * 120) / ("y" * 120)
    deep.mkdir(parents=True)
    (deep.parent / ("z" * 120)).mkdir()
    write_dicom(deep / "im000000", PIXELS, uid="1.2.10")
    twin = write_dicom(deep.parent / "im000000", PIXELS, uid="1.2.11")
    assert find_inputs([tmp_path / "disc"]).names[twin] == f"{'x' * 120}_im000000"
    write_dicom(deep.parent / ("z" * 120) / "im000000", PIXELS, uid="1.2.12")
    # What is still one name is counted, as names can be those of patients.
    with pytest.raises(UsageError, match=r"file \d of 7 and file \d of 7 would be written"):
        find_inputs([tmp_path / "disc"])


def test_only_what_is_no_image(disc: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found no DICOM image among 1 files"):
        find_inputs([disc / "report.dcm"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="found no DICOM image among 0 files"):
        find_inputs([tmp_path / "empty"])


def test_other_modalities_are_refused_together_unless_asked_for(disc: Path) -> None:
    write_dicom(disc / "ct1.dcm", PIXELS, SOPClassUID=CTImageStorage, Modality="CT")
    write_dicom(disc / "ct2.dcm", PIXELS, Modality="CT")
    with pytest.raises(DataError, match="found 2 of 8 files unusable") as caught:
        find_inputs([disc])
    message = str(caught.value)
    assert "file 1 of 8: SOPClassUID: found CT Image Storage, expected a projection" in message
    assert "file 2 of 8: Modality: found CT, expected a projection radiograph" in message
    assert "--any-modality" in message
    assert "ct1" not in message
    found = find_inputs([disc], any_modality=True)
    assert found.contents["modality"] == {"DX": 4, "CT": 2}
    assert "2 images have another modality than radiographs have (CT 2)" in found.warnings


def test_lateral_views_and_other_body_parts_are_said(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", PIXELS, ViewPosition="LL", BodyPartExamined="CHEST")
    write_dicom(tmp_path / "b.dcm", PIXELS, ViewPosition="AP", BodyPartExamined="KNEE")
    assert find_inputs([tmp_path]).warnings == (
        "1 image is a lateral or oblique view (LL 1)",
        "1 image names another body part than the chest (KNEE 1)",
    )


def test_what_cannot_be_read_is_said_before_anything_is_written(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", PIXELS)
    (tmp_path / "b.dcm").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"^file 2 of 2: preamble: found no 'DICM'.*--name-files"):
        find_inputs([tmp_path])
    with pytest.raises(DataError, match=r"^b\.dcm: preamble: found no 'DICM' at byte 128"):
        find_inputs([tmp_path / "b.dcm"])
