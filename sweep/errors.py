"""Errors of the sweep platform.

SweepError
├── UsageError         what the user asked for cannot be done as asked (exit code 2)
│   ├── SpaceError     a search space file: message starts with `file:line: key:`
│   ├── NameTaken      a sweep of that name exists
│   ├── UnknownSweep   no sweep of that name
│   └── HoldoutUsed    the hold-out was opened before, and a further use was not asked for
├── LeaseHeld          another driver is writing this ledger
├── LedgerError        the ledger does not hold what it should
├── ClusterError       Ray or Slurm cannot be reached, or do not do what they are asked
├── StorageError      object storage cannot be used, or does not hold what it should
├── TrackingError      MLflow cannot be reached, or does not hold what it should
├── ChampionMoved      another promoter was faster
└── GateRefused        a champion was not promoted; carries the reasons (exit code 3)
"""

from typing import Any


class SweepError(Exception):
    """Base class of every error that `sweep` raises on purpose."""


class UsageError(SweepError):
    """The request cannot be met as it stands; the message says what to change."""


class SpaceError(UsageError):
    """A search space file is invalid; the message carries file, line and key."""


class NameTaken(UsageError):
    """A sweep of that name exists already."""


class UnknownSweep(UsageError):
    """The ledger holds no sweep of that name."""


class HoldoutUsed(UsageError):
    """The hold-out was opened before; opening it again must be asked for."""


class LeaseHeld(SweepError):
    """Another driver holds the lease of this sweep."""


class LedgerError(SweepError):
    """The ledger lacks something it must hold, or holds it in a form we cannot read."""


class TrackingError(SweepError):
    """MLflow cannot be reached, or lacks something it must hold."""


class StorageError(SweepError):
    """Object storage cannot be used, or lacks something it must hold."""


class ClusterError(SweepError):
    """Ray or Slurm cannot be reached, or do not do what they are asked."""


class ChampionMoved(SweepError):
    """Another process changed the aliases of a registered model since they were looked at."""


class GateRefused(SweepError):
    """The promotion gate said no.

    Attributes:
        reasons: Each failed check in a sentence.
        confirmation: The `sweep.promotion.confirmation.Confirmation` that was judged; None where
            the hold-out was not opened.
        cautions: What to know of that evidence besides.
        verdict: The whole `sweep.promotion.gate.Verdict`; None where it was never asked for.
    """

    def __init__(
        self,
        reasons: tuple[str, ...],
        confirmation: Any = None,
        cautions: tuple[str, ...] = (),
        verdict: Any = None,
    ) -> None:
        super().__init__("not promoted: " + "; ".join(reasons))
        self.reasons, self.confirmation, self.cautions = reasons, confirmation, cautions
        self.verdict = verdict
