"""The Optuna study of a sweep as its ledger: lease, writes, projection."""

from sweep.ledger.catalog import create_study, list_sweeps, require_ledger
from sweep.ledger.header import SweepHeader
from sweep.ledger.ledger import Ledger
from sweep.ledger.projection import NAN_REASON, Attempt, Projection, Trial

__all__ = [
    "NAN_REASON",
    "Attempt",
    "Ledger",
    "Projection",
    "SweepHeader",
    "Trial",
    "create_study",
    "list_sweeps",
    "require_ledger",
]
