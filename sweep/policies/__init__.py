"""Which fold next: pure policies over events, each in one file with its settings.

A policy sees events and answers `decide`; it has no clock, no randomness and no Ray. The same
object runs in a live sweep and over a recorded table.
"""

from sweep.policies._base import IndexedPolicy, Policy, Rung, first_rung, pause_after
from sweep.policies._expected_improvement import MIN_GAIN, ExpectedImprovement
from sweep.policies._greedy import Greedy, GreedySpec
from sweep.policies._halving import GreedyHalving, Halving
from sweep.policies._intensify import Intensify
from sweep.policies._least_gain import LeastGain, least_gain
from sweep.policies._measured import Measured, measured_like
from sweep.policies._spec import PolicySpec, make_policy, policy_named, policy_spec
from sweep.policies._standard import Standard
from sweep.policies._wave import Wave
from sweep.util.strict import import_all

__all__ = [
    "MIN_GAIN",
    "ExpectedImprovement",
    "Greedy",
    "GreedyHalving",
    "GreedySpec",
    "Halving",
    "IndexedPolicy",
    "Intensify",
    "LeastGain",
    "Measured",
    "Policy",
    "PolicySpec",
    "Rung",
    "Standard",
    "Wave",
    "first_rung",
    "least_gain",
    "make_policy",
    "measured_like",
    "pause_after",
    "policy_named",
    "policy_spec",
]

import_all(__name__)
