"""What we borrow of Ray's private parts, all of it: parking a trial, and whether a host is open.

Ray promises none of this, so pyproject.toml ends below its next minor release, and
`tests/sweep/ray/test_compat.py` says what is gone when that bound is raised.
"""

from __future__ import annotations

from typing import Any


def park(tune_controller: Any, trial: Any) -> None:
    """Park a trial that Ray put back in its queue; schedulers may ask that of a result alone."""
    tune_controller._set_trial_status(trial, trial.PAUSED)


def asks_for_token() -> bool:
    """Whether Ray on this host asks clients for the cluster's token."""
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    return bool(is_token_auth_enabled())
