"""Stop a sweep that another process drives, wherever that is: a wish in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sweep.errors import UsageError
from sweep.ledger import Driver, StopRequest, driver_of, open_study, request_stop
from sweep.ledger.catalog import read_state
from sweep.ledger.connection import shared_clock
from sweep.records import SweepState
from sweep.storage.home import Home

#: Between two looks at the ledger.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What became of a wish to stop.

    Attributes:
        name: Name of the sweep.
        driver: What its driver calls itself.
        has_ended: Whether the driver is gone.
        state: Where the sweep stands.
        reason: Why it is in that state.
    """

    name: str
    driver: str
    has_ended: bool
    state: SweepState
    reason: str | None


def stop(
    home: Home,
    name: str,
    *,
    now: bool = False,
    wait: bool = True,
    on_wait: Callable[[Driver, float], None] = lambda driver, seconds: None,
    pause: Callable[[float], None] = time.sleep,
) -> Stopped:
    """Ask the driver of a sweep to end it; it can be resumed.

    Every running fold ends its epoch, which is then on disk, and none begins.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        now: Whether running epochs are cut off instead.
        wait: Whether to wait until the driver is gone.
        on_wait: Called again and again with the driver and the seconds waited so far.
        pause: Waits for some seconds.

    Raises:
        UsageError: There is no such sweep, or no driver is at work on it.
    """
    with open_study(home.ledger_url, name) as (storage, study):
        clock = shared_clock(storage)
        driver = driver_of(storage, study, clock)

        def standing(*, has_ended: bool, owner: str) -> Stopped:
            state, reason = read_state(storage, study)
            return Stopped(name=name, driver=owner, has_ended=has_ended, state=state, reason=reason)

        if driver is None:
            found = standing(has_ended=True, owner="")
            raise UsageError(
                f"no driver is at work on the sweep {name!r}, which is {found.state}; there is "
                "nothing to stop"
            )
        request_stop(storage, study, StopRequest(token=driver.token, now=now))
        began = time.monotonic()
        if wait:
            on_wait(driver, 0.0)
        while wait and driver_of(storage, study, clock) == driver:
            pause(_LOOK_SECONDS)
            on_wait(driver, time.monotonic() - began)
        return standing(has_ended=wait, owner=driver.owner)
