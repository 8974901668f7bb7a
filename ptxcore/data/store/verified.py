"""Verify a case store once: every digest is computed, and not again while its files stay the same.

What a manifest says of its store is a claim: files can be damaged, exchanged or rewritten beside
it. Reading all of a large store takes minutes, so what was verified is noted with the size, times
and inode of each file. The time of change (ctime) is the system's and cannot be set back, so a
write to a file leaves a trace in it. Where a wrong case cannot be made good any more, as when a
hold-out is opened, `CaseStore.verify` is called itself.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ptxcore.data.store.case_store import (
    CASES,
    IMAGES,
    MANIFEST,
    MASKS,
    CaseStore,
    OnProgress,
    no_progress,
)

#: Where a store in a folder keeps its note: beside its derived grids, which are made on demand too.
NOTE = "derived/verified.json"


def verify_once(
    store: CaseStore, note: Path | None = None, on_progress: OnProgress = no_progress
) -> bool:
    """Compute every digest of a store, unless that was done for these very files.

    Args:
        store: To be verified.
        note: File that says for which files it was done; `NOTE` in the store's folder if None.
            One that cannot be written is done without.
        on_progress: Callback, as for `CaseStore.verify`.

    Returns:
        Whether the digests were computed now.

    Raises:
        StoreError: As `CaseStore.verify`.
    """
    note = store.folder / NOTE if note is None else note
    now = _state(store)  # before reading: what is written meanwhile is found the next time
    if _noted(note) == now:
        return False
    store.verify(on_progress)
    _write(note, now)
    return True


def _state(store: CaseStore) -> dict[str, list[int]]:
    found = {}
    for name in (MANIFEST, CASES, IMAGES, MASKS):
        file = (store.folder / name).stat()
        found[name] = [file.st_size, file.st_mtime_ns, file.st_ctime_ns, file.st_ino]
    return found


def _noted(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _write(note: Path, state: dict[str, list[int]]) -> None:
    with suppress(OSError):  # a store that cannot be written to is verified each time
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps(state) + "\n", encoding="utf-8")  # half of it says nothing
