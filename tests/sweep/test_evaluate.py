"""The external test: models and masks of others on a labelled store."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny_dicom import DicomSet, rle_of
from tiny_store import drawn_store, write_store

from ptxcore.data.importing.run import import_cases
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import DataError, MaskError
from ptxcore.export.dicom_seg import SEG_TYPES, make_seg
from ptxcore.export.source_image import Maker, SourceImage, read_source
from sweep.analysis.intervals import TOO_FEW
from sweep.cli import main
from sweep.errors import UsageError
from sweep.evaluate import SEEN, UNKNOWN, UNSEEN, evaluate_masks, evaluate_model
from sweep.ledger import Ledger
from sweep.promotion.gate import Gate
from sweep.promotion.promote import promote
from sweep.storage.home import Home

MODEL = "models:/ptxsweep-phantom-average_precision@champion"


@pytest.fixture
def labelled(dicom_set: DicomSet, tmp_path: Path) -> CaseStore:
    return CaseStore.open(import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store").store)


def files_of(source: DicomSet) -> list[Path]:
    return sorted(source.dicom.rglob("*.dcm"))


def write_pngs(folder: Path, source: DicomSet, masks: list[NDArray[np.bool_]]) -> Path:
    folder.mkdir()
    for uid, mask in zip(source.uids, masks, strict=True):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{uid}.mask.png")
    return folder


def test_masks_by_hand(dicom_set: DicomSet, labelled: CaseStore, tmp_path: Path) -> None:
    truth = list(dicom_set.masks)
    positive = [number for number, mask in enumerate(truth) if mask.any()]
    negative = [number for number, mask in enumerate(truth) if not mask.any()]
    guesses = [mask.copy() for mask in truth]
    guesses[positive[0]][:] = False  # a miss
    guesses[negative[0]][0, 0] = True  # a false alarm of one pixel
    found = evaluate_masks(write_pngs(tmp_path / "masks", dicom_set, guesses), labelled)
    assert (found.num_cases, found.num_positive) == (12, 5)
    assert found.metrics["dice"] == pytest.approx(10 / 12)
    assert found.metrics["dice_positive"] == pytest.approx(4 / 5)
    assert found.metrics["dice_all_empty"] == pytest.approx(7 / 12)
    assert found.metrics["case_sensitivity"] == pytest.approx(4 / 5)
    assert found.metrics["case_specificity"] == pytest.approx(6 / 7)
    assert found.num_positive_groups == 3
    assert found.span("case_sensitivity", ".4f") == TOO_FEW
    assert not {"average_precision", "calibration_error"} & set(found.metrics)
    assert found.rule is None
    by_case = {row["case_id"]: row for row in found.cases}
    assert sorted(row["dice"] for row in by_case.values())[:2] == [0.0, 0.0]
    assert sum(row["true_px"] for row in by_case.values()) == sum(mask.sum() for mask in truth)


@pytest.mark.parametrize("kind", ["png", "stem.png", "csv", *SEG_TYPES])
def test_every_kind_of_mask_gives_the_same(
    kind: str, dicom_set: DicomSet, labelled: CaseStore, tmp_path: Path
) -> None:
    masks = [np.roll(mask, 2, axis=1) for mask in dicom_set.masks]
    folder = write_pngs(tmp_path / "png", dicom_set, masks)
    expected = evaluate_masks(folder, labelled)
    assert 0 < expected.metrics["dice_positive"] < 1
    if kind == "stem.png":
        for path in list(folder.iterdir()):
            path.rename(folder / path.name.replace(".mask", ""))
    elif kind == "csv":
        folder = tmp_path / "masks.csv"
        rows = [("ImageId", "EncodedPixels")]
        rows += [(uid, rle_of(mask)) for uid, mask in zip(dicom_set.uids, masks, strict=True)]
        with folder.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    elif kind in SEG_TYPES:
        folder = tmp_path / "seg"
        folder.mkdir()
        maker = Maker(model="other", version="1", software="1")
        by_uid = dict(zip(dicom_set.uids, masks, strict=True))
        for number, file in enumerate(files_of(dicom_set)):
            source = with_study(file)
            mask = by_uid[source.uid]
            seg = make_seg(source, mask * 0.9, mask, maker=maker, seg_type=kind)
            seg.save_as(folder / f"{number}.dcm")
    found = evaluate_masks(folder, labelled)
    assert dict(found.metrics) == pytest.approx(dict(expected.metrics), nan_ok=True)
    assert found.cases == expected.cases


def with_study(file: Path) -> SourceImage:
    dataset = pydicom.dcmread(file)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    dataset.save_as(file)
    return read_source(file)


def test_what_is_missing_or_of_another_size_is_refused(
    dicom_set: DicomSet, labelled: CaseStore, tmp_path: Path
) -> None:
    folder = write_pngs(tmp_path / "masks", dicom_set, list(dicom_set.masks))
    (folder / f"{dicom_set.uids[0]}.mask.png").unlink()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "elsewhere.png")
    with pytest.raises(UsageError, match="1 of the 12 cases have no mask in masks, expected one"):
        evaluate_masks(folder, labelled)
    found = evaluate_masks(folder, labelled, missing_as_empty=True)
    assert (found.num_missing, found.num_unknown) == (1, 1)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / f"{dicom_set.uids[0]}.mask.png")
    with pytest.raises(MaskError, match="found a mask of 4 x 4 px, expected 32 x 48 as the image"):
        evaluate_masks(folder, labelled)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / f"{dicom_set.uids[0]}.png")
    with pytest.raises(DataError, match=r"found two or more of 1 case\(s\)"):
        evaluate_masks(folder, labelled)
    with pytest.raises(DataError, match=r"masks: found the file .*\.png, expected a folder of"):
        evaluate_masks(folder / f"{dicom_set.uids[1]}.mask.png", labelled)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="masks: found 0, none of them of a case of the store"):
        evaluate_masks(tmp_path / "empty", labelled)


def test_a_segmentation_without_a_pneumothorax_is_refused(
    dicom_set: DicomSet, labelled: CaseStore, tmp_path: Path
) -> None:
    file = files_of(dicom_set)[0]
    source, shape = with_study(file), dicom_set.masks[0].shape
    mask = np.zeros(shape, bool)
    maker = Maker(model="other", version="1", software="1")
    seg = make_seg(source, mask * 1.0, mask, maker=maker)
    lungs = [seg.SegmentSequence[0], seg.SegmentSequence[0]]
    for segment in lungs:
        segment.SegmentLabel = "Lung"
        segment.SegmentedPropertyTypeCodeSequence[0].CodeValue = "39607008"
    seg.SegmentSequence = lungs
    (tmp_path / "seg").mkdir()
    seg.save_as(tmp_path / "seg" / "1.dcm")
    said = r"^the mask of case \w{16}: found 2 segments, 0 of them a pneumothorax by code or"
    with pytest.raises(MaskError, match=said):
        evaluate_masks(tmp_path / "seg", labelled, missing_as_empty=True)


@pytest.fixture
def unseen(tmp_path: Path) -> CaseStore:
    return drawn_store(
        tmp_path / "unseen", num_cases=20, num_positive=10, side_px=32, seed=77, first=1000
    )


def test_a_model_keeps_its_rule(
    tiny_home: Home, unseen: CaseStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    promotion = promote(tiny_home, "tiny", gate=Gate(max_loss=1.0))
    found = evaluate_model(tiny_home, MODEL, unseen)
    assert (found.seen, found.rule) == (UNSEEN, promotion.confirmation.rule)
    assert found.num_cases == 20
    assert found.metrics["dice"] > found.metrics["dice_all_empty"] == 0.5
    low, high = found.intervals["dice"]
    assert low < found.metrics["dice"] < high
    assert found.metrics["dice"] == pytest.approx(np.mean([row["dice"] for row in found.cases]))

    words = ["evaluate", MODEL, "--store", str(unseen.folder), "--home", str(tiny_home.folder)]
    table = tmp_path / "cases.csv"
    capfd.readouterr()
    assert main([*words, "--json", "--cases", str(table)]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["metrics"]["dice"] == pytest.approx(found.metrics["dice"])
    assert "both empty = 1" in printed["conventions"]["dice"]
    assert "drawn by a program" in printed["caution"]
    assert len(table.read_text(encoding="utf-8").splitlines()) == 21
    assert main(words) == 0
    shown = capfd.readouterr().out
    assert f"Dice {found.metrics['dice']:.4f} (95% interval" in shown
    assert "predicting nothing 0.5000" in shown


def test_cases_that_the_models_sweep_had_are_refused(
    tiny_home: Home, unseen: CaseStore, tmp_path: Path
) -> None:
    promote(tiny_home, "tiny", gate=Gate(max_loss=1.0))
    ledger = Ledger.open(tiny_home.ledger_url, "tiny")
    own = CaseStore.open(Path(str(ledger.header.store)))
    ledger.close()
    with pytest.raises(UsageError, match=r"evaluate: 48 of the 48 cases took part in the sweep"):
        evaluate_model(tiny_home, MODEL, own)
    assert evaluate_model(tiny_home, MODEL, own, allow_seen=True).seen == SEEN
    some = drawn_store(tmp_path / "some", num_cases=20, num_positive=10, side_px=32, first=40)
    with pytest.raises(UsageError, match=r"evaluate: 8 of the 20 cases took part in the sweep"):
        evaluate_model(tiny_home, MODEL, some)
    # Imported anew under another key, the same pictures have other ids.
    indexes = range(len(own))
    masks = [own.mask(index) for index in indexes]
    twin = write_store(tmp_path / "twin", [own.image(i) for i in indexes], masks, first=5000)
    for store in (twin, unseen):
        store.manifest["id_key"] = "another"
    with pytest.raises(UsageError, match=r"evaluate: 48 of the 48 cases took part in the sweep"):
        evaluate_model(tiny_home, MODEL, twin)
    assert evaluate_model(tiny_home, MODEL, unseen).seen == UNKNOWN
    (tiny_home.sweep_folder("tiny") / "plan.json").unlink()  # as on another machine
    assert evaluate_model(tiny_home, MODEL, unseen).seen == UNKNOWN
    with pytest.raises(UsageError, match=r"evaluate: 48 of the 48 cases took part in the sweep"):
        evaluate_model(tiny_home, MODEL, own)
