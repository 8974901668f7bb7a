"""What others than the driver write into a sweep's ledger: notes of people, and a wish to stop it.

Neither needs the lease, since neither changes what a driver writes: each is one attribute of the
study, written by compare-and-swap. The driver looks at both once a second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from optuna.storages import RDBStorage

from sweep.errors import LedgerError
from sweep.ledger.connection import compare_and_swap, read_attribute
from sweep.records import Note

NOTES_KEY, STOP_KEY = "ptxsweep:notes", "ptxsweep:stop"
#: Two people write at once; not a hundred.
_TRIES = 100


@dataclass(frozen=True, kw_only=True)
class StopRequest:
    """That a driver shall stop.

    Attributes:
        token: Number of the lease that it is for; the next driver is not meant.
        now: Whether running epochs are cut off.
    """

    token: int
    now: bool


def read_notes(storage: RDBStorage, study_id: int) -> list[Note]:
    """The notes on a sweep, oldest first."""
    return notes_of(read_attribute(storage, study_id, NOTES_KEY))


def notes_of(text: str | None) -> list[Note]:
    """Notes as they are stored."""
    return [Note(at=str(row["at"]), text=str(row["text"])) for row in json.loads(text or "[]")]


def add_note(storage: RDBStorage, study_id: int, note: Note) -> list[Note]:
    """Append a note; all of them."""

    def appended(stored: str | None) -> Any:
        rows: list[dict[str, str]] = json.loads(stored or "[]")
        return [*rows, {"at": note.at, "text": note.text}]

    return notes_of(_change(storage, study_id, NOTES_KEY, appended))


def request_stop(storage: RDBStorage, study_id: int, request: StopRequest) -> None:
    """Ask a driver to stop; one that was asked to stop at once is not asked to take its time."""

    def asked(stored: str | None) -> Any:
        before = json.loads(stored or "{}")
        is_now = request.now or (before.get("token") == request.token and before["now"])
        return {"token": request.token, "now": is_now}

    _change(storage, study_id, STOP_KEY, asked)


def stop_request(text: str | None) -> StopRequest | None:
    """A wish to stop as it is stored."""
    if text is None:
        return None
    stored = json.loads(text)
    return StopRequest(token=int(stored["token"]), now=bool(stored["now"]))


def _change(storage: RDBStorage, study_id: int, key: str, new: Any) -> str:
    for _ in range(_TRIES):
        stored = read_attribute(storage, study_id, key)
        text = compare_and_swap(storage, study_id, key, stored, new(stored))
        if text is not None:
            return text
    raise LedgerError("the ledger is written to all the time; try again")
