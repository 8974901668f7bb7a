"""A copy of a case store on a host's own disk, made once and shared by all its processes.

A cluster keeps the store on storage that all hosts see. Reading patches from there for hours is
slow, so a host that names a folder in `PTXSWEEP_CACHE` copies the store into it, by content hash,
checks every case against its digest, and only then gives the copy its name.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from ptxcore.data.store import CaseStore
from ptxcore.errors import StoreError

CACHE_VARIABLE = "PTXSWEEP_CACHE"
#: Copying a terabyte takes hours; who waits longer than this waits for a process that hangs.
_TIMEOUT_SECONDS = 6 * 3600.0


def staged(store: Path, data_hash: str, cache: Path | None = None) -> Path:
    """Where this host reads a store: its own copy, or the store itself without a cache.

    Args:
        store: Folder of the store, on shared storage.
        data_hash: That the store must have.
        cache: Folder on this host; from the environment variable `PTXSWEEP_CACHE` if None.

    Returns:
        A folder that holds the whole store.

    Raises:
        StoreError: The store is another one or damaged, or the copy cannot be written.
    """
    named = os.environ.get(CACHE_VARIABLE)
    cache = cache or (Path(named) if named else None)
    if cache is None:
        return store
    copy = cache / data_hash
    if copy.is_dir():
        return copy
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(cache / f".{data_hash}.lock", timeout=_TIMEOUT_SECONDS):
            if not copy.is_dir():
                _copy(store, copy, data_hash)
    except Timeout as error:
        raise StoreError(
            f"{copy}: found another process at work on it for {_TIMEOUT_SECONDS / 3600:.0f} h; "
            "stop it, or remove the lock file beside the folder"
        ) from error
    return copy


def _copy(store: Path, copy: Path, data_hash: str) -> None:
    making = copy.with_name(f".{copy.name}.part")
    shutil.rmtree(making, ignore_errors=True)  # of a process that was killed: the lock is ours
    try:
        # The salt is a secret of the original; training does not need it.
        shutil.copytree(
            store, making, ignore=shutil.ignore_patterns("salt.key", "*.lock", "*.part-*")
        )
        found = CaseStore.open(making)
        if found.data_hash != data_hash:
            raise StoreError(
                f"{store}: found data hash {found.data_hash[:12]}, expected {data_hash[:12]}; "
                "give the store that the sweep started with"
            )
        found.verify()
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    making.rename(copy)
