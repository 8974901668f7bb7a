"""Uses of hold-outs, kept beside the cases: one small file for each, which is never changed.

Sweeps of any ledger and any home may read one store, so only the store knows how often its cases
decided something. A file names its cases by the ids that the store's own table has; it holds
nothing of a patient. No lock is needed: a file is written first and then all are counted, so of two
processes at once each counts the other. In object storage the files are objects beside the store.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from ptxcore.atomic_file import whole_file
from ptxcore.errors import StoreError
from sweep.errors import StorageError
from sweep.storage.bucket import Bucket, is_bucket

#: Folder of the files, in the store's own or below its address.
PLACE = "holdout_uses"
_SUFFIX = ".json"
#: What it means that a use is not kept beside the cases.
UNSHARED = (
    "the case store cannot be written to, so this use of the hold-out is counted in this ledger "
    "alone and other homes that share the store do not know of it"
)
_log = logging.getLogger(__name__)


def note_use(store: str, use_id: str, cases: Iterable[str]) -> bool:
    """Write down that these cases are used.

    Args:
        store: Folder or address of the store.
        use_id: Name of the use.
        cases: Ids of the cases.

    Returns:
        Whether it was written. A store that cannot be written to is no mistake of a user: what is
        not counted there is in the ledger all the same.
    """
    content = json.dumps({"cases": sorted(cases)}).encode()
    try:
        if is_bucket(store):
            Bucket(store).put(f"{PLACE}/{use_id}{_SUFFIX}", content)
        else:
            with whole_file(Path(store) / PLACE / f"{use_id}{_SUFFIX}", is_durable=True) as draft:
                draft.write_bytes(content)
    except (OSError, StorageError) as error:
        _log.warning("%s (%s)", UNSHARED, type(error).__name__)
        return False
    return True


def noted_uses(store: str) -> dict[str, frozenset[str]]:
    """The cases of every use that is kept beside a store, by its name.

    Args:
        store: Folder or address of the store.

    Raises:
        StoreError: A file is damaged; leaving it out would count too few.
        StorageError: Object storage cannot be used.
    """
    found = {}
    for name, content in _contents(store):
        try:
            found[name] = frozenset(map(str, json.loads(content)["cases"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StoreError(
                f"{store}: found damage in {PLACE}/{name}{_SUFFIX} ({type(error).__name__}), so it "
                "is not known how often the hold-out was used; restore the file"
            ) from error
    return found


def copy_uses(store: Path, address: str) -> None:
    """Bring what is kept beside a store to its copy in object storage.

    Args:
        store: Folder of the store.
        address: Address of the copy.

    Raises:
        StoreError: A file is damaged.
        StorageError: Object storage cannot be used.
    """
    known = noted_uses(address)
    for name, cases in noted_uses(str(store)).items():
        if name not in known:
            content = json.dumps({"cases": sorted(cases)}).encode()
            Bucket(address).put(f"{PLACE}/{name}{_SUFFIX}", content)


def _contents(store: str) -> Iterable[tuple[str, bytes]]:
    if not is_bucket(store):
        for path in sorted((Path(store) / PLACE).glob(f"*{_SUFFIX}")):
            if not path.name.startswith("."):
                yield path.stem, path.read_bytes()
        return
    bucket = Bucket(store)
    for key in bucket.keys(PLACE):
        if key.endswith(_SUFFIX) and (content := bucket.get(key)) is not None:
            yield key.removeprefix(f"{PLACE}/").removesuffix(_SUFFIX), content
