from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_dicom import DicomSet

from ptxcore.data.importing.run import import_cases
from ptxcore.data.parallel import in_order
from ptxcore.data.resample import resize_image, resize_mask
from ptxcore.data.store import grids
from ptxcore.data.store.case_store import Case, CaseStore
from ptxcore.data.store.grids import Grid
from ptxcore.errors import SettingsError, StoreError

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def store(dicom_set: DicomSet, tmp_path: Path) -> CaseStore:
    import_cases(dicom_set.dicom, dicom_set.rle, tmp_path / "store")
    return CaseStore.open(tmp_path / "store")


def test_images_are_read_only_views_of_the_map(store: CaseStore) -> None:
    image = store.image(3)
    assert (image.shape, image.dtype) == ((32, 48), np.uint8)
    assert not image.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 1


def test_masks_are_ones_own(store: CaseStore) -> None:
    mask = store.mask(0)
    assert (mask.shape, mask.dtype) == ((32, 48), np.bool_)
    mask[:] = True
    assert not store.mask(0).all()
    assert np.array_equal(store.soft_mask(0), store.mask(0) * np.uint8(255))


def test_lookup(store: CaseStore) -> None:
    assert len(store) == len(store.cases) == 12
    assert [store.index(case.case_id) for case in store.cases] == list(range(12))
    with pytest.raises(StoreError, match="found no case 0123 in the store"):
        store.index("0123")


def test_unknown_spacing_is_none() -> None:
    facts = {"case_id": "a", "group": "b", "view": "", "height": 1, "width": 1, "digest": ""}
    case = Case(**facts, spacing_height_mm=math.nan, spacing_width_mm=0.1, mask_px=0)  # type: ignore[arg-type]
    assert case.pixel_spacing_mm is None
    assert not case.is_positive


@pytest.mark.parametrize("size", [16, 24, 31, 96])
def test_derived_grids(size: int, store: CaseStore) -> None:
    grid = store.resampled(size)
    assert isinstance(grid, Grid)
    assert store.resampled(size) is grid
    shape = (round(32 * size / 48), size)
    for index in range(len(store)):
        assert grid.shapes[index] == shape
        assert np.array_equal(grid.image(index), resize_image(store.image(index), shape))
        assert np.array_equal(grid.soft_mask(index), resize_mask(store.mask(index), shape))
    with pytest.raises(ValueError, match="read-only"):
        grid.image(0)[0, 0] = 1
    assert sorted(path.name for path in (store.folder / "derived").iterdir()) == [
        str(size),
        f"{size}.lock",
    ]


@pytest.mark.parametrize("size", [0, 48])
def test_the_original_grid_is_the_store_itself(size: int, store: CaseStore) -> None:
    assert store.resampled(size) is store
    assert not (store.folder / "derived").exists()


def test_each_filter_has_its_grid(store: CaseStore) -> None:
    grid, other = store.resampled(16, "bspline"), store.resampled(16)
    assert np.array_equal(grid.image(1), resize_image(store.image(1), grid.shapes[1], "bspline"))
    assert not np.array_equal(grid.image(1), other.image(1))
    assert np.array_equal(grid.soft_mask(1), other.soft_mask(1)), "the truth has one filter"
    assert (store.folder / "derived" / "16-bspline").is_dir()
    with pytest.raises(SettingsError, match="method: found 'cubist'"):
        store.resampled(16, "cubist")


def test_a_grid_is_made_once(store: CaseStore) -> None:
    store.resampled(16)
    stamp = (store.folder / "derived" / "16" / "images.bin").stat().st_mtime_ns
    other = CaseStore.open(store.folder)
    assert np.array_equal(other.resampled(16).image(2), store.resampled(16).image(2))
    assert (store.folder / "derived" / "16" / "images.bin").stat().st_mtime_ns == stamp


def test_a_grid_that_was_cut_short_is_made_anew(store: CaseStore) -> None:
    leftover = store.folder / "derived" / "16.part-abc"
    leftover.mkdir(parents=True)
    (leftover / "images.bin").write_bytes(b"half")
    store.resampled(16)
    assert not leftover.exists()


RACE = """
import hashlib, sys
from pathlib import Path
from ptxcore.data.store.case_store import CaseStore
store = CaseStore.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
grid = store.resampled(20)
print(hashlib.sha256(b"".join(grid.image(i).tobytes() for i in range(12))).hexdigest())
"""


def test_processes_that_race_for_a_grid_share_one(store: CaseStore) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", RACE, str(store.folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(words, env=environment, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(answers) == 1
    names = {path.name for path in (store.folder / "derived").iterdir()}
    assert names == {"20", "20.lock"}


def test_waiting_for_another_process_ends(
    store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grids, "TIMEOUT_SECONDS", 0.05)
    (store.folder / "derived").mkdir()
    with (
        grids.FileLock(store.folder / "derived" / "16.lock"),
        pytest.raises(StoreError, match="found another process at work on it"),
    ):
        store.resampled(16)


def test_a_store_that_cannot_be_written(store: CaseStore) -> None:
    (store.folder / "derived").write_text("in the way, as a read-only file system would be")
    with pytest.raises(StoreError, match=r"cannot be written \(.+\), but images of this size"):
        store.resampled(16)


def test_to_another_process_goes_the_folder_alone(store: CaseStore) -> None:
    store.resampled(16)
    packed = pickle.dumps(store)
    assert len(packed) < 1000
    assert np.array_equal(pickle.loads(packed).image(5), store.image(5))


READ_ALL = """
import sys
from pathlib import Path
from ptxcore.data.store.case_store import CaseStore

store = CaseStore.open(Path(sys.argv[1]))
grid = store.resampled(20)
for one in (store, grid):
    total = sum(int(one.image(index).sum()) for index in range(len(store)))
for pid in ("self", sys.argv[2]):
    inside, found = False, {"Rss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            inside = words[-1].startswith(str(store.folder)) and words[-1].endswith("images.bin")
        elif inside and words[0][:-1] in found:
            found[words[0][:-1]] += int(words[1])
    print(*found.values())
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_a_second_process_on_a_store_adds_no_copy(store: CaseStore) -> None:
    """Both have every page of the images in memory, and it is the same page."""
    grid = store.resampled(20)
    for one in (store, grid):
        assert sum(int(one.image(index).sum()) for index in range(len(store))) > 0
    words = [sys.executable, "-c", READ_ALL, str(store.folder), str(os.getpid())]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    files = [store.folder / "images.bin", store.folder / "derived" / "20" / "images.bin"]
    pages_kib = sum(-(-path.stat().st_size // 4096) * 4 for path in files)
    for line in done.stdout.splitlines():
        resident, *private = map(int, line.split())
        assert resident >= pages_kib
        assert private == [0, 0]
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(("name", "place"), [("images.bin", 777), ("masks.bin", 3)])
def test_verify_finds_a_flipped_bit_and_names_its_case(
    name: str, place: int, store: CaseStore
) -> None:
    store.verify()
    path = store.folder / name
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    changed = CaseStore.open(store.folder)
    first = store.cases[0].case_id
    with pytest.raises(StoreError, match=rf"found 1 of 12 cases changed .* \(the first: {first}\)"):
        changed.verify()


def test_verify_finds_another_data_hash(store: CaseStore) -> None:
    manifest = {**store.manifest, "data_hash": "0" * 64}
    (store.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="found a manifest with another data hash"):
        CaseStore.open(store.folder).verify()


def test_open_refuses_what_is_no_store(store: CaseStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="found no case store; make one with"):
        CaseStore.open(tmp_path)
    folder = store.folder
    original = (folder / "manifest.json").read_text()
    for content, message in (
        ("{", "found no JSON"),
        ("[]", "found store format None, expected 1"),
        (original.replace('"format": 1', '"format": 99'), "found store format 99, expected 1"),
        (original.replace("uint8", "object"), "dtype: found 'object', expected uint8 or uint16"),
        ('{"format": 1}', r"found no \['data_hash', 'dtype', 'phantom'\]"),
    ):
        (folder / "manifest.json").write_text(content)
        with pytest.raises(StoreError, match=message):
            CaseStore.open(folder)
    (folder / "manifest.json").write_text(original)
    table = (folder / "cases.csv").read_text()
    (folder / "cases.csv").write_text(table.replace(",PA,", ",AP,", 1))
    with pytest.raises(StoreError, match="found other rows than were imported"):
        CaseStore.open(folder)
    (folder / "cases.csv").write_text("case_id\nabc\n")
    with pytest.raises(StoreError, match=r"cases\.csv: found damage \(KeyError\)"):
        CaseStore.open(folder)
    (folder / "cases.csv").write_text(table)
    images = (folder / "images.bin").read_bytes()
    (folder / "images.bin").write_bytes(images[:-1])
    with pytest.raises(StoreError, match=rf"found {len(images) - 1} bytes, expected {len(images)}"):
        CaseStore.open(folder)
    (folder / "images.bin").unlink()
    with pytest.raises(StoreError, match="found no such file, expected"):
        CaseStore.open(folder)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_pipeline_keeps_order_and_never_runs_far_ahead(workers: int) -> None:
    asked, taken = 0, 0

    def items() -> object:
        nonlocal asked
        for number in range(50):
            asked += 1
            yield number

    for number in in_order(lambda value: value * value, items(), workers):  # type: ignore[arg-type, operator]
        assert number == taken * taken
        assert asked - taken <= 2 * workers
        taken += 1
    assert taken == 50


def test_the_pipeline_stops_at_an_error() -> None:
    done = []

    def work(number: int) -> int:
        if number == 3:
            raise StoreError("the third")
        done.append(number)
        return number

    with pytest.raises(StoreError, match="the third"):
        list(in_order(work, range(1000), 1))
    assert len(done) < 10
