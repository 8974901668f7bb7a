from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ptxcore.data.formats import rle, rle_table
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import draw, order_cases, write_phantom
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import DataError

SIZE = 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("phantom")
    write_phantom(target, num_cases=40, size=SIZE, prevalence=0.3, seed=5)
    return target


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_same_arguments_write_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = write_phantom(tmp_path / "again", num_cases=40, size=SIZE, prevalence=0.3, seed=5)
    assert _bytes(again.dicom.parent) == _bytes(folder)


def test_another_seed_gives_other_images_and_ids(folder: Path, tmp_path: Path) -> None:
    other = write_phantom(tmp_path / "other", num_cases=3, size=SIZE, prevalence=0.3, seed=6)
    assert not set(_bytes(other.dicom).values()) & set(_bytes(folder / "dicom").values())
    assert not set(rle_table.read_csv(other.rle)) & set(
        rle_table.read_csv(folder / "phantom-rle.csv")
    )


def test_every_file_says_phantom(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert "phantom" in path.name.lower()
            assert b"PHANTOM" in path.read_bytes() or path.suffix == ".csv"
    for path in sorted((folder / "dicom").glob("*.dcm")):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        assert dataset.PatientID.startswith("PHANTOM-")
        assert str(dataset.PatientName) == "PHANTOM"
        assert dataset.SeriesDescription == "phantom"
        assert dataset.SyntheticData == "YES"
        assert read_dicom(path).is_phantom


def test_files_are_valid_dicom(folder: Path) -> None:
    uids = []
    for path in sorted((folder / "dicom").glob("*.dcm")):
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
        assert dataset.SOPClassUID.name == "Computed Radiography Image Storage"
        assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            assert dataset[keyword].value.is_valid
            uids.append(dataset[keyword].value)
        assert len(dataset.PixelData) == SIZE * SIZE
        assert dataset.ViewPosition in ("AP", "PA")
    assert len(set(uids)) == len(uids) == 3 * 40


def test_files_hold_what_was_drawn(folder: Path) -> None:
    orders = order_cases(40, 0.3, 5)
    table = rle_table.read_csv(folder / "phantom-rle.csv")
    for order in orders[:12]:  # the sixth is stored as MONOCHROME1
        pixels, mask = draw(order, SIZE)
        read = read_dicom(folder / "dicom" / f"phantom-{order.index:05d}.dcm")
        np.testing.assert_array_equal(read.pixels, pixels)
        assert read.view == order.view
        np.testing.assert_array_equal(rle.decode(table[read.uid], SIZE, SIZE), mask)


def test_table_has_the_dialect_of_the_challenge(folder: Path) -> None:
    lines = (folder / "phantom-rle.csv").read_text().splitlines()
    assert lines[0] == "ImageId, EncodedPixels"
    assert all(line.split(",")[1].startswith(" ") for line in lines[1:])
    assert sum(line.endswith(", -1") for line in lines) == 28
    rows = Counter(line.split(",")[0] for line in lines[1:])
    assert len(rows) == 40
    assert max(rows.values()) == 2


def test_an_import_takes_it(folder: Path, tmp_path: Path) -> None:
    report = import_cases(folder / "dicom", folder / "phantom-rle.csv", tmp_path / "store")
    assert (report.num_cases, report.num_positive, report.num_excluded) == (40, 12, 0)
    assert report.phantom
    assert not report.warnings
    store = CaseStore.open(tmp_path / "store")
    assert store.phantom
    assert 20 <= len({case.group for case in store.cases}) <= 35
    assert {case.view for case in store.cases} == {"AP", "PA"}


def test_sizes_follow_the_real_distribution() -> None:
    # Stage-1 training set: median 0.82%, 5th to 95th percentile 0.13% to 4.4%.
    shares = np.array([order.share for order in order_cases(4000, 0.22, 1)])
    positive = shares[shares > 0]
    assert len(positive) == 880
    assert np.median(positive) == pytest.approx(0.008, rel=0.05)
    low, high = np.quantile(positive, [0.05, 0.95])
    assert low == pytest.approx(0.0013, rel=0.1)
    assert high == pytest.approx(0.044, rel=0.1)


def test_masks_have_the_ordered_size() -> None:
    for order in [order for order in order_cases(60, 0.4, 2) if order.share > 0]:
        mask = draw(order, SIZE)[1]
        # A cavity is finite, so the largest are cut.
        expected = max(4, round(order.share * SIZE**2))
        assert mask.sum() == expected or 0.04 * SIZE**2 < mask.sum() < expected


def test_air_darkens_the_image_where_the_mask_is() -> None:
    darker = []
    for order in [order for order in order_cases(60, 0.5, 3) if order.share > 0.01]:
        pixels, mask = draw(order, SIZE)
        healthy, none = draw(dataclasses.replace(order, share=0.0), SIZE)
        assert not none.any()
        change = pixels.astype(np.float64) - healthy
        darker.append(change[mask].mean())
        # Elsewhere only what goes with it: the lung's edge, a denser lung, perhaps a drain.
        assert abs(np.median(change[~mask])) <= 1
    assert np.median(darker) < -5
    assert np.mean(np.array(darker) < 0) > 0.9


def test_images_of_a_patient_resemble_each_other() -> None:
    orders = order_cases(60, 0.0, 4)
    images = [draw(order, 64)[0].astype(np.float64).ravel() for order in orders]
    correlation = np.corrcoef(images)
    patient = np.array([order.patient for order in orders])
    same = (patient[:, None] == patient[None]) & ~np.eye(60, dtype=np.bool_)
    other = patient[:, None] != patient[None]
    assert correlation[same].mean() > correlation[other].mean()


@pytest.mark.parametrize(("prevalence", "expected"), [(0.0, 0), (1.0, 9)])
def test_extreme_prevalences(prevalence: float, expected: int) -> None:
    orders = order_cases(9, prevalence, 0)
    assert sum(order.share > 0 for order in orders) == expected


def test_an_occupied_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="not an empty folder"):
        write_phantom(tmp_path, num_cases=2, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_cases": 0}, "num_cases: found 0, expected at least 1"),
        ({"size": 32}, "size: found 32, expected at least 64"),
        ({"seed": -1}, "seed: found -1, expected at least 0"),
        ({"prevalence": 1.5}, "prevalence: found 1.5, expected 0 to 1"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        write_phantom(tmp_path / "new", **{"num_cases": 2, "seed": 0, **arguments})  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
