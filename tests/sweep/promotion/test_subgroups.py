"""Parts of the cases: compared one by one, corrected for their number, named where too small."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from confirming import confirm_now
from tiny_sweep import NAME

from sweep.analysis.intervals import DIFFERENCE, stated_interval
from sweep.promotion.gate import Champion, Gate, verdict
from sweep.promotion.gate_file import Subgroups
from sweep.promotion.promote import promote
from sweep.promotion.subgroups import PartDifference, compare_parts, parts_of
from sweep.storage.home import Home


def drawn(loss_on_ap: float) -> tuple[Any, ...]:
    """Two hundred patients, half of them AP: differences about 0, but for a loss on AP views."""
    rng = np.random.default_rng(7)
    groups = [f"p{number}" for number in range(200)]
    positive = np.arange(200) % 4 == 0
    is_ap = np.arange(200) < 100
    difference = rng.normal(0, 0.1, 200) - loss_on_ap * is_ap
    parts = {"view_ap": is_ap, "view_pa": ~is_ap, "size_q1": positive & (np.arange(200) < 12)}
    return difference, parts, groups, positive


def test_a_part_that_is_worse_stands_out_and_a_small_one_decides_nothing() -> None:
    difference, parts, groups, positive = drawn(0.2)
    ap, pa, small = compare_parts(difference, parts, groups, positive, 0.95)
    assert ap.high is not None
    assert ap.high < -0.1
    assert pa.low is not None
    assert pa.high is not None
    assert pa.low < 0 < pa.high
    assert (small.low, small.high, small.num_groups) == (None, None, 3)
    assert small.span == "too few patients for an interval (3 with 3 cases)"
    assert small.words == "masks in quartile 1 of size, the smallest"
    assert ap.words == "view AP"


def test_the_error_is_shared_among_parts_with_an_interval() -> None:
    difference, parts, groups, positive = drawn(0.0)
    ap, *_ = compare_parts(difference, parts, groups, positive, 0.95)
    assert ap.confidence == pytest.approx(0.975)
    part = parts["view_ap"]
    expected = stated_interval(
        difference[part],
        groups[:100],
        positive[part],
        is_dealt=False,
        ends=DIFFERENCE,
        confidence=0.975,
    )
    assert (ap.low, ap.high) == expected


def test_the_gate_names_each_part_and_fails_on_one_that_is_worse(tiny_home: Home) -> None:
    found = confirm_now(tiny_home, NAME)
    promoted = promote(tiny_home, NAME)
    assert found.subgroups is not None
    assert {part.name for part in found.subgroups["default"]} >= {"view_pa", "size_q1"}
    said = {check.name: check for check in promoted.verdict.checks}
    assert said["dice against the default, view PA"].found.endswith(" patients)")
    few = said["dice against the default, masks in quartile 1 of size, the smallest"]
    assert few.passed
    assert few.found.startswith("too few patients for an interval (")
    worse = PartDifference(
        name="subgroup_north",
        num_cases=30,
        num_groups=28,
        difference=-0.1,
        low=-0.15,
        high=-0.02,
        confidence=0.99,
    )
    bad = dataclasses.replace(found, subgroups={"default": (worse,), "champion": (worse,)})
    with_it = projected(tiny_home)
    (reason,) = verdict(bad, with_it).reasons
    assert reason == (
        "dice against the default, subgroup north: found -0.1000 (99% interval -0.1500 to -0.0200, "
        "28 patients), expected an upper end of at least +0.0000"
    )
    itself = Champion(name="m", version="1", is_winner=True)
    assert "against the default, subgroup" in verdict(bad, with_it, champion=itself).reasons[0]
    for subgroups in (None, Subgroups(by=("view",)), Subgroups(max_loss=0.02)):
        gate = Gate(subgroups=subgroups)
        assert verdict(bad, with_it, gate=gate).passed
        assert gate.eased
    older = dataclasses.replace(found, subgroups=None)
    (reason,) = verdict(older, with_it).reasons
    assert reason.startswith("subgroups: found none, in what an earlier version kept, expected")


def test_a_hold_out_that_is_spent_still_shows_a_loss_on_a_part(tiny_home: Home) -> None:
    """At a higher confidence fewer parts are worse, so each use would let more pass."""
    first, second = (confirm_now(tiny_home, NAME, again=again) for again in (False, True))
    assert second.confidence > first.confidence
    assert second.subgroups == first.subgroups


def projected(home: Home) -> Any:
    from sweep.storage.sweep import Sweep

    with Sweep.open(home, NAME) as sweep:
        return sweep.projection


def test_a_subgroup_of_the_import_is_a_part(tiny_home: Home) -> None:
    from pathlib import Path

    from ptxcore.data.splits.fold_plan import FoldPlan
    from ptxcore.data.store.case_store import CaseStore
    from ptxcore.metrics import load_table

    confirm_now(tiny_home, NAME)
    folder = tiny_home.sweep_folder(NAME)
    table = load_table(folder / "confirmation" / "use-1" / "0001.npz")
    plan = FoldPlan.load(folder / "plan.json")
    store = CaseStore.open(Path(str(projected(tiny_home).header.store)))
    assert not any(name.startswith("subgroup_") for name in parts_of(table, store, plan.search))
    store.cases = tuple(
        dataclasses.replace(case, subgroup="north" if number % 2 else "south")
        for number, case in enumerate(store.cases)
    )
    parts = parts_of(table, store, plan.search)
    assert (parts["subgroup_north"] ^ parts["subgroup_south"]).all()
