from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweep.cli import main


def test_table_figure_and_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    masks = tmp_path / "masks.csv"
    rows = " ".join(["300 20", *["44 20"] * 19])  # 20 x 20 px on a grid of 64
    masks.write_text(f"ImageId,EncodedPixels\na,{rows}\nb,-1\n", encoding="utf-8")
    figure = tmp_path / "made" / "fidelity.html"
    words = ["data", "fidelity", "--rle", str(masks), "--height", "64", "--width", "64"]
    words += ["--size", "16", "--size", "32", "--figure", str(figure)]
    assert main(words) == 0
    shown = capfd.readouterr().out
    assert "2 cases, 1 with a mask" in shown
    assert "16 px: a perfect network reaches Dice" in shown
    assert "Dice of a perfect network" in figure.read_text(encoding="utf-8")
    assert main([*words, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert len(found["rows"]) == 2 * 7 * 2
    assert 0.8 < found["best"]["16"]["dice_positive"] <= 1
    assert found["best"]["16"]["dice"] == pytest.approx(
        (1 + found["best"]["16"]["dice_positive"]) / 2
    )


def test_exactly_one_source(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fidelity"]) == 2
    assert "give either --rle CSV or --store FOLDER" in capfd.readouterr().err
