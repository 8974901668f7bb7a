"""A store is read through once, and again as soon as a file of it may be another one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_store import drawn_store

from ptxcore.data.store.case_store import CaseStore
from ptxcore.data.store.host_copy import staged
from ptxcore.data.store.verified import NOTE, verify_once
from ptxcore.errors import StoreError


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return drawn_store(tmp_path / "store", num_cases=6, num_positive=3, side_px=16)


def invert_masks(folder: Path) -> None:
    """Every mask becomes its opposite; manifest and table of cases stay as they are."""
    path = folder / "masks.bin"
    before = path.stat()
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as some tools keep it


def test_once_for_the_same_files(store: CaseStore) -> None:
    seen: list[tuple[int, int]] = []
    assert verify_once(store, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 6) for number in range(1, 7)]
    assert not verify_once(CaseStore.open(store.folder))
    (store.folder / NOTE).write_text("{")
    assert verify_once(store)
    (store.folder / "images.bin").touch()
    assert verify_once(store)


def test_inverted_masks_are_found_even_with_their_old_times(store: CaseStore) -> None:
    verify_once(store)
    invert_masks(store.folder)
    with pytest.raises(StoreError, match="found 6 of 6 cases changed or damaged"):
        verify_once(CaseStore.open(store.folder))
    with pytest.raises(StoreError, match="found 6 of 6 cases changed or damaged"):
        verify_once(CaseStore.open(store.folder))  # nothing was noted


def test_a_store_that_cannot_be_noted_is_read_each_time(store: CaseStore) -> None:
    (store.folder / "derived").write_text("no folder")
    assert verify_once(store)
    assert verify_once(store)


def test_a_hosts_copy_that_was_changed_is_refused(store: CaseStore, tmp_path: Path) -> None:
    copy = staged(store.folder, store.data_hash, tmp_path / "cache")
    assert staged(store.folder, store.data_hash, tmp_path / "cache") == copy
    invert_masks(copy)
    with pytest.raises(StoreError, match=r"6 of 6 cases changed.*remove the folder there"):
        staged(store.folder, store.data_hash, tmp_path / "cache")


def test_a_table_that_counts_other_pixels_is_found(store: CaseStore) -> None:
    """Who is positive is read from the table, whose digests leave the count out."""
    first = store.cases[0]
    object.__setattr__(first, "mask_px", 0)
    with pytest.raises(StoreError, match="found 1 of 6 cases changed"):
        store.verify()
