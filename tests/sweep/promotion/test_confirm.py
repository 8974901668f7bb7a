"""Confirmation on a real store, plan, ledger and trained networks."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from confirming import confirm_now, kept_confirmation
from tiny_sweep import NAME

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import CheckpointError, FoldPlanError
from ptxcore.inference import Ensemble
from ptxcore.metrics import (
    build_table,
    choose_rule,
    concatenate,
    count_case,
    load_table,
    measure_surface,
    per_case_dice,
    size_quartiles,
    summarize,
    summarize_groups,
    summarize_surfaces,
)
from ptxcore.models import load_weights, save_weights
from sweep.analysis.intervals import SHARE, stated_interval
from sweep.errors import HoldoutUsed, UsageError
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.evidence import Evidence
from sweep.storage.home import Home


def test_the_hold_out_scores_the_ensemble_of_folds(tiny_home: Home) -> None:
    """The same numbers by hand: the mean probability, and a rule from out-of-fold cases alone."""
    seen: list[tuple[int, int]] = []
    found = confirm_now(tiny_home, NAME, on_progress=lambda done, total: seen.append((done, total)))
    folder = tiny_home.sweep_folder(NAME)
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    plan, store = FoldPlan.load(folder / "plan.json"), CaseStore.open(Path(ledger.header.store))
    best = ledger.projection.best()
    assert best is not None
    assert best.number == found.trial == 1
    scores = [best.folds[fold] for fold in range(2)]
    tables = [load_table(folder / str(one.cases)) for one in scores]
    assert not set(plan.holdout) & set(concatenate(tables).case_ids.tolist())
    rule = choose_rule(concatenate(tables))
    ensemble = Ensemble.load([folder / str(one.weights) for one in scores], rule=rule)
    names = sorted(plan.holdout)
    rows, outlines = [], []
    for name in names:
        index = store.index(name)
        image, mask = store.image(index), store.mask(index)
        rows.append(count_case(ensemble.logits(image), mask))
        outlines.append(measure_surface(ensemble.mask(image), mask, (0.14, 0.14)))
    table = build_table(names, rows, views=["PA"] * len(names), surfaces=outlines)
    areas = [case.mask_px for case in store.cases if case.case_id not in plan.holdout]
    assert len(areas) == len(store.cases) - len(names)
    expected = (
        summarize(table, rule)
        | summarize_surfaces(table)
        | summarize_groups(table, rule, quartiles=size_quartiles(areas))
    )
    assert found.rule == rule
    assert found.metrics == pytest.approx(expected)
    assert found.metrics["num_with_spacing"] == found.num_cases
    assert sum(found.metrics[f"num_cases_size_q{n}"] for n in (1, 2, 3, 4)) == found.num_positive
    assert found.metrics["num_cases_view_pa"] == found.num_cases
    assert found.baseline == pytest.approx(1 - found.num_positive / found.num_cases)
    assert found.gain > 0.2
    assert found.default is not None
    assert found.difference == pytest.approx(found.metrics["dice"] - found.default["dice"])
    for key in ("dice", "surface_dice_positive", "hausdorff95_positive_mm"):
        low, high = found.intervals[key]
        assert low <= found.metrics[key] <= high
    assert found.stated.keys() == found.intervals.keys()
    groups = [store.cases[store.index(name)].group for name in names]
    dice = per_case_dice(table, rule)
    printed = stated_interval(dice, groups, table.truth.sum(1) > 0, is_dealt=True, ends=SHARE)
    assert found.stated["dice"] == pytest.approx(printed)
    assert found.stated_span("dice").startswith("95% interval")
    assert found.span("dice").endswith("on the safe side")
    assert seen[-1] == (len(names), len(names))
    assert (found.use, found.num_uses) == (1, 1)
    assert found.plan_digest == plan.digest
    kept = load_table(folder / "confirmation" / "use-1" / "0001.npz")
    assert kept.case_ids.tolist() == names
    np.testing.assert_array_equal(kept.surfaces, np.array(outlines))


def test_a_network_that_finds_nothing_is_a_diagonal_off(tiny_home: Home) -> None:
    """A miss counts: it neither vanishes from the means nor has a distance of its own."""
    trial = tiny_home.sweep_folder(NAME) / "trials" / "0000"
    for number in (0, 1):
        folder = trial / f"fold-{number}" / "attempt-1" / "best"
        network, settings = load_weights(folder)
        with torch.no_grad():
            for head in network.parameters():
                head.zero_()
            list(network.parameters())[-1].fill_(-20.0)  # the head's bias
        save_weights(folder, network, settings)
    default = confirm_now(tiny_home, NAME).default
    assert default is not None
    assert default["dice_positive"] == default["surface_dice_positive"] == 0
    diagonal = math.hypot(32 * 0.14, 32 * 0.14)
    assert default["hausdorff95_positive_mm"] == pytest.approx(diagonal)
    assert default["hausdorff95_mm"] == pytest.approx(default["hausdorff95_mm_all_empty"])
    assert default["dice_size_q1"] == default["case_sensitivity_size_q1"] == 0


def test_a_confirmation_is_read_back_as_it_was(tiny_home: Home) -> None:
    assert kept_confirmation(tiny_home, NAME) is None
    found = confirm_now(tiny_home, NAME)
    again = kept_confirmation(tiny_home, NAME)
    assert again is not None
    assert vars(again).keys() == vars(found).keys()
    for key, value in vars(found).items():
        np.testing.assert_equal(getattr(again, key), value)  # NaN equals NaN here


def test_a_second_use_must_be_asked_for_and_is_counted(tiny_home: Home) -> None:
    first = confirm_now(tiny_home, NAME)
    with pytest.raises(HoldoutUsed, match="used 1 time"):
        confirm_now(tiny_home, NAME)
    second = confirm_now(tiny_home, NAME, again=True, purpose="a look")
    assert (second.use, second.num_uses) == (2, 2)
    assert second.metrics == first.metrics
    uses = Evidence(tiny_home.ledger_url, NAME).uses()
    assert [one.purpose for one in uses] == ["confirmation of the winner", "a look"]
    assert all(one.result and one.git_sha and one.timestamp for one in uses)
    assert uses[0].trials == (1, 0)
    assert list_sweeps(tiny_home.ledger_url) == [NAME]  # the evidence is no sweep


def test_a_use_is_written_before_the_hold_out_is_opened(tiny_home: Home) -> None:
    """A process that dies while it scores has used the hold-out."""

    class Killed(BaseException):
        pass

    def die(done: int, total: int) -> None:
        raise Killed("in the middle")

    with pytest.raises(Killed, match="in the middle"):
        confirm_now(tiny_home, NAME, on_progress=die)
    (use,) = Evidence(tiny_home.ledger_url, NAME).uses()
    assert use.result is None
    assert kept_confirmation(tiny_home, NAME) is None
    with pytest.raises(HoldoutUsed, match=r"used 1 time.*if another process is scoring now"):
        confirm_now(tiny_home, NAME)
    assert confirm_now(tiny_home, NAME, again=True).use == 2


def test_damaged_weights_spend_no_hold_out(tiny_home: Home) -> None:
    weights = tiny_home.sweep_folder(NAME) / "trials" / "0001" / "fold-1" / "attempt-1" / "best"
    content = bytearray((weights / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (weights / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="SHA-256"):
        confirm_now(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []


def test_weights_that_are_gone(tiny_home: Home) -> None:
    trials = tiny_home.sweep_folder(NAME) / "trials"
    for number in ("0000", "0001"):
        (trials / number / "fold-0" / "attempt-1" / "best").rename(
            trials / number / "kept-elsewhere"
        )
        if number == "0000":  # without the default the winner is confirmed all the same
            found = confirm_now(tiny_home, NAME)
            assert found.default is None
            assert found.difference is None
            assert "difference" not in found.intervals
    with pytest.raises(UsageError, match="weights of trial 1 are gone"):
        confirm_now(tiny_home, NAME, again=True)


def test_another_plan_is_refused(tiny_home: Home) -> None:
    path = tiny_home.sweep_folder(NAME) / "plan.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    text["holdout"] = text["holdout"][1:]
    path.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(FoldPlanError, match="digest"):
        confirm_now(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []


def test_tables_of_other_cases_are_refused(tiny_home: Home) -> None:
    """An out-of-fold table that is not the fold's own could hide training cases."""
    trial = tiny_home.sweep_folder(NAME) / "trials" / "0001"
    (trial / "fold-0" / "attempt-1" / "cases.npz").write_bytes(
        (trial / "fold-1" / "attempt-1" / "cases.npz").read_bytes()
    )
    with pytest.raises(FoldPlanError, match="table of fold 0 holds other cases"):
        confirm_now(tiny_home, NAME)


def test_only_one_of_two_processes_is_the_first(tiny_home: Home) -> None:
    """Two begin at once; a compare-and-swap lets one through."""
    Evidence(tiny_home.ledger_url, "other")._make()
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def begin() -> None:
        evidence = Evidence(tiny_home.ledger_url, "other")
        barrier.wait()
        try:
            evidence.begin(purpose="race", git_sha="", holdout_digest="d", trials=[0])
            outcomes.append("first")
        except HoldoutUsed:
            outcomes.append("refused")

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(outcomes) == ["first", "refused"]
    assert len(Evidence(tiny_home.ledger_url, "other").uses()) == 1
