"""Folders as hospitals send them: other objects and other modalities among the radiographs, a disc.

The other files are those that pydicom ships for its own tests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from tiny_dicom import DicomSet

from ptxcore.data.store.case_store import CaseStore
from sweep.cli import main
from sweep.storage.inputs import find_inputs

_OBJECTS = ("reportsi.dcm", "rtplan.dcm", "rtdose.dcm", "test-SR.dcm", "liver_1frame.dcm")
_MODALITIES = ("CT_small.dcm", "MR_small.dcm", "examples_palette.dcm", "examples_ybr_color.dcm")

Import = Callable[..., tuple[int, str]]


@pytest.fixture
def data_import(
    dicom_set: DicomSet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`data import` of a folder into `store`, with its exit code and all that it said."""

    def run(folder: Path, *options: str) -> tuple[int, str]:
        words = ["--dicom", str(folder), "--rle", str(dicom_set.rle), *options]
        code = main(["data", "import", *words, "--store", str(tmp_path / "store")])
        printed = capfd.readouterr()
        return code, printed.out + printed.err

    return run


def _add(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        found = get_testdata_file(name, download=False)
        assert found is not None
        shutil.copy(str(found), folder / name)


def test_other_objects(dicom_set: DicomSet, data_import: Import, tmp_path: Path) -> None:
    _add(dicom_set.dicom, _OBJECTS)
    (dicom_set.dicom / "report.pdf").write_bytes(b"%PDF-1.4")
    code, said = data_import(dicom_set.dicom, "--unannotated", "negative")
    assert code == 0, said
    assert "12 cases" in said
    assert "warning: 6 files are no images and were skipped" in said
    assert len(CaseStore.open(tmp_path / "store").cases) == 12


def test_other_modalities(dicom_set: DicomSet, data_import: Import, tmp_path: Path) -> None:
    _add(dicom_set.dicom, _MODALITIES)
    code, said = data_import(dicom_set.dicom, "--unannotated", "negative")
    assert code == 2
    assert "found 4 of 16 files unusable" in said
    assert said.count("leave it out (--skip-other-modalities does)") == 4
    assert not (tmp_path / "store").exists()
    code, said = data_import(
        dicom_set.dicom, "--unannotated", "negative", "--skip-other-modalities"
    )
    assert code == 0, said
    assert "warning: 4 images are no projection radiographs and were left out" in said
    assert CaseStore.open(tmp_path / "store").contents["modality"] == {"DX": 12}


def test_a_disc_that_was_copied_on_linux(
    dicom_set: DicomSet,
    data_import: Import,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "disc"
    for number, path in enumerate(sorted(dicom_set.dicom.rglob("*.dcm"))):
        place = folder / f"pt{number:06}" / "st000000" / "se000000"
        place.mkdir(parents=True)
        path.rename(place / "im000000")
    _add(folder, ("DICOMDIR",))
    (folder / "DICOMDIR").rename(folder / "dicomdir")
    code, said = data_import(folder / "dicomdir")
    assert code == 0, said
    assert "12 cases" in said
    main(["data", "info", str(tmp_path / "store"), "--json"])
    assert json.loads(capfd.readouterr().out)["num_cases"] == 12
    # In every folder there is an image of the same name.
    found = find_inputs([folder])
    assert {file.name for file in found.files} == {"im000000"}
    assert len({*found.names.values()}) == 12
