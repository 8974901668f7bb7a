"""Write down something about a sweep, for whoever looks at it later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sweep.errors import UsageError
from sweep.ledger import Note, add_note, open_study, read_notes
from sweep.storage.home import Home

#: Characters of a note.
MAX_LENGTH = 500


@dataclass(frozen=True, kw_only=True)
class Noted:
    """The notes on a sweep.

    Attributes:
        name: Name of the sweep.
        notes: All of them, oldest first.
    """

    name: str
    notes: list[Note]


def note(home: Home, name: str, text: str | None = None) -> Noted:
    """Append a note to a sweep, which may be running.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        text: The note; line ends become spaces. None only reads.

    Raises:
        UsageError: There is no such sweep, or the text is empty or too long.
    """
    with open_study(home.ledger_url, name) as (storage, study):
        if text is None:
            return Noted(name=name, notes=read_notes(storage, study))
        line = " ".join(text.split())
        if not 0 < len(line) <= MAX_LENGTH:
            raise UsageError(
                f"note: found {len(line)} characters, expected 1 to {MAX_LENGTH}; longer texts "
                "belong in a file of their own"
            )
        if not line.isprintable():
            raise UsageError("note: found a control character, expected plain text")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return Noted(name=name, notes=add_note(storage, study, Note(at=at, text=line)))
