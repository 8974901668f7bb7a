"""`ptxsweep data import`, `info` and `check` say what a user should know before training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_dicom import rle_of, write_dicom, write_set
from tiny_store import drawn_store

from ptxcore.data.store.case_store import CaseStore
from sweep.cli import main
from sweep.cli._common import counter


def call(capfd: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_inverted_masks_and_knees_are_said_by_each_of_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dicom").mkdir()
    mask = np.ones((16, 16), dtype=np.bool_)
    mask[3:5, 3:5] = False
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for number, part in enumerate(("CHEST", "KNEE")):
        path = tmp_path / "dicom" / f"{number}.dcm"
        write_dicom(path, pixels, uid=f"1.2.{number}", BodyPartExamined=part)
    table, store = tmp_path / "masks.csv", tmp_path / "store"
    table.write_text(f"1.2.0,{rle_of(mask)}\n1.2.1,{rle_of(mask)}\n")
    words = ("data", "import", "--dicom", tmp_path / "dicom", "--rle", table, "--store", store)
    assert main([*map(str, words)]) == 0
    printed = capfd.readouterr()
    assert "modality DX 2; view unknown 2; body part CHEST 1, KNEE 1" in printed.out
    assert "warning: 2 of 2 masks cover more than half of their image" in printed.err
    for command in ("info", "check"):
        inverted, knee = call(capfd, "data", command, store)["warnings"]
        assert inverted.startswith("2 of 2 masks cover more than half of their image")
        assert knee == "1 image names another body part than the chest (KNEE 1)"
    facts = call(capfd, "data", "info", store)
    assert facts["modalities"] == {"DX": 2}
    assert facts["body_parts"] == {"CHEST": 1, "KNEE": 1}


def test_options_of_tables_and_a_sheet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = write_set(tmp_path, num_cases=4, num_positive=2, shape=(24, 32))
    sheet, store, key = tmp_path / "sheet.png", tmp_path / "store", tmp_path / "new" / "a.key"
    words = [*map(str, ("data", "import", "--dicom", files.dicom, "--store", store))]
    table = ["--rle", str(files.rle)]
    for wrong in ("0x5", "512x", "a", "1x2x3", "20000"):
        assert main([*words, *table, "--rle-size", wrong]) == 2
        assert "expected a side such as 512, or HEIGHTxWIDTH" in capfd.readouterr().err
    assert main([*words, "--rle-order", "row", "--masks", str(tmp_path)]) == 2
    assert "speak of a table: give --rle FILE" in capfd.readouterr().err
    assert main([*words, *table, "--preview", "sheet.jpg"]) == 2
    assert "expected a name that ends in .png" in capfd.readouterr().err
    more = ["--rle-size", "24x32", "--rle-starts", "relative", "--key", str(key)]
    assert main([*words, *table, *more, "--preview", str(sheet)]) == 0
    printed = capfd.readouterr().out
    assert "relative gaps, down columns, from 0, on a grid of 24 x 32 px" in printed
    assert "object secondary capture 4; image type unknown 4; laterality unknown 4" in printed
    assert "pixel size: PixelSpacing, which does not say where it was measured: 4" in printed
    assert f"case ids: by the key in {key}, which other imports need too" in printed
    assert "4 cases with the outlines of the masks" in printed
    with Image.open(sheet) as picture:
        assert (picture.format, picture.info) == ("PNG", {})
    assert call(capfd, "data", "info", store)["id_key"] == CaseStore.open(store).id_key


def test_a_store_made_before_pictures_were_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    drawn_store(tmp_path / "store", num_cases=3, num_positive=1)
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    manifest.pop("contents", None)
    (tmp_path / "store" / "manifest.json").write_text(json.dumps(manifest))
    facts = call(capfd, "data", "info", tmp_path / "store")
    assert facts["modalities"] == facts["body_parts"] == {"unknown": 3}
    assert facts["warnings"] == []


def test_a_file_is_found_as_a_case_and_a_case_as_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = write_set(tmp_path, num_cases=6, num_positive=2)
    store = tmp_path / "store"
    call(capfd, "data", "import", "--dicom", files.dicom, "--rle", files.rle, "--store", store)
    paths = sorted(files.dicom.rglob("*.dcm"))
    ill = next(path for path in paths if path.stem == files.uids[0])
    (found,) = call(capfd, "data", "which", ill, "--store", store)["files"]
    assert found["case"]["mask_px"] == files.masks[0].sum()
    (back,) = call(
        capfd, "data", "which", files.dicom, "--store", store, "--case", found["case_id"]
    )["files"]
    assert back["path"] == str(ill)
    # Of the same file under another id no store knows.
    other = write_dicom(tmp_path / "other.dcm", files.images[0], uid="1.2.99")
    assert main(["data", "which", str(files.dicom), str(other), "--store", str(store)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[-1].endswith("not in this store")
    assert sum(", mask of " in line for line in lines) == 2
    assert main(["data", "which", str(files.rle), "--store", str(store)]) == 2
    assert "masks.csv" in capfd.readouterr().err
    words = ["data", "which", str(other), "--store", str(store), "--case", "0" * 16]
    assert main(words) == 2
    assert "expected the id of a case of the store" in capfd.readouterr().err


def test_progress_says_how_fast_and_how_long(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 5.0, 10.0, 20.0])
    monkeypatch.setattr("sweep.cli._common.time.monotonic", lambda: next(now))
    told = counter("scored")
    for done in (0, 20, 40, 100):
        told(done, 100)
    assert capfd.readouterr().err.splitlines() == [
        "scored 20 of 100, 4 a second, about 20 s left",
        "scored 40 of 100, 4 a second, about 15 s left",
        "scored 100 of 100",
    ]


def test_progress_begins_again(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One callback counts what is done for two models in turn."""
    now = iter([0.0, 2.0, 4.0, 8.0, 10.0])
    monkeypatch.setattr("sweep.cli._common.time.monotonic", lambda: next(now))
    told = counter("compared", quiet_seconds=3.0)
    for done in (1, 10, 1, 5, 10):  # the first is done before there is anything to say
        told(done, 10)
    assert capfd.readouterr().err.splitlines() == [
        "compared 5 of 10, 1 a second, about 5 s left",
        "compared 10 of 10",
    ]
