"""A host's own copy of a store is whole, checked, and made once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_store import drawn_store

from ptxcore.data.store.case_store import CaseStore
from ptxcore.data.store.host_copy import CACHE_VARIABLE, staged
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


#: Copies a store as the argument says, and notes each time that it begins.
_SCRIPT = """
import shutil, sys, time
from pathlib import Path
from ptxcore.data.store.host_copy import copied
store, data_hash, cache, log, seconds = sys.argv[1:]
def bring(making):
    with open(log, "a") as file:
        file.write("begun\\n")
    making.mkdir()
    shutil.copy(Path(store) / "images.bin", making)
    time.sleep(float(seconds))
    shutil.copytree(store, making, dirs_exist_ok=True)
print(copied(bring, store, data_hash, Path(cache)))
"""


def _start(store: CaseStore, tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    words = (store.folder, store.data_hash, tmp_path / "cache", tmp_path / "log", seconds)
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, *map(str, words)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_come_at_once_share_one_copy(store: CaseStore, tmp_path: Path) -> None:
    found = {one.communicate()[0] for one in [_start(store, tmp_path, 1.0) for _ in range(3)]}
    assert found == {f"{tmp_path / 'cache' / store.data_hash}\n"}
    assert (tmp_path / "log").read_text() == "begun\n"


def test_what_a_killed_process_left_is_made_anew(store: CaseStore, tmp_path: Path) -> None:
    process = _start(store, tmp_path, 600.0)
    half = tmp_path / "cache" / f".{store.data_hash}.part"
    while not (half / "images.bin").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert half.is_dir()
    copy = staged(store.folder, store.data_hash, tmp_path / "cache")
    CaseStore.open(copy).verify()
    assert [path for path in copy.parent.iterdir() if path.is_dir()] == [copy]


def test_a_cache_that_cannot_be_made_is_named(store: CaseStore) -> None:
    with pytest.raises(StoreError, match=f"/proc/none: cannot be made.*{CACHE_VARIABLE}"):
        staged(store.folder, store.data_hash, Path("/proc/none"))
