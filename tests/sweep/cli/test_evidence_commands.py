"""`promote`, `predict` and `report` on a finished sweep with real weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_dicom import write_dicom

from dashboards.report.export import find_browser
from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from sweep.analysis.selection_bias import PHANTOM
from sweep.cli import main
from sweep.ledger import Ledger
from sweep.storage.home import Home


def call(home: Home, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    """Exit code, parsed standard output (None if empty) and standard error of a command."""
    where = ["--home", home.folder, "--ledger", home.ledger_url, "--storage", home.storage]
    where += ["--tracking-uri", home.tracking_uri]
    capfd.readouterr()
    code = main([*words, *map(str, where), "--json"])
    shown = capfd.readouterr()
    return code, json.loads(shown.out) if shown.out else None, shown.err


def held_out_file(home: Home, folder: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """The case of the hold-out with the largest mask, as a DICOM file, and that mask."""
    plan = FoldPlan.load(home.sweep_folder("tiny") / "plan.json")
    ledger = Ledger.open(home.ledger_url, "tiny")
    store = CaseStore.open(Path(str(ledger.header.store)))
    ledger.close()
    index = max(map(store.index, plan.holdout), key=lambda one: store.cases[one].mask_px)
    return write_dicom(folder / "unseen.dcm", np.asarray(store.image(index))), store.mask(index)


def test_from_winner_to_masks(
    tiny_home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, promoted, _ = call(tiny_home, capfd, "promote", "tiny", "--max-loss", "1")
    assert code == 0
    model = "ptxsweep-phantom-average_precision"
    assert promoted["model_uri"] == f"models:/{model}@champion"
    assert promoted["confirmation"]["metrics"]["dice_all_empty"] < 1
    file, truth = held_out_file(tiny_home, tmp_path)
    out = tmp_path / "masks"
    words = (
        "predict",
        str(file),
        "--champion",
        "ptxsweep-phantom-average_precision",
        "--out",
        str(out),
        str(write_dicom(tmp_path / "blank.dcm", np.full((64, 64), 7, dtype=np.uint8), uid="1.2.9")),
    )
    code, predicted, said = call(tiny_home, capfd, *words)
    assert code == 0
    assert (predicted["phantom"], predicted["positives_alone"]) == (True, False)
    assert predicted["caution"] == PHANTOM.text
    assert f"caution: {PHANTOM.text}" in said
    one, blank = predicted["predictions"]
    assert (one["has_contrast"], blank["has_contrast"]) == (True, False)
    assert predicted["contents"]["modality"] == {"DX": 2}
    assert not any(predicted["skipped"].values())
    probability = np.asarray(Image.open(one["probability"]))
    mask = np.asarray(Image.open(one["mask"]))
    assert probability.dtype == np.uint16
    assert probability.shape == mask.shape == truth.shape
    assert set(np.unique(mask)) <= {0, 255}
    assert one["mask_px"] == np.count_nonzero(mask)
    assert one["highest"] == pytest.approx(probability.max() / 65_535, abs=1e-4)
    told = predicted["case_detection"]
    assert told["trial"] == promoted["trial"]
    assert 0.5 < told["area"][0] <= 1
    assert [row["asked"] for row in told["called"]] == [0.9, 0.95, 0.99]
    assert 0 < blank["case"]["probability"] < one["case"]["probability"] < 1
    assert list(one["case"]["called"]) == ["0.90", "0.95", "0.99"]
    assert not any(blank["case"]["called"].values())
    overlap = np.count_nonzero(truth & (mask > 0))
    assert 2 * overlap / (truth.sum() + one["mask_px"]) > 0.5
    assert sorted(path.name for path in out.iterdir()) == [
        "blank.mask.png",
        "blank.probability.png",
        "unseen.mask.png",
        "unseen.probability.png",
    ]
    assert main([*words, "--home", str(tiny_home.folder)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith(f"{file}: {one['mask_px']} px")
    assert lines[1].startswith(f"{blank['source']}: no contrast in the picture, so nothing can be")
    code, published, _ = call(tiny_home, capfd, "report", "tiny")
    assert code == 0
    assert published["is_logged"]
    assert published["has_pictures"]
    page = Path(published["path"]).read_text(encoding="utf-8")
    assert "old-out" in page
    assert "Cases called ill" in page
    figures = {file.stem for file in tiny_home.artifacts.rglob("figures/*.png")}
    assert len(figures) == published["num_figures_logged"]
    assert (find_browser() is not None) == ("leaderboard" in figures)


def test_a_refusal_is_exit_code_3_with_its_reasons(
    tiny_home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    code, printed, said = call(tiny_home, capfd, "promote", "tiny", "--min-gain", "0.99")
    assert code == 3
    assert printed["promoted"] is False
    assert printed["reasons"][0].startswith("dice above the all-empty baseline: found")
    failed = [one["name"] for one in printed["verdict"]["checks"] if not one["passed"]]
    assert failed == ["dice above the all-empty baseline"]
    assert printed["confirmation"]["use"] == 1
    assert "error: not promoted: dice above the all-empty baseline: found" in said
    where = ["--home", str(tiny_home.folder)]
    assert main(["promote", "tiny", "--min-gain", "0.99", *where]) == 3
    first, second, *_ = capfd.readouterr().out.splitlines()
    assert re.search(r"hold-out \(phantom\): 14 cases, 7 positive; Dice 0\.\d+ \(95% interv", first)
    assert re.search(r"Dice over positive cases .* interval .*; masks are the pixels at or", second)
    code, _, said = call(tiny_home, capfd, "promote", "tiny", "--force")
    assert code == 2
    assert "found no reason, expected --force together with --reason" in said
    code, _, said = call(
        tiny_home, capfd, "promote", "tiny", "--rollback", "--force", "--min-gain", "0"
    )
    assert code == 2
    assert "opens no hold-out: found --min-gain, --force beside it, expected --model-name" in said


def test_a_model_that_is_not_there_is_bad_input(
    tiny_home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, _ = held_out_file(tiny_home, tmp_path)
    words = ("predict", str(file), "--champion", "nobody", "--out", str(tmp_path / "masks"))
    code, printed, said = call(tiny_home, capfd, *words)
    assert code == 2
    assert printed is None
    assert "models:/nobody@champion" in said
    assert not (tmp_path / "masks").exists()


def test_two_files_of_one_name_are_refused(
    tiny_home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name / "same.dcm" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(b"")
    words = ("predict", *map(str, files), "--champion", "any", "--out", str(tmp_path / "masks"))
    code, _, said = call(tiny_home, capfd, *words)
    assert code == 2
    assert "would be written to one name" in said


def test_a_report_without_its_store_says_what_it_lacks(
    tiny_home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for fold in (tiny_home.sweep_folder("tiny") / "trials" / "0001").glob("fold-*/attempt-1"):
        (fold / "best").rename(fold / "gone")
    path = tmp_path / "report.html"
    code, published, _ = call(tiny_home, capfd, "report", "tiny", "--out", str(path))
    assert code == 0
    assert published["path"] == str(path)
    assert not published["has_pictures"]
    assert published["notes"] == ["no pictures: the tables or weights of trial 1 are gone"]


def test_compare_names_conventions(tiny_home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = call(tiny_home, capfd, "compare", "tiny")
    assert code == 0
    metrics = [one["metric"] for one in printed["comparisons"]]
    assert {"dice", "dice_positive"} <= set(metrics)
    assert "both empty = 1" in printed["conventions"]["dice"]
    assert printed["comparisons"][0]["trials"][0]["difference"] is None
    code, _, said = call(tiny_home, capfd, "compare", "tiny", "--metric", "dise")
    assert code == 2
    assert "found 'dise'" in said
