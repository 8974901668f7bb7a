"""A host's own copy of a store is whole, checked, and made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_store import drawn_store

from ptxcore.data.staging import CACHE_VARIABLE, staged
from ptxcore.data.store import CaseStore
from ptxcore.errors import StoreError


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return drawn_store(tmp_path / "store", num_cases=6, num_positive=3, side_px=16)


def test_without_a_cache_the_store_itself_is_read(
    store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert staged(store.folder, store.data_hash) == store.folder


def test_the_copy_has_the_same_cases_and_no_salt(store: CaseStore, tmp_path: Path) -> None:
    copy = staged(store.folder, store.data_hash, tmp_path / "cache")
    found = CaseStore.open(copy)
    found.verify()
    assert found.data_hash == store.data_hash
    assert not (copy / "salt.key").exists()
    modified = (copy / "images.bin").stat().st_mtime_ns
    assert staged(store.folder, store.data_hash, tmp_path / "cache") == copy
    assert (copy / "images.bin").stat().st_mtime_ns == modified


def test_the_cache_is_named_by_the_environment(
    store: CaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "elsewhere"))
    copy = staged(store.folder, store.data_hash)
    assert copy.parent == tmp_path / "elsewhere"


def test_a_damaged_or_other_store_leaves_no_copy(store: CaseStore, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(StoreError, match="expected 0000"):
        staged(store.folder, "0" * 64, cache)
    content = bytearray((store.folder / "images.bin").read_bytes())
    content[0] ^= 1
    (store.folder / "images.bin").write_bytes(bytes(content))
    with pytest.raises(StoreError, match="changed or damaged"):
        staged(store.folder, store.data_hash, cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
