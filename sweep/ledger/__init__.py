"""The Optuna study of a sweep as its ledger: lease, writes, projection.

Each name is imported when it is first asked for: a projection alone loads neither Optuna nor
SQLAlchemy, which take half a second.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.ledger.catalog import create_study, list_sweeps, open_study, require_ledger
    from sweep.ledger.header import SweepHeader
    from sweep.ledger.lease import Driver, driver_of
    from sweep.ledger.ledger import Ledger
    from sweep.ledger.messages import StopRequest, add_note, read_notes, request_stop
    from sweep.ledger.projection import NAN_REASON, Attempt, Projection, Trial
    from sweep.records import Note

__all__ = [
    "NAN_REASON",
    "Attempt",
    "Driver",
    "Ledger",
    "Note",
    "Projection",
    "StopRequest",
    "SweepHeader",
    "Trial",
    "add_note",
    "create_study",
    "driver_of",
    "list_sweeps",
    "open_study",
    "read_notes",
    "request_stop",
    "require_ledger",
]

#: Module of each name, in `sweep`.
_PLACES = {
    **dict.fromkeys(
        ("create_study", "list_sweeps", "open_study", "require_ledger"), "ledger.catalog"
    ),
    "SweepHeader": "ledger.header",
    **dict.fromkeys(("Driver", "driver_of"), "ledger.lease"),
    "Ledger": "ledger.ledger",
    "Note": "records",
    **dict.fromkeys(("StopRequest", "add_note", "read_notes", "request_stop"), "ledger.messages"),
    **dict.fromkeys(("NAN_REASON", "Attempt", "Projection", "Trial"), "ledger.projection"),
}


def __getattr__(name: str) -> Any:
    """Import a name (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"sweep.{_PLACES[name]}"), name)
