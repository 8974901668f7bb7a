"""A copy of a case store on a host's own disk, made once and shared by all its processes.

A cluster keeps the store on storage that all hosts see, or as objects that cannot be mapped into
memory. Reading patches from there for hours is slow or impossible, so a host keeps a copy in a
folder of its own, by content hash: every case is checked against its digest, and only then the copy
gets its name. A copy that is found is checked again if its files changed since.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from ptxcore.data.store.case_store import KEY, SALT, CaseStore
from ptxcore.data.store.verified import verify_once
from ptxcore.errors import StoreError

CACHE_VARIABLE = "PTXSWEEP_CACHE"
#: Copying a terabyte takes hours; a longer wait is one for a process that hangs.
_TIMEOUT_SECONDS = 6 * 3600.0


def cache_folder() -> Path | None:
    """Where this host keeps copies: the environment variable `PTXSWEEP_CACHE`, None without it."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else None


def staged(store: Path, data_hash: str, cache: Path | None = None) -> Path:
    """Where this host reads a store in a folder: its own copy, or the store itself without a cache.

    Args:
        store: Folder of the store, on shared storage.
        data_hash: Hash that the store must have.
        cache: Folder on this host; `cache_folder()` if None.

    Returns:
        A folder that holds the whole store.

    Raises:
        StoreError: The store is another one or damaged, or the copy cannot be written.
    """
    cache = cache or cache_folder()
    if cache is None:
        return store
    # Salt and key are secrets of the original; training does not need them.
    left_out = shutil.ignore_patterns(SALT, KEY, "*.lock", "*.part-*")
    return copied(
        lambda making: shutil.copytree(store, making, ignore=left_out),
        str(store),
        data_hash,
        cache,
    )


def copied(bring: Callable[[Path], object], source: str, data_hash: str, cache: Path) -> Path:
    """This host's copy of a store, made by one process while others wait.

    Args:
        bring: Writes the store into the folder it is given, which does not exist.
        source: Source of the copy, named in messages.
        data_hash: Hash that the store must have.
        cache: Folder on this host.

    Returns:
        A folder that holds the whole store.

    Raises:
        StoreError: The store is another one or damaged, or another process hangs.
    """
    copy = cache / data_hash
    if copy.is_dir():
        _check(copy)
        return copy
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{cache}: cannot be made ({error.strerror}); set {CACHE_VARIABLE} to a folder of this "
            "host's own disk"
        ) from error
    try:
        with FileLock(cache / f".{data_hash}.lock", timeout=_TIMEOUT_SECONDS):
            if not copy.is_dir():
                _make(bring, source, copy, data_hash)
    except Timeout as error:
        raise StoreError(
            f"{copy}: found another process at work on it for {_TIMEOUT_SECONDS / 3600:.0f} h; "
            "stop it, or remove the lock file beside the folder"
        ) from error
    return copy


def _make(bring: Callable[[Path], object], source: str, copy: Path, data_hash: str) -> None:
    making = copy.with_name(f".{copy.name}.part")
    shutil.rmtree(making, ignore_errors=True)  # of a process that was killed: the lock is ours
    try:
        bring(making)
        found = CaseStore.open(making)
        if found.data_hash != data_hash:
            raise StoreError(
                f"{source}: found data hash {found.data_hash[:12]}, expected {data_hash[:12]}; "
                "give the store that the sweep started with"
            )
        verify_once(found, _note(copy))
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    making.rename(copy)


def _check(copy: Path) -> None:
    """Make sure that a copy is as it was made; its files are read again only if they changed."""
    try:
        verify_once(CaseStore.open(copy), _note(copy))
    except StoreError as error:
        raise StoreError(
            f"{error} (this is the copy of one host: remove the folder there, and it is made anew)"
        ) from error


def _note(copy: Path) -> Path:
    return copy.with_name(f".{copy.name}.verified.json")
