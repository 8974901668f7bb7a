"""The Optuna study of a sweep as its ledger: lease, writes, projection."""

from sweep.ledger.ledger import Ledger, list_sweeps
from sweep.projection import NAN_REASON, Attempt, Candidate, Projection

__all__ = ["NAN_REASON", "Attempt", "Candidate", "Ledger", "Projection", "list_sweeps"]
