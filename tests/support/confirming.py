"""The hold-out of a sweep by its name: used now, or as it was used last."""

from __future__ import annotations

from typing import Any

from sweep.promotion.confirm import confirm
from sweep.promotion.confirmation import Confirmation, last_confirmation
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep


def confirm_now(home: Home, name: str, **how: Any) -> Confirmation:
    """As `sweep.promotion.confirm.confirm`."""
    with Sweep.open(home, name) as sweep:
        return confirm(sweep, **how)


def kept_confirmation(home: Home, name: str) -> Confirmation | None:
    """As `sweep.promotion.confirmation.last_confirmation`."""
    with Sweep.open(home, name) as sweep:
        return last_confirmation(sweep)
