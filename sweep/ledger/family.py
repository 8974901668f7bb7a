"""A sweep with all that has its name: its confirmation on fresh folds, and the evidence of both."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sweep.errors import LeaseHeld, UsageError
from sweep.ledger.catalog import open_study
from sweep.ledger.connection import readable, shared_clock
from sweep.ledger.evidence import SUFFIX as EVIDENCE
from sweep.ledger.header import SweepHeader
from sweep.ledger.lease import Lease
from sweep.ledger.rename import header_of, study_of
from sweep.ledger.sql import LedgerStorage

#: Of the name of the sweep that trains a sweep's best trials again.
CONFIRMATION = ".confirm"
_LEASE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Family:
    """Studies of a ledger that go with one sweep.

    Attributes:
        name: Name of the sweep.
        storage: Where they are; open.
        sweeps: Optuna's ids of the sweep and, if there is one, of its confirmation, by name.
        headers: What was fixed when they were created, likewise.
        evidence: Optuna's ids of their evidence, as far as there is any, by name.
    """

    name: str
    storage: LedgerStorage
    sweeps: Mapping[str, int]
    headers: Mapping[str, SweepHeader]
    evidence: Mapping[str, int]

    @property
    def confirmation(self) -> str | None:
        """Name of the confirmation, None where there is none."""
        name = self.name + CONFIRMATION
        return name if name in self.sweeps else None


@contextmanager
def held_family(storage_url: str, name: str, what: str) -> Iterator[Family]:
    """A sweep with what belongs to it; no driver can begin on it inside the block.

    Args:
        storage_url: SQLAlchemy URL.
        name: Name of the sweep.
        what: What is to be done, for messages: "renamed".

    Raises:
        UsageError: There is no such sweep, or it is the confirmation of another one.
        LeaseHeld: A driver is at work on it.
    """
    with open_study(storage_url, name) as (storage, _), contextlib.ExitStack() as leases:
        with readable():
            family = _family(storage, name, what)
        clock, owner = shared_clock(storage), f"{socket.gethostname()}:{os.getpid()}"
        for own, study in family.sweeps.items():
            try:
                lease = Lease(storage, study, owner, _LEASE_SECONDS, clock)
            except LeaseHeld as error:
                raise LeaseHeld(
                    f"{own} cannot be {what} while it runs; `ptxsweep stop {own}` stops it "
                    f"({error})"
                ) from error
            leases.callback(lease.release)
        yield family


def _family(storage: LedgerStorage, name: str, what: str) -> Family:
    sweeps, headers, evidence = {}, {}, {}
    for own in (name, name + CONFIRMATION):
        study = study_of(storage, own)
        header = None if study is None else header_of(storage, study)
        if study is None or header is None:
            continue
        if own == name and header.confirms is not None:
            raise UsageError(
                f"{name!r} is the confirmation of {header.confirms!r}, expected a search; it is "
                f"{what} with it"
            )
        if own != name and header.confirms != name:  # of this name, and another sweep
            continue
        sweeps[own], headers[own] = study, header
        if (kept := study_of(storage, own + EVIDENCE)) is not None:
            evidence[own + EVIDENCE] = kept
    return Family(name=name, storage=storage, sweeps=sweeps, headers=headers, evidence=evidence)
