"""`predict --format`: what is asked for is written, and nothing else."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_headers import dciodvfy_errors
from PIL import Image
from tiny_dicom import write_dicom

from ptxcore.data.formats.rle import decode
from sweep.cli import main
from sweep.promotion.gate import Gate
from sweep.promotion.promote import promote
from sweep.segment import predict_files
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"
_STUDY = {"StudyInstanceUID": "1.2.3.1", "SeriesInstanceUID": "1.2.3.2", "PatientName": "Doe^Jane"}


@pytest.fixture
def champion(tiny_home: Home) -> Home:
    promote(tiny_home, "tiny", gate=Gate(max_loss=1.0))
    return tiny_home


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> list[Path]:
    return [
        write_dicom(
            tmp_path / f"{name}.dcm",
            rng.integers(0, 255, (64, 48), dtype=np.uint8),
            uid=f"1.2.3.{number}",
            PixelSpacing=[0.2, 0.2],
            **_STUDY,
        )
        for number, name in enumerate(("first", "second"), 10)
    ]


def test_each_format_holds_the_same_mask(champion: Home, files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = ("png", "probability", "rle", "sr")  # which brings the segmentation
    uri = f"models:/{MODEL}@champion"
    found = predict_files(champion, uri, files, out, formats=formats)
    names = sorted(path.name for path in out.iterdir())
    endings = ("mask.png", "probability.png", "seg.dcm", "sr.dcm")
    assert names == sorted(
        ["masks.csv", *(f"{file.stem}.{word}" for file in files for word in endings)]
    )
    with (out / "masks.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["ImageId", "EncodedPixels"]
    for prediction, (name, encoding) in zip(found, rows, strict=True):
        assert name == prediction.source.stem
        assert prediction.mask
        assert prediction.seg
        assert prediction.sr
        mask = np.asarray(Image.open(prediction.mask)) > 0
        assert mask.sum() == prediction.mask_px
        np.testing.assert_array_equal(decode([encoding], *mask.shape), mask)
        np.testing.assert_array_equal(pydicom.dcmread(prediction.seg).pixel_array, mask)
        segment = pydicom.dcmread(prediction.seg).SegmentSequence[0]
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (MODEL, "1")
        (group,) = highdicom.sr.srread(prediction.sr).content.get_planar_roi_measurement_groups()
        assert group.get_measurements()[0].value == pytest.approx(prediction.mask_px * 0.04)
        for path in (prediction.seg, prediction.sr):
            assert dciodvfy_errors(path) <= dciodvfy_errors(prediction.source)


def test_what_was_not_asked_for_is_not_written(
    champion: Home, files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["predict", *map(str, files), "--champion", MODEL, "--out", str(out)]
    where = ["--home", str(champion.folder)]
    assert main([*words, *where, "--format", "seg", "--seg-type", "fractional"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["first.seg.dcm", "second.seg.dcm"]
    assert pydicom.dcmread(out / "first.seg.dcm").SegmentationType == "FRACTIONAL"
    shown = capfd.readouterr()
    assert f"-> {out / 'first.seg.dcm'}" in shown.out
    assert "Doe" not in shown.out + shown.err


def test_bad_words_and_images_without_ids_are_refused_before_anything_is_written(
    champion: Home, files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    bare = write_dicom(tmp_path / "bare.dcm", np.zeros((64, 64), dtype=np.uint8), uid="1.2.9")
    words = ["predict", *map(str, files), str(bare), "--champion", MODEL, "--out", str(out)]
    where = ["--home", str(champion.folder)]
    assert main([*words, *where, "--format", "png,nifti"]) == 2
    assert "--format: found nifti, expected some of png, probability" in capfd.readouterr().err
    assert main([*words, *where, "--format", "png,seg"]) == 2
    said = capfd.readouterr().err
    assert "bare.dcm: StudyInstanceUID: found none, expected one, to which a segment" in said
    assert not out.exists()


def test_a_bad_file_does_not_end_the_others(
    champion: Home, files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "all", tmp_path / "out"
    folder.mkdir()
    for file in files:
        file.rename(folder / file.name)
    cut = write_dicom(folder / "cut.dcm", np.zeros((64, 64), dtype=np.uint8), uid="1.2.9")
    cut.write_bytes(cut.read_bytes()[:-900])
    (folder / "none.dcm").write_bytes(b"no image")
    words = ["predict", str(folder), "--champion", MODEL, "--out", str(out)]
    assert main([*words, "--home", str(champion.folder), "--json"]) == 6
    said = capfd.readouterr()
    facts = json.loads(said.out)
    assert [Path(one["source"]).name for one in facts["predictions"]] == ["first.dcm", "second.dcm"]
    assert [text.partition(":")[0] for text in facts["problems"]] == ["file 3 of 4", "file 1 of 4"]
    assert "error: 2 of 4 files were not segmented:\n  file 3 of 4: preamble: found no" in said.err
    assert sorted(path.name for path in out.glob("*.mask.png")) == [
        "first.mask.png",
        "second.mask.png",
    ]
    archive = shutil.make_archive(str(tmp_path / "disc"), "zip", folder)
    words[1:2] = [archive]
    assert main([*words, "--home", str(champion.folder), "--json"]) == 6
    sources = [one["source"] for one in json.loads(capfd.readouterr().out)["predictions"]]
    assert sources == [f"{archive}/first.dcm", f"{archive}/second.dcm"]
    assert main(["predict", str(cut), *words[2:], "--home", str(champion.folder)]) == 2
    assert "error: cut.dcm: PixelData: cannot be decoded" in capfd.readouterr().err
