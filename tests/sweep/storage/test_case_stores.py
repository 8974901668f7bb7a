"""A case store in object storage: there whole or not at all, brought once, checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_store import drawn_store

from ptxcore.data.store.case_store import CaseStore
from ptxcore.data.store.host_copy import CACHE_VARIABLE
from ptxcore.errors import StoreError
from sweep.errors import StorageError, UsageError
from sweep.storage import snapshots
from sweep.storage.bucket import Bucket
from sweep.storage.case_stores import PLACE, locate, on_host, open_store, upload
from sweep.storage.holdout_uses import note_use, noted_uses


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return drawn_store(tmp_path / "store", num_cases=6, num_positive=3, side_px=16)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_every_host_reads_the_same_cases_and_nobody_gets_the_salt(
    store: CaseStore, s3: str, cache: Path
) -> None:
    (store.folder / "salt.key").write_text("the salt")
    _, is_new = upload(store.folder, s3)
    assert is_new
    found = open_store(s3)
    assert found.folder == cache / store.data_hash
    assert found.cases == store.cases
    for index in range(len(store)):
        np.testing.assert_array_equal(found.image(index), store.image(index))
        np.testing.assert_array_equal(found.mask(index), store.mask(index))
    bucket = Bucket(s3)
    assert not [key for key in bucket.keys("") if bucket.get(key) == b"the salt"]
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "cases.csv", "images.bin", "manifest.json", "masks.bin",
    ]  # fmt: skip


def test_how_often_cases_were_used_comes_along(store: CaseStore, s3: str) -> None:
    """Into object storage, once for each use; what is used there is kept there."""
    note_use(str(store.folder), "a", ["x", "y"])
    upload(store.folder, s3)
    assert note_use(s3, "b", ["y"])
    note_use(str(store.folder), "c", ["x"])
    upload(store.folder, s3)
    assert noted_uses(s3) == {"a": {"x", "y"}, "b": {"y"}, "c": {"x"}}
    assert not note_use(f"{s3.rpartition('/')[0].replace('ptxsweep', 'no-bucket')}", "d", ["x"])


def test_a_copy_that_is_there_asks_nobody(
    store: CaseStore, s3: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(store.folder, s3)
    copy = on_host(s3, store.data_hash)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert on_host(s3, store.data_hash) == copy


def test_without_a_cache_variable_the_copy_is_in_the_users_cache(
    store: CaseStore, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    upload(store.folder, s3)
    assert on_host(s3, store.data_hash) == tmp_path / "me/.cache/ptxsweep" / store.data_hash


def test_uploading_again_changes_nothing_and_another_store_is_refused(
    store: CaseStore, s3: str, tmp_path: Path, cache: Path
) -> None:
    upload(store.folder, s3)
    before = Bucket(s3).keys("")
    _, is_new = upload(store.folder, s3)
    assert not is_new
    other = drawn_store(tmp_path / "other", num_cases=4, num_positive=1, side_px=16)
    with pytest.raises(StoreError, match="found another store there"):
        upload(other.folder, s3)
    assert Bucket(s3).keys("") == before


def test_a_damaged_store_is_not_uploaded(store: CaseStore, s3: str) -> None:
    content = bytearray((store.folder / "images.bin").read_bytes())
    content[0] ^= 1
    (store.folder / "images.bin").write_bytes(bytes(content))
    with pytest.raises(StoreError, match="changed or damaged"):
        upload(store.folder, s3)
    assert Bucket(s3).keys("") == []


def test_exchanged_bytes_and_another_store_leave_no_copy(
    store: CaseStore, s3: str, cache: Path
) -> None:
    upload(store.folder, s3)
    with pytest.raises(StoreError, match="expected 0000"):
        on_host(s3, "0" * 64)
    bucket = Bucket(s3)
    images = (store.folder / "images.bin").read_bytes()
    (key,) = [key for key in bucket.keys("") if bucket.get(key) == images]
    bucket.put(key, bytes(len(images)))
    with pytest.raises(StorageError, match="found other bytes than its name says"):
        on_host(s3, store.data_hash)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("data_hash", ["../../elsewhere", "/elsewhere", "", 7])
def test_a_forged_content_hash_cannot_leave_the_cache(
    store: CaseStore, s3: str, cache: Path, data_hash: object
) -> None:
    path = store.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "data_hash": data_hash}))
    snapshots.save(Bucket(s3), PLACE, store.folder)
    with pytest.raises(StoreError, match="data_hash: found no 64 hexadecimal digits"):
        open_store(s3)
    assert not cache.exists()


def test_nothing_there_says_how_to_put_it_there(s3: str, cache: Path) -> None:
    with pytest.raises(StoreError, match=r"found no case store.*`ptxsweep data upload STORE s3:"):
        open_store(s3)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("store") == str(tmp_path / "store")
    assert locate("s3://bucket/store/") == "s3://bucket/store"
    with pytest.raises(UsageError, match="store: found 'gs://bucket/x', expected a folder or s3"):
        locate("gs://bucket/x")
