"""Which fold next: pure policies over events.

A policy sees events and answers `decide`; it has no clock, no randomness and no Ray. The same
object runs in a live sweep and over a recorded table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from sweep.errors import UsageError
from sweep.policies._base import Policy
from sweep.policies._chance import WORTH, Chance
from sweep.policies._greedy import Greedy
from sweep.policies._halving import GreedyHalving, Halving
from sweep.policies._intensify import Intensify
from sweep.policies._standard import Standard

__all__ = [
    "POLICIES",
    "WORTH",
    "Chance",
    "Greedy",
    "GreedyHalving",
    "Halving",
    "Intensify",
    "Policy",
    "Standard",
    "make_policy",
]

POLICIES: dict[str, Callable[..., Policy]] = {
    "chance": Chance,
    "greedy": Greedy,
    "greedy_halving": GreedyHalving,
    "halving": Halving,
    "intensify": Intensify,
    "standard": Standard,
}


def make_policy(name: str, settings: Mapping[str, Any], num_folds: int) -> Policy:
    """Build a policy by name.

    Args:
        name: One of `POLICIES`.
        settings: Keyword arguments of the policy, `num_trials` among them.
        num_folds: Folds of a complete candidate, at least 1.

    Raises:
        UsageError: There is no policy of that name, or it refuses its settings.
    """
    if name not in POLICIES:
        close = get_close_matches(name, POLICIES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(POLICIES)}"
        raise UsageError(f"policy: found {name!r}, which does not exist; {hint}")
    return POLICIES[name](**settings, num_folds=num_folds)
