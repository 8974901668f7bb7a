"""A connection to Ray, what its hosts hold, and a warning when none is left."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Read by Ray at import or at start; a user's own values win.
_RAY_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # Under `uv run` Ray would send the current folder to every worker, and refuse a large one.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    # The searcher makes a trial only for a free slot, so that no more wait than there are slots. A
    # limit of one would start workers one after another; and the worker of a slot that falls free
    # would go to the trial that waits, and its own, half started, would be thrown away.
    "TUNE_MAX_PENDING_TRIALS_PG": "10000",
}
for _name, _value in _RAY_VARIABLES.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402

from sweep.errors import UsageError  # noqa: E402
from sweep.ray.machine import this_machine  # noqa: E402
from sweep.ray.nodes import OPEN_TO_ALL, hosts_without_token, refuse_other_versions  # noqa: E402
from sweep.ray.resources import (  # noqa: E402
    Host,
    ResourceRequest,
    Resources,
    count_slots,
    decide,
    refuse_too_large,
)
from sweep.ray.start import explained, patiently, start_here  # noqa: E402
from sweep.util.redaction import redact  # noqa: E402

_log = logging.getLogger(__name__)

#: Host and port of a cluster's address; "auto" and "local" have none.
_PLACE = re.compile(r"^(?:[a-z]+://)?\[?(?P<host>[^/@\]]+)\]?:(?P<port>\d{1,5})$")
_ANSWER_SECONDS = 5.0
#: How often the cluster is asked for its size, since nodes come and go.
RESOURCE_PERIOD_SECONDS = 2.0
#: How often the driver repeats that it waits for a host.
REMINDER_SECONDS = 60.0


def worker_environment() -> dict[str, str]:
    """What workers of a cluster that others started must have set: Ray's variables, no others.

    Addresses and passwords stay on the driver, for only the driver writes ledger and tracking.
    """
    return {name: os.environ[name] for name in _RAY_VARIABLES if name in os.environ}


@contextmanager
def ray_cluster(request: ResourceRequest) -> Iterator[Resources]:
    """A connection to Ray; one that exists already (in a notebook, say) is used and left open.

    Yields:
        What a trial takes there.

    Raises:
        UsageError: No host holds a trial, or one has another version.
    """
    if ray.is_initialized():
        yield _decided(request)
        return
    try:
        _connect(request)
        yield _decided(request)
    finally:
        ray.shutdown()


def _decided(request: ResourceRequest) -> Resources:
    resources = decide(request, hosts())
    refuse_too_large(hosts(), resources)
    return resources


def _connect(request: ResourceRequest) -> None:
    if request.address is not None:
        join(request.address)
        refuse_other_versions()
        if names := hosts_without_token():
            _log.warning("Ray on %s %s", ", ".join(names), OPEN_TO_ALL)
    else:
        here = this_machine()
        wanted = (request.workers or 1) * decide(request, [here]).cpus
        # More CPUs than there are, if the user asks for them.
        start_here(max(int(here.cpus), wanted), int(here.gpus), request.niceness)


def join(address: str) -> None:
    """Connect to a running cluster; `ray.shutdown` ends it.

    Raises:
        UsageError: Nothing listens there, which Ray itself would try for minutes, or what listens
            is no head of Ray or refuses the token.
        ClusterError: Ray does not get there.
    """
    place = _PLACE.search(address)
    if place is not None:
        try:
            socket.create_connection((place["host"], int(place["port"])), _ANSWER_SECONDS).close()
        except OSError as error:
            raise UsageError(
                f"no Ray cluster answers at {redact(address)} ({error.strerror or error}); does "
                "its head run, and is this the head's own port, 6379 unless changed?"
            ) from error
    with explained(f"cannot join the Ray cluster at {redact(address)}"):
        try:
            patiently(
                lambda: ray.init(
                    address=address,
                    runtime_env={"env_vars": worker_environment()},
                    log_to_driver=False,
                    logging_level="error",
                )
            )
        except ConnectionError as error:
            raise UsageError(
                f"cannot join a Ray cluster at {redact(address)} ({str(error).splitlines()[0]}); "
                "does its head run? One with a token expects RAY_AUTH_MODE=token and the token in "
                "RAY_AUTH_TOKEN or in the file RAY_AUTH_TOKEN_PATH"
            ) from error


def hosts() -> list[Host]:
    """Hosts of the cluster now, those without CPUs among them."""
    return [Host.from_node(node) for node in ray.nodes() if node["Alive"]]


def slot_counter(resources: Resources) -> Callable[[], int]:
    """A function that says how many trials the cluster holds now."""
    asked_at, known = -RESOURCE_PERIOD_SECONDS, 0
    watch = HostWatch()

    def total() -> int:
        nonlocal asked_at, known
        if time.monotonic() - asked_at >= RESOURCE_PERIOD_SECONDS:
            asked_at, known = time.monotonic(), count_slots(hosts(), resources)
            watch.see(known, asked_at)
        return known

    return total


class HostWatch:
    """Says when no host is left that can hold a trial, every minute while it lasts, and the end."""

    def __init__(self) -> None:
        self._had_slots = False
        self._empty_since: float | None = None
        self._said_at = 0.0

    def see(self, num_slots: int, now: float) -> None:
        """Take what the cluster holds.

        Args:
            num_slots: Trials that fit.
            now: Time in seconds, of a clock that never goes back.
        """
        if num_slots:
            if self._empty_since is not None:
                _log.warning("a host is back after %.0f s", now - self._empty_since)
            self._had_slots, self._empty_since = True, None
            return
        if not self._had_slots:  # the sweep has not begun: refusing it is the driver's business
            return
        if self._empty_since is None:
            self._empty_since, self._said_at = now, now - REMINDER_SECONDS
        if now - self._said_at >= REMINDER_SECONDS:
            self._said_at = now
            _log.warning(
                "no host is left that can hold a trial, since %.0f s; the sweep goes on when one "
                "joins the cluster (Ctrl-C ends the wait, `ptxsweep resume` goes on later)",
                now - self._empty_since,
            )
