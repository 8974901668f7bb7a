"""A case store in a folder or in object storage: found on the driver and on every host.

In object storage a store is one snapshot (`sweep.storage.snapshots`) without its salt. A host
brings it into its cache by content hash, once, checks every case, and all its trials map the copy.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from ptxcore.data.store.case_store import CASES, IMAGES, MANIFEST, MASKS, CaseStore, read_manifest
from ptxcore.data.store.host_copy import cache_folder, copied, staged
from ptxcore.errors import StoreError
from sweep.ledger.header import SweepHeader
from sweep.storage import snapshots
from sweep.storage.bucket import Bucket, check_address, is_bucket
from sweep.storage.holdout_uses import copy_uses

#: Below the address of a store.
PLACE = "store"


def locate(store: str | Path) -> str:
    """How the ledger and workers name a store: a whole path, or its address in object storage.

    Raises:
        UsageError: It is neither.
    """
    return check_address(str(store), "store") if is_bucket(store) else str(Path(store).absolute())


def open_store(store: str | Path) -> CaseStore:
    """Open a store for this process; one in object storage is brought to this host first.

    Args:
        store: A folder, or s3://bucket/prefix.

    Raises:
        StoreError: There is none, or it is damaged.
        UsageError: It is no such address.
        StorageError: The storage cannot be used.
    """
    if not is_bucket(store):
        return CaseStore.open(Path(store))
    address = locate(store)
    return CaseStore.open(on_host(address, _data_hash(address)))


def open_own(header: SweepHeader, place: Path | str) -> CaseStore:
    """The case store of a sweep, where it is now.

    Args:
        header: Header of the sweep's ledger.
        place: Where it is.

    Raises:
        StoreError: It is missing, or holds other data.
        StorageError: Object storage cannot be used.
    """
    cases = open_store(place)
    if cases.data_hash != header.data_hash:
        raise StoreError(
            f"the store has data hash {cases.data_hash[:12]}, the sweep started with "
            f"{(header.data_hash or 'unknown')[:12]}; give the same data with --store"
        )
    return cases


def store_of(header: SweepHeader, home: Path) -> str:
    """Where a sweep's case store is, for `open_store`.

    Args:
        header: Header of the sweep; `store` is where the case store was when it began.
        home: Folder of the home. If it has moved, or was copied, with the store inside, the store
            of the same content is taken that lies there as it did.

    Raises:
        StoreError: The ledger does not say it.
    """
    if header.store is None:
        raise StoreError("the ledger does not say where the case store is; give it with --store")
    known = header.store
    if is_bucket(known) or Path(known).is_relative_to(home):
        return known
    parts = Path(known).parts
    for start in range(1, len(parts)):
        own = home.joinpath(*parts[start:])
        with contextlib.suppress(StoreError):  # there is none
            if read_manifest(own)["data_hash"] == header.data_hash:
                return str(own)
    return known


def on_host(store: str, data_hash: str) -> Path:
    """The folder in which this host reads a store that must have this content.

    Args:
        store: Store, as `locate` gave it.
        data_hash: 64 hexadecimal digits.

    Raises:
        StoreError: The store is another one or damaged, or the copy cannot be written.
        StorageError: The storage cannot be used.
    """
    if not is_bucket(store):
        return staged(Path(store), data_hash)

    def bring(folder: Path) -> None:
        if not snapshots.fetch(Bucket(store), PLACE, folder):
            raise _missing(store)

    return copied(bring, store, data_hash, cache_folder() or Path.home() / ".cache" / "ptxsweep")


def upload(folder: Path, address: str) -> tuple[CaseStore, bool]:
    """Put a store into object storage, whole or not at all, and how often its cases were used.

    Args:
        folder: Folder of the store; every case is read and checked first.
        address: s3://bucket/prefix, of this store alone.

    Returns:
        The store, and whether it was not there yet.

    Raises:
        StoreError: The store is damaged, or the address holds another one.
        UsageError: It is no such address.
        StorageError: The storage cannot be used.
    """
    address, store = check_address(address, "ADDRESS"), CaseStore.open(folder)
    bucket = Bucket(address)
    if bucket.keys(f"{PLACE}/manifests"):
        if (found := _data_hash(address)) != store.data_hash:
            raise StoreError(
                f"{address}: found another store there (data hash {found[:12]}, this one has "
                f"{store.data_hash[:12]}), which a sweep may need; give another prefix"
            )
        copy_uses(folder, address)
        return store, False
    store.verify()
    copy_uses(folder, address)  # first: the cases must not be there as if they were unused
    snapshots.save(bucket, PLACE, folder, lambda name: name in (MANIFEST, CASES, IMAGES, MASKS))
    return store, True


def _data_hash(address: str) -> str:
    """The content hash that a store in object storage says it has."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if not snapshots.fetch(Bucket(address), PLACE, folder, lambda name: name == MANIFEST):
            raise _missing(address)
        return str(read_manifest(folder)["data_hash"])


def _missing(address: str) -> StoreError:
    return StoreError(
        f"{address}: found no case store; put one there with `ptxsweep data upload STORE {address}`"
    )
