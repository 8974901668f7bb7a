"""The Optuna study of a sweep as its ledger: lease, writes, projection."""

from sweep.ledger.catalog import create_study, list_sweeps, open_study, require_ledger
from sweep.ledger.header import SweepHeader
from sweep.ledger.lease import Driver, driver_of
from sweep.ledger.ledger import Ledger
from sweep.ledger.messages import Note, StopRequest, add_note, read_notes, request_stop
from sweep.ledger.projection import NAN_REASON, Attempt, Projection, Trial

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
