"""Folders kept in object storage, as snapshots that are there whole or not at all.

    <place>/objects/<sha256>                      a file's bytes
    <place>/manifests/<number>-<sha256>.json      names, hashes and sizes; the sha256 is its own

Object storage has no rename, so nothing is ever overwritten with something else: files are named by
what they hold, and a manifest is written after all files that it names. Half an upload is therefore
never seen, and what is read is checked against the hashes in its names. Each attempt at a fold has
a place of its own, so a place has one writer, and a worker that was cut off disturbs no other. The
newest manifest counts; older ones go once it is there.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ptxcore.atomic_file import whole_file
from sweep.errors import StorageError
from sweep.storage.bucket import Bucket

FORMAT = 1
#: The search part of the fold plan: place and name in storage.
SEARCH_PLACE, SEARCH_PLAN = "search", "search_plan.json"
_MANIFEST = re.compile(r"(\d{6,})-([0-9a-f]{64})\.json")
#: A snapshot is read anew when a newer one took its place meanwhile.
_TRIES = 20
_WAIT_SECONDS = 0.1

#: Names relative to the folder, with "/", and the hash of each file's bytes.
Files = dict[str, str]
Wanted = Callable[[str], bool]


def _all(name: str) -> bool:
    return True


def save(bucket: Bucket, place: str, folder: Path, wanted: Wanted = _all) -> None:
    """Make a snapshot of a folder; the place had no other writer, ever.

    Args:
        bucket: Where to.
        place: Place of the folder in it.
        folder: Hidden files and folders in it are left out.
        wanted: Which names to keep.

    Raises:
        StorageError: The storage cannot be used; the last snapshot is still there.
    """
    sizes = bucket.sizes(place)
    files: Files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in name.parts)
        if is_hidden or not path.is_file() or not wanted(name.as_posix()):
            continue
        files[name.as_posix()] = digest = _digest(path)
        key, size = f"{place}/objects/{digest}", path.stat().st_size
        if sizes.get(key) != size:  # missing, or the rest of an upload that was broken off
            bucket.put_file(key, path)
            sizes[key] = size
    _commit(bucket, place, files, set(sizes))


def fetch(bucket: Bucket, place: str, folder: Path, wanted: Wanted = _all) -> bool:
    """Bring a folder to the newest snapshot; files that are there already are kept.

    Args:
        bucket: Where from.
        place: Place of the folder in it.
        folder: Made if there is a snapshot.
        wanted: Which names to bring.

    Returns:
        Whether there is a snapshot.

    Raises:
        StorageError: The storage cannot be used, or what it holds is damaged.
    """
    for _ in range(_TRIES):
        keys = bucket.keys(f"{place}/manifests")
        if not keys:
            return False
        files = _read(bucket, keys[-1])
        if files is not None and _bring(bucket, place, folder, files, wanted):
            return True
        time.sleep(_WAIT_SECONDS)
    raise StorageError(
        f"{bucket.address}/{place}: found no whole snapshot in {_TRIES} tries; its objects were "
        "removed or changed by somebody else: restore them, or remove all below it to start "
        "this part again"
    )


def keep(bucket: Bucket, place: str, wanted: Wanted) -> None:
    """Make a snapshot of some of the files of the newest one, and drop the others.

    Raises:
        StorageError: The storage cannot be used, or what it holds is damaged.
    """
    there = set(bucket.keys(place))
    manifests = sorted(key for key in there if key.startswith(f"{place}/manifests/"))
    files = _read(bucket, manifests[-1]) if manifests else None
    if files is not None:
        kept = {name: digest for name, digest in files.items() if wanted(name)}
        if kept != files:
            _commit(bucket, place, kept, there)


def remove(bucket: Bucket, place: str) -> None:
    """Remove a place, manifests first.

    Raises:
        StorageError: The storage cannot be used.
    """
    bucket.remove(bucket.keys(f"{place}/manifests"))
    bucket.remove(bucket.keys(place))


def _commit(bucket: Bucket, place: str, files: Files, there: set[str]) -> None:
    start = f"{place}/manifests/"
    old = sorted(key for key in there if key.startswith(start))
    numbers = [int(found[1]) for key in old if (found := _MANIFEST.fullmatch(key[len(start) :]))]
    content = json.dumps({"format": FORMAT, "files": files}, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()
    bucket.put(f"{start}{max(numbers, default=0) + 1:06d}-{digest}.json", content)
    named = {f"{place}/objects/{digest}" for digest in files.values()}
    bucket.remove(old)
    bucket.remove(sorted(there - named - set(old)))


def _read(bucket: Bucket, key: str) -> Files | None:
    """The files that a manifest names; None if it is gone, for a newer one."""
    content = bucket.get(key)
    if content is None:
        return None
    found = _MANIFEST.fullmatch(PurePosixPath(key).name)
    if found is None or hashlib.sha256(content).hexdigest() != found[2]:
        raise StorageError(
            f"{bucket.address}/{key}: found other bytes than its name says; it was changed by "
            "somebody else: restore it"
        )
    try:
        whole = json.loads(content)
        version, files = (
            whole["format"],
            {str(name): str(entry) for name, entry in whole["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        kind = type(error).__name__
        raise StorageError(
            f"{bucket.address}/{key}: found no manifest ({kind}), expected one that ptxsweep wrote"
        ) from error
    if version != FORMAT:
        raise StorageError(
            f"{bucket.address}/{key}: format: found {version!r}, expected {FORMAT}; "
            "it may be of another version of ptxsweep"
        )
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise StorageError(f"{bucket.address}/{key}: found a name that leaves its folder")
    return files


class _Gone(Exception):
    """An object of the snapshot is not there any more."""


def _bring(bucket: Bucket, place: str, folder: Path, files: Files, wanted: Wanted) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in files.items():
        path = folder / name
        if not wanted(name) or (path.is_file() and _digest(path) == digest):
            continue
        try:
            _bring_file(bucket, f"{place}/objects/{digest}", digest, path)
        except _Gone:
            return False
    return True


def _bring_file(bucket: Bucket, key: str, digest: str, path: Path) -> None:
    with whole_file(path) as draft:
        found = bucket.get_file(key, draft)
        if found is None:
            raise _Gone
        if found != digest:
            raise StorageError(
                f"{bucket.address}/{key}: found other bytes than its name says; "
                "it was changed by somebody else: restore it"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
