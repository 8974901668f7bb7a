"""`ptxsweep data preview`: a PNG from a space and a store, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tiny_store import drawn_store

from sweep.cli import main
from sweep.errors import SpaceError, UsageError
from sweep.preview import write_preview


def test_a_sheet_of_a_shipped_space(tmp_path: Path) -> None:
    drawn_store(tmp_path / "store", num_cases=5, num_positive=2)
    out = tmp_path / "new" / "sheet.png"
    fixed = {"image_size": 64, "patch_size": 32, "grid_distortion_px": 2.0}
    found = write_preview(tmp_path / "store", "demo", fixed, out, seed=0, num_cases=3, num_draws=1)
    assert "grid_distortion_px 2.0" in found.captions[0]
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert sheet.info == {}
    assert [path.name for path in out.parent.iterdir()] == ["sheet.png"]


def test_without_a_space_it_is_that_of_the_platform(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    drawn_store(tmp_path / "store", num_cases=2, num_positive=1)
    out = tmp_path / "sheet.png"
    words = ["data", "preview", str(tmp_path / "store"), "--out", str(out), "--cases", "1"]
    assert main([*words, "--draws", "1", "--set", "patch_size=256"]) == 0
    assert "image_size 1024, resampling lanczos, patch_size 256" in capfd.readouterr().out
    assert out.is_file()


def test_refusals(tmp_path: Path) -> None:
    options = {"seed": 0, "num_cases": 1, "num_draws": 1}
    with pytest.raises(UsageError, match=r"--out: found 'sheet.jpg', expected a name that ends"):
        write_preview(tmp_path, "demo", {}, tmp_path / "sheet.jpg", **options)
    with pytest.raises(SpaceError, match="grid_distortion"):
        write_preview(tmp_path, "demo", {"grid_distorsion_px": 1}, tmp_path / "a.png", **options)
