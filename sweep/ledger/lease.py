"""The lease: one driver writes a ledger, and a second one is told which process holds it.

What is guaranteed. Taking, renewing and giving back are atomic in the database. A lease can be
taken over once it has expired, or at once when its holder was a process of this machine that is
gone. Before every write the holder looks at its own clock and, past half of the lease's life,
renews it in the database first; it is refused there if another driver took over. So no write
*starts* under a lost lease: all drivers go by the database's clock, not by their machines'. And
none *ends* under one: on SQLite and PostgreSQL every transaction looks at `fence` before it
commits, so a write that stalls until another driver took over is rolled back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from sweep.errors import LeaseHeld
from sweep.ledger.connection import Database, compare_and_swap, patiently, read_attribute
from sweep.ledger.sql import Fence

LEASE_KEY = "ptxsweep:lease"
_LOOK_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Lease:
    """The right to write one study, held by this object until released, lost or expired."""

    def __init__(
        self,
        storage: RDBStorage,
        study_id: int,
        owner: str,
        ttl_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the lease.

        Args:
            storage: Where the study lies.
            study_id: The study.
            owner: Shown to a driver that is refused.
            ttl_seconds: Life without renewal, above 0.
            clock: Seconds since the epoch; all drivers of a ledger must agree on it.

        Raises:
            LeaseHeld: Another driver holds it.
        """
        self._storage, self._study_id = storage, study_id
        self._owner, self._ttl, self._clock = owner, ttl_seconds, clock
        stored = read_attribute(storage, study_id, LEASE_KEY)
        held: dict[str, Any] = {} if stored is None else json.loads(stored)
        if held and held["expires_at"] > clock() and not _is_orphan(held):
            raise LeaseHeld(_refusal(held, clock()))
        self.token = int(held.get("token", 0)) + 1
        self._text = self._swap(stored)

    def check(self) -> None:
        """Call before every write: cheap, and renews when half of the life is over.

        Raises:
            LeaseHeld: Another driver took over.
        """
        if self._clock() >= self._expires_at - self._ttl / 2:
            self.renew()

    @property
    def fence(self) -> Fence:
        """What reads the same until another driver takes over."""
        return Fence(self._study_id, LEASE_KEY, self._text)

    def confirm(self) -> None:
        """Ask the database, whatever the clock says.

        Raises:
            LeaseHeld: Another driver took over.
        """
        text = read_attribute(self._storage, self._study_id, LEASE_KEY)
        if text != self._text:
            raise LeaseHeld(_refusal(json.loads(text or "{}"), self._clock()))

    def renew(self) -> None:
        """Prolong the lease by its whole life.

        Raises:
            LeaseHeld: Another driver took over.
        """
        self._text = self._swap(self._text)

    def release(self) -> None:
        """Give the lease back; nothing happens if another driver has it by now."""
        free = {"token": self.token, "owner": self._owner, "expires_at": 0.0}
        patiently(
            lambda: compare_and_swap(self._storage, self._study_id, LEASE_KEY, self._text, free)
        )

    def _swap(self, stored: str | None) -> str:
        self._expires_at = self._clock() + self._ttl
        value = {
            "token": self.token,
            "owner": self._owner,
            "expires_at": self._expires_at,
            "machine": machine_id(),
            "pid": os.getpid(),
        }
        text = patiently(lambda: self._swapped(stored, value))
        if text is None:
            now = json.loads(read_attribute(self._storage, self._study_id, LEASE_KEY) or "{}")
            raise LeaseHeld(_refusal(now, self._clock()))
        return text

    def _swapped(self, stored: str | None, value: dict[str, Any]) -> str | None:
        """Swap; a second try finds what the first has written if only its answer was lost."""
        text = compare_and_swap(self._storage, self._study_id, LEASE_KEY, stored, value)
        if text is None:
            now = read_attribute(self._storage, self._study_id, LEASE_KEY)
            return now if now == json.dumps(value, sort_keys=True) else None
        return text


def await_silence(
    storage: RDBStorage,
    study_id: int,
    clock: Callable[[], float],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Wait for the lease of a driver that gives no sign of life to run out.

    Comes back as soon as it ran out, was given back, or was renewed: then its driver lives. So a
    dead driver costs the rest of its lease, and a living one is noticed within half of it.

    Args:
        storage: Where the study lies.
        study_id: The study.
        clock: Clock, as for `Lease`.
        pause: Waits for some seconds.
    """
    stored = read_attribute(storage, study_id, LEASE_KEY)
    held: dict[str, Any] = {} if stored is None else json.loads(stored)
    if not held or held["expires_at"] <= clock() or _is_orphan(held):
        return
    left = held["expires_at"] - clock()
    _log.warning(
        "%s drove this sweep; waiting up to %.0f s for a sign of life", held["owner"], left
    )
    while clock() < held["expires_at"]:
        pause(_LOOK_SECONDS)
        if read_attribute(storage, study_id, LEASE_KEY) != stored:
            return


@dataclass(frozen=True, kw_only=True)
class Driver:
    """The driver that holds a lease.

    Attributes:
        owner: What it calls itself, host and process.
        token: Number of the lease; the next driver has another one.
    """

    owner: str
    token: int


def driver_of(
    storage: Database, study_id: int, clock: Callable[[], float] = time.time
) -> Driver | None:
    """The driver that is at work on a sweep, as far as its lease says; None if none is.

    Args:
        storage: Where the study lies.
        study_id: The study.
        clock: Clock, as for `Lease`.
    """
    held: dict[str, Any] = json.loads(read_attribute(storage, study_id, LEASE_KEY) or "{}")
    if not held or held["expires_at"] <= clock() or _is_orphan(held):
        return None
    return Driver(owner=str(held["owner"]), token=int(held["token"]))


def machine_id() -> str:
    """A hash that tells apart machines, boots and process namespaces, and names none of them."""
    parts = [socket.gethostname()]
    for path in (Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id")):
        if path.is_file():
            parts.append(path.read_text(encoding="ascii", errors="replace").strip())
    namespace = Path("/proc/self/ns/pid")
    if namespace.is_symlink():
        parts.append(os.readlink(namespace))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _is_orphan(held: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine and is gone."""
    if held.get("machine") != machine_id():
        return False
    try:
        os.kill(int(held["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _refusal(held: dict[str, Any], now: float) -> str:
    left = max(0.0, float(held.get("expires_at", now)) - now)
    return (
        f"another driver ({held.get('owner', 'unknown')}) writes this sweep, its lease has "
        f"{left:.0f} s left; wait for it to end or, if it is dead, try again after that time"
    )
