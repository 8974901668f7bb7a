"""What `ptxsweep confirm` trains on, and what it refuses; a whole one is in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_store import drawn_store
from tiny_sweep import NAME, RATES, SETTINGS, copy_sweep

from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import FoldPlanError
from sweep.analysis.confirmed import promoted_sweep
from sweep.confirm import best_trials, confirm, confirming_space, fresh_plan
from sweep.errors import GateRefused, NameTaken, SpaceError, UnknownSweep, UsageError
from sweep.ledger import Ledger
from sweep.ledger.evidence import Evidence
from sweep.records import SweepState
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

SPACE = """
name: tiny
objective: {metric: average_precision}
folds: 2
policy: {name: greedy, num_trials: 9, num_completions: 4}
pruner: {name: same_epoch, n_startup_trials: 3}
candidates: [{learning_rate: 0.001}]
fixed: {image_size: 32, channels: 6}
parameters:
  learning_rate: {type: float, low: 1.0e-6, high: 1.0e-1, log: true, default: 1.0e-6}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CaseStore:
    folder = tmp_path_factory.mktemp("cases")
    return drawn_store(folder / "store", num_cases=60, num_positive=24, side_px=16)


@pytest.mark.parametrize("seed", range(5))
def test_fresh_folds_are_others_and_never_of_the_hold_out(store: CaseStore, seed: int) -> None:
    plan = make_plan(store, num_folds=5, seed=seed, holdout_fraction=0.25)
    fresh = fresh_plan(plan, store)
    assert fresh.holdout == plan.holdout
    assert fresh_plan(plan, store).digest == fresh.digest != plan.digest
    groups = {case.case_id: case.group for case in store.cases}
    locked = {groups[name] for name in plan.holdout}
    seen = [{groups[name] for name in fold} for fold in fresh.search.folds]
    for fold in range(fresh.num_folds):
        parts = fresh.search.held(fold), fresh.search.training(fold), fresh.search.monitor(fold)
        held, trained, watched = ({groups[name] for name in part} for part in parts)
        assert held.isdisjoint(trained | watched)
        assert locked.isdisjoint(held | trained | watched)
    assert sum(map(len, seen)) == len(set().union(*seen))  # no patient in two folds
    positives = [
        sum(store.cases[store.index(name)].is_positive for name in fold)
        for fold in fresh.search.folds
    ]
    assert max(positives) - min(positives) <= 1
    assert set(map(frozenset, fresh.search.folds)).isdisjoint(map(frozenset, plan.search.folds))


def test_too_few_patients_for_other_folds(tmp_path: Path) -> None:
    cases = drawn_store(tmp_path / "store", num_cases=6, num_positive=6, side_px=16)
    plan = make_plan(cases, num_folds=2, holdout_fraction=0.3)
    with pytest.raises(FoldPlanError, match="found the search's own folds again"):
        fresh_plan(plan, cases)


def test_the_best_are_listed_and_each_gets_all_its_folds(tiny_home: Home) -> None:
    copy_sweep(tiny_home, "other", [0, 1], space_text=SPACE)
    with Sweep.open(tiny_home, "other") as sweep:
        assert [trial.number for trial in best_trials(sweep.projection)] == [1, 0]
        space = confirming_space(sweep, 5)
    assert [listed["learning_rate"] for listed in space.candidates] == [0.03]  # the default is 0
    assert (space.policy.name, space.policy.num_trials, space.pruner.name) == (
        "standard",
        2,
        "none",
    )
    assert space.policy.num_completions is None
    assert space.fixed == {"image_size": 32, "channels": 6}
    assert RATES.low == space.parameters["learning_rate"].low
    assert SETTINGS["image_size"] == space.fixed["image_size"]


def test_what_cannot_be_confirmed_spends_nothing(tiny_home: Home) -> None:
    with pytest.raises(SpaceError, match="the ledger does not hold its search space"):
        confirm(tiny_home, NAME)  # of a version that did not keep it
    with pytest.raises(UnknownSweep, match="nothing"):
        confirm(tiny_home, "nothing")
    copy_sweep(tiny_home, "first.confirm", [0, 1], confirms="first", space_text=SPACE)
    with pytest.raises(UsageError, match="itself the confirmation of 'first'"):
        confirm(tiny_home, "first.confirm")
    copy_sweep(tiny_home, "open", [0, 1], space_text=SPACE)
    ledger = Ledger.open(tiny_home.ledger_url, "open")
    ledger.acquire("test")
    ledger.set_sweep_state(SweepState.INTERRUPTED, "Ctrl-C")
    ledger.close()
    with pytest.raises(GateRefused, match="sweep: found interrupted"):
        confirm(tiny_home, "open")
    copy_sweep(tiny_home, "taken", [0, 1], space_text=SPACE)
    copy_sweep(tiny_home, "taken.confirm", [0, 1])  # a search that has the name
    with pytest.raises(NameTaken, match=r"taken\.confirm"):
        confirm(tiny_home, "taken")
    for name in (NAME, "open", "taken"):
        assert Evidence(tiny_home.ledger_url, name).uses() == []


def test_which_sweep_is_promoted(tiny_home: Home) -> None:
    url = tiny_home.ledger_url
    assert promoted_sweep(url, NAME) == NAME
    copy_sweep(tiny_home, f"{NAME}.confirm", [1, 0], confirms=NAME)
    assert promoted_sweep(url, NAME) == f"{NAME}.confirm"
    ledger = Ledger.open(url, f"{NAME}.confirm")
    ledger.acquire("test")
    ledger.set_sweep_state(SweepState.INTERRUPTED, "Ctrl-C")
    ledger.close()
    with pytest.raises(UsageError, match=r"`ptxsweep confirm tiny` goes on with it"):
        promoted_sweep(url, NAME)
    copy_sweep(tiny_home, "second", [0, 1])
    copy_sweep(tiny_home, "second.confirm", [], confirms="second")
    assert promoted_sweep(url, "second") == "second"  # its budget ended before a trial was complete
