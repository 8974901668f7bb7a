"""The comparison of first waves speaks of the wave that ships, at every length of fold."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweep.policies._wave import WaveSpec, usual_keep
from sweep.simulate import Cluster, load_table, parse_arm, replay_seeds
from sweep.space import load_space

TESTS = Path(__file__).resolve().parent


@pytest.fixture(name="bench_epochs", scope="module")
def _bench_epochs() -> SimpleNamespace:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TESTS / "benchmarks")
        return SimpleNamespace(**runpy.run_path(str(TESTS / "benchmarks" / "bench_epochs.py")))


def test_the_shipped_wave_is_the_one_of_the_space(bench_epochs: SimpleNamespace) -> None:
    space = load_space("attention_unet")
    policy = space.policy
    assert isinstance(policy, WaveSpec)
    arm = bench_epochs.arms(space.fixed["max_epochs"])[bench_epochs.SHIPPED]
    assert (arm.policy, arm.min_gain) == (policy.name, policy.min_gain)
    assert arm.settings["epochs"] == policy.epochs
    assert arm.settings["keep"] == policy.keep
    assert usual_keep(policy.num_trials, 1) == (0.35,)  # as the label says


def test_looks_and_warm_ups_are_shares_of_a_fold(bench_epochs: SimpleNamespace) -> None:
    short, long = bench_epochs.arms(12), bench_epochs.arms(60)
    assert [*short] == [*long]
    for label, (shares, *_) in bench_epochs.LOOKS.items():
        for arm, num_epochs in ((short[label], 12), (long[label], 60)):
            assert arm.settings["epochs"] == [round(share * num_epochs) for share in shares]
    for label, epochs in ((bench_epochs.BEFORE, 3), (bench_epochs.GREEDY, 2)):
        assert short[label].pruner.model_dump()["n_warmup_steps"] == epochs
        assert long[label].pruner.model_dump()["n_warmup_steps"] == epochs * 5


def test_pairs_by_hand(bench_epochs: SimpleNamespace) -> None:
    tables = [
        load_table(TESTS / "data" / "curves" / f"sk_{name}_sgd_curves_k5.npz")
        for name in ("wine", "digits")
    ]
    one, other = (
        [replay_seeds(table, parse_arm(name), Cluster(), [0]) for table in tables]
        for name in ("greedy:1", "standard")
    )
    found = bench_epochs.paired(one, other)
    assert found["epochs_ratio"] == pytest.approx(
        sum(result.outcome.cost_epochs for result in one) / 2, abs=1e-4
    )
    a, b = (result.outcome.regret for result in one)
    assert found["regret_more"] == pytest.approx((a + b) / 2, abs=1e-4)
    # Standard deviation of two values, over the square root of two: half their difference.
    assert found["regret_more_width"] == pytest.approx(1.96 * abs(a - b) / 2, abs=1e-4)
