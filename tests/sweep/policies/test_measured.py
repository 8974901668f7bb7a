"""What a policy costs in replays, for a forecast."""

from __future__ import annotations

from sweep.policies import PolicySpec, measured_like
from sweep.policies._measured import _all
from sweep.pruners import PrunerSpec
from sweep.util.strict import choose


def spec(name: str, **given: object) -> PolicySpec:
    return choose(PolicySpec, {"name": name, **given})


def test_the_nearest_size_and_the_same_end_are_taken() -> None:
    found = measured_like(spec("greedy", num_trials=150), "none", 8)
    assert found is not None
    assert (found.num_trials, found.num_folds, found.end) == (200, 10, "10 complete")
    found = measured_like(spec("greedy", num_completions=2), "same_epoch", 5)
    assert found is not None
    assert (found.num_trials, found.end) == (40, "3 complete")
    for gain in (0.25, "0.8 errors"):
        found = measured_like(spec("expected_improvement", min_gain=gain), "none", 5)
        assert found is not None
        assert (found.num_trials, found.end) == (40, str(gain))


def test_a_wave_is_told_by_its_looks() -> None:
    for epochs in ([10], [2, 5]):
        found = measured_like(spec("wave", epochs=epochs), "none", 5)
        assert found is not None
        assert (found.num_looks, found.num_trials, found.num_folds) == (len(epochs), 40, 5)


def test_every_policy_was_measured_and_what_was_not_has_no_figures() -> None:
    assert {one.policy for one in _all()} == PolicySpec.known.keys()
    assert {one.pruner for one in _all()} <= PrunerSpec.known.keys()
    assert all(0 < one.cost <= 1 and one.regret >= 0 and 0 <= one.hit <= 1 for one in _all())
    assert measured_like(spec("greedy"), "median", 5) is None
