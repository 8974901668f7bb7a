from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_store import drawn_store, write_store

from ptxcore.data.formats.rle_table import read_csv
from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom
from ptxcore.data.studies.fidelity_masks import masks_of_store
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


def test_a_source_is_needed_and_a_store_has_sizes_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "fidelity"]) == 2
    assert "expected --rle CSV, --store FOLDER or both" in capfd.readouterr().err
    assert main(["data", "fidelity", "--store", str(tmp_path), "--width", "64"]) == 2
    assert "found --height or --width beside --store" in capfd.readouterr().err


def test_a_table_and_a_store_measure_the_tables_masks_of_the_stores_images(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    phantom = write_phantom(tmp_path / "phantom", num_cases=5, size=64, prevalence=0.6, seed=0)
    import_cases(phantom.dicom, phantom.rle, tmp_path / "store")
    images = list(read_csv(phantom.rle))
    masks = tmp_path / "anew.csv"
    block = " ".join(["520 8", *["56 8"] * 7])  # 8 x 8 px
    masks.write_text(f"{images[0]},{block}\n{images[1]},-1\nelsewhere,1 2\n", encoding="utf-8")
    words = ["data", "fidelity", "--store", str(tmp_path / "store"), "--rle", str(masks)]
    assert main([*words, "--size", "16", "--json"]) == 0
    shown = capfd.readouterr()
    found = json.loads(shown.out)
    assert (found["num_cases"], found["num_positive"]) == (2, 1)
    assert found["quartile_edges_px"] == [64.0, 64.0, 64.0]  # of the table, not of the store
    assert (found["num_rows_unused"], found["num_cases_unused"]) == (1, 3)
    assert "2 images are in both; left out: 1 of anew.csv alone, 3 of" in shown.err
    masks.write_text("elsewhere,1 2\n", encoding="utf-8")
    assert main(words) == 2
    assert "found none of its 1 images among the 5 cases" in capfd.readouterr().err


def test_sizes_follow_the_masks_unless_given(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks.csv"
    masks.write_text("a,300 20\n", encoding="utf-8")
    words = ["data", "fidelity", "--rle", str(masks), "--height", "48", "--width", "64", "--json"]
    assert main(words) == 0
    assert list(json.loads(capfd.readouterr().out)["best"]) == ["32", "16", "8"]
    drawn_store(tmp_path / "store", num_cases=2, num_positive=1, side_px=96)
    words = ["data", "fidelity", "--store", str(tmp_path / "store"), "--json"]
    assert main(words) == 0
    assert list(json.loads(capfd.readouterr().out)["best"]) == ["48", "24", "12"]
    assert main([*words, "--size", "96"]) == 2
    assert "found a mask of 96 x 96 px, expected more than 96 px" in (err := capfd.readouterr().err)
    assert "give smaller sizes (--size)" in err


def test_the_smallest_image_of_a_store_decides_on_the_sizes(tmp_path: Path) -> None:
    masks = [np.ones((64, 40), dtype=np.bool_), np.ones((20, 30), dtype=np.bool_)]
    write_store(tmp_path / "store", [mask.astype(np.uint8) for mask in masks], masks)
    assert masks_of_store(tmp_path / "store").sizes == (15, 7, 3)


def test_a_bad_row_is_told_by_its_place_and_not_by_its_image(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "bad.csv"
    masks.write_text("ImageId,EncodedPixels\nDoe,1 2\n\nDoe,3 4 5\nRoe,-1\n", encoding="utf-8")
    assert main(["data", "fidelity", "--rle", str(masks)]) == 2
    shown = capfd.readouterr().err
    assert "bad.csv:4 (row 2 of 3): run-length encoding: found 3 numbers, expected pairs" in shown
    assert "Doe" not in shown
