"""A policy and a pruner are one file each: their class, and their settings beside it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from in_process import Driver, make_controller, memory_storage, new_sweep, toy_fold, toy_space

from sweep.errors import SpaceError
from sweep.ledger import Ledger
from sweep.policies import PolicySpec
from sweep.pruners import NoPruner, PrunerSpec, pruner_spec
from sweep.records import State
from sweep.simulate import Cluster, load_table, parse_arm, replay

TABLE = Path(__file__).resolve().parents[2] / "data" / "tables" / "siim_unet_k5.npz"


@pytest.fixture
def toys() -> Iterator[None]:
    """Both files imported, and forgotten afterwards: other tests ask for all that are known."""
    for module in ("toy_policy", "toy_pruner"):
        importlib.import_module(module)
    yield
    del PolicySpec.known["every_nth"], PrunerSpec.known["floor"]
    for module in ("toy_policy", "toy_pruner"):
        del sys.modules[module]


@pytest.mark.usefixtures("toys")
def test_they_lead_a_live_sweep() -> None:
    space = toy_space(
        policy="every_nth, stride: 3",
        num_trials=8,
        num_completions=None,
        pruner="{name: floor, floor: 0.6}",
    )
    assert space.policy.settings() == {"num_trials": 8, "stride": 3}
    storage = memory_storage()
    ledger = Ledger(storage, new_sweep(storage, space))
    ledger.acquire("test")
    driver = Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=1)
    assert driver.run()
    late = [trial for trial, fold in driver.started[8:]]
    alive = [one.number for one in ledger.projection.trials if one.state is State.COMPLETE]
    stopped = [one for one in ledger.projection.trials if one.state is State.PRUNED]
    # The default goes on below the floor, and of the others those that the stride picks come first.
    assert ledger.projection.trials[0].folds[0].score < 0.6
    assert late == [n for n in (0, 3, 6, 1, 4, 7, 2, 5) if n in alive for _ in range(2)]
    assert stopped
    assert all(min(s.score for s in one.folds.values()) < 0.6 for one in stopped)
    driver.controller.close("unused")


@pytest.mark.usefixtures("toys")
def test_they_are_replayed_over_a_table() -> None:
    table = load_table(TABLE)
    floor = float(np.median(table.scores))
    arm = parse_arm("every_nth:3", pruner=pruner_spec("floor", {"floor": floor}))
    assert (arm.num_completions, arm.settings) == (3, {"stride": 2})
    _, run = replay(table, arm, Cluster(), 0)
    assert run.reason == "3 trials completed, 3 were asked for"
    assert {trial % 2 for trial, fold in run.started[40:]} == {0}


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("policy", "pruner", "message"),
    [
        ("every_nth, stride: 0", "{name: none}", r"toy.yaml:5: policy.stride: found 0, expected g"),
        ("every_nth, strid: 2", "{name: none}", r"policy.strid: .*did you mean 'stride'"),
        ("every_nth, min_gain: 1", "{name: none}", r"min_gain: .*policy every_nth knows no gain"),
        ("evry_nth", "{name: none}", r"policy.name: found 'evry_nth', did you mean 'every_nth'"),
        ("greedy", "{name: floor, floor: 2}", r"toy.yaml:6: pruner.floor: found 2, expected less"),
        ("greedy", "{name: flor}", r"pruner.name: found 'flor', did you mean 'floor'"),
    ],
)
def test_mistakes_have_their_line(policy: str, pruner: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        toy_space(policy=policy, num_trials=8, num_completions=None, pruner=pruner)


def test_without_their_files_they_are_unknown() -> None:
    with pytest.raises(SpaceError, match="found 'every_nth', expected one of: expected_improveme"):
        toy_space(policy="every_nth")
    with pytest.raises(SpaceError, match="found 'floor', expected one of: none, "):
        toy_space(pruner="{name: floor}")


def test_one_name_is_one_class() -> None:
    with pytest.raises(TypeError, match="'none' is NoPruner already"):
        type("Other", (NoPruner,), {"__module__": __name__})
    assert PrunerSpec.known["none"] is NoPruner
