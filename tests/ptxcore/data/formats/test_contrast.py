from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny_dicom import write_dicom

from ptxcore.data.formats.contrast import doubts_about_contrast, has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.importing.run import import_cases
from ptxcore.data.store.case_store import CaseStore
from sweep.cli import main

_ROWS, _COLUMNS = np.mgrid[0:64, 0:64]
#: Of 12 bits, with a border of 0 as a collimator leaves it.
PICTURE = np.round(2000 + 1800 * np.sin(_COLUMNS / 9) * np.cos(_ROWS / 7)).astype(np.uint16)
PICTURE[:, :9] = 0
NOTHING: dict[str, dict[str, Any]] = {
    "window beside": {"WindowCenter": 90_000, "WindowWidth": 80},
    "window that sees the border alone": {"WindowCenter": 40, "WindowWidth": 80},
    "slope": {"RescaleSlope": 0, "RescaleIntercept": 5},
    "padding": {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095},
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("why", NOTHING)
def test_what_a_header_leaves_no_picture_of(why: str, photometric: str, tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        PICTURE,
        BitsStored=12,
        PhotometricInterpretation=photometric,
        **NOTHING[why],
    )
    assert not has_contrast(read_dicom(path).pixels)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((5, 5), 77, dtype=np.uint8), False),
        (np.full((2000, 3000), 0.5), False),
        (np.zeros((1, 1), dtype=np.uint16), False),
        ((PICTURE > 2000).astype(np.uint8) * 255, False),
        (PICTURE, True),
        (PICTURE / 4096, True),
        (np.kron(PICTURE, np.ones((30, 30), dtype=np.uint16)), True),
        (np.where(_ROWS < 60, 0, PICTURE), True),
        (np.where(_ROWS % 16 == 0, 0, PICTURE), True),
        (np.where(_ROWS % 16 == 0, PICTURE, 0), True),
    ],
)
def test_contrast_is_more_than_two_values(pixels: NDArray[Any], expected: bool) -> None:
    assert has_contrast(pixels) is expected


def test_an_import_counts_and_lists_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = ["ImageId,EncodedPixels"]
    for number, elements in enumerate([{}, *NOTHING.values()]):
        uid = f"1.2.{number}"
        path = tmp_path / "dicom" / f"{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        write_dicom(path, PICTURE, uid=uid, PatientID=uid, BitsStored=12, **elements)
        table.append(f"{uid},{'-1' if number else '100 9'}")
    rle = tmp_path / "rle.csv"
    rle.write_text("\n".join(table))
    report = import_cases(tmp_path / "dicom", rle, tmp_path / "store")
    assert report.num_without_contrast == 4
    labels = {f"file {number} of 5" for number in (2, 3, 4, 5)}
    (warning,) = (text for text in report.warnings if "contrast" in text)
    assert warning.startswith("4 images have no contrast (")
    assert set(warning.partition("(")[2].partition(")")[0].split(", ")) == labels
    for command in ("info", "check"):
        capfd.readouterr()
        assert main(["data", command, str(tmp_path / "store"), "--json"]) == 0
        warnings = json.loads(capfd.readouterr().out)["warnings"]
        assert any(text.startswith("4 images have no contrast: ") for text in warnings)


def test_a_store_from_before_is_looked_at_by_check(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for folder, pixels in (("images", PICTURE * 0 + 7), ("masks", PICTURE * 0)):
        (tmp_path / "png" / folder).mkdir(parents=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "png" / folder / "a.png")
    report = import_cases(tmp_path / "png", None, tmp_path / "store")
    assert report.num_without_contrast == 1
    manifest = tmp_path / "store" / "manifest.json"
    facts = json.loads(manifest.read_text())
    del facts["num_without_contrast"]
    manifest.write_text(json.dumps(facts))
    assert len(CaseStore.open(tmp_path / "store")) == 1
    assert main(["data", "info", str(tmp_path / "store")]) == 0
    assert "contrast" not in capfd.readouterr().err
    assert main(["data", "check", str(tmp_path / "store")]) == 0
    assert "warning: 1 image has no contrast: nearly all" in capfd.readouterr().err


def test_few_are_listed() -> None:
    (text,) = doubts_about_contrast(7, [f"file {number} of 9" for number in range(1, 8)])
    assert "file 5 of 9, ...)" in text
    assert list(doubts_about_contrast(0)) == []
