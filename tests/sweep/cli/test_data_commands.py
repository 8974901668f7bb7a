"""`ptxsweep data import`, `info` and `check` say what a user should know before training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_dicom import rle_of, write_dicom
from tiny_store import drawn_store

from sweep.cli import main


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
