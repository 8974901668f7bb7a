"""Confirmation on a real store, plan, ledger and trained networks."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from tiny_sweep import NAME

from ptxcore.data.folds import FoldPlan
from ptxcore.data.store import CaseStore
from ptxcore.errors import CheckpointError, FoldPlanError
from ptxcore.inference import Ensemble
from ptxcore.metrics import build_table, choose_rule, concatenate, count_case, load_table, summarize
from sweep.bootstrap import grouped_interval
from sweep.confirm import confirm
from sweep.confirmation import load_confirmation
from sweep.errors import HoldoutUsed, UsageError
from sweep.evidence import Evidence
from sweep.home import Home
from sweep.ledger import Ledger, list_sweeps


def test_the_hold_out_scores_the_ensemble_of_folds(tiny_home: Home) -> None:
    """The same numbers by hand: the mean probability, and a rule from out-of-fold cases alone."""
    seen: list[tuple[int, int]] = []
    found = confirm(tiny_home, NAME, on_progress=lambda done, total: seen.append((done, total)))
    folder = tiny_home.sweep_folder(NAME)
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    plan, store = FoldPlan.load(folder / "plan.json"), CaseStore.open(Path(ledger.header["store"]))
    best = ledger.projection.best()
    assert best is not None
    assert best.number == found.candidate == 1
    scores = [best.folds[fold] for fold in range(2)]
    tables = [load_table(folder / str(one.cases)) for one in scores]
    assert not set(plan.holdout) & set(concatenate(tables).case_ids.tolist())
    rule = choose_rule(concatenate(tables))
    ensemble = Ensemble.load([folder / str(one.weights) for one in scores], rule=rule)
    names = sorted(plan.holdout)
    rows = []
    for name in names:
        index = store.index(name)
        rows.append(count_case(ensemble.logits(store.image(index)), store.mask(index)))
    expected = summarize(build_table(names, rows), rule)
    assert found.rule == rule
    assert found.metrics == pytest.approx(expected)
    assert found.baseline == pytest.approx(1 - found.num_positive / found.num_cases)
    assert found.gain > 0.2
    assert found.default is not None
    assert found.difference == pytest.approx(found.metrics["dice"] - found.default["dice"])
    low, high = found.intervals["dice"]
    assert low <= found.metrics["dice"] <= high
    assert seen[-1] == (len(names), len(names))
    assert (found.use, found.num_uses) == (1, 1)
    assert found.plan_digest == plan.digest
    kept = load_table(folder / "confirmation" / "use-1" / "0001.npz")
    assert kept.case_ids.tolist() == names


def test_a_confirmation_is_read_back_as_it_was(tiny_home: Home) -> None:
    assert load_confirmation(tiny_home, NAME) is None
    found = confirm(tiny_home, NAME)
    again = load_confirmation(tiny_home, NAME)
    assert again is not None
    assert vars(again).keys() == vars(found).keys()
    for key, value in vars(found).items():
        np.testing.assert_equal(getattr(again, key), value)  # NaN equals NaN here


def test_a_second_use_must_be_asked_for_and_is_counted(tiny_home: Home) -> None:
    first = confirm(tiny_home, NAME)
    with pytest.raises(HoldoutUsed, match="used 1 time"):
        confirm(tiny_home, NAME)
    second = confirm(tiny_home, NAME, again=True, purpose="a look")
    assert (second.use, second.num_uses) == (2, 2)
    assert second.metrics == first.metrics
    uses = Evidence(tiny_home.ledger_url, NAME).uses()
    assert [one.purpose for one in uses] == ["confirmation of the winner", "a look"]
    assert all(one.result and one.git_sha and one.at for one in uses)
    assert uses[0].candidates == (1, 0)
    assert list_sweeps(tiny_home.ledger_url) == [NAME]  # the evidence is no sweep


def test_a_use_is_written_before_the_hold_out_is_opened(tiny_home: Home) -> None:
    """A process that dies while it scores has used the hold-out."""

    class Killed(BaseException):
        pass

    def die(done: int, total: int) -> None:
        raise Killed("in the middle")

    with pytest.raises(Killed, match="in the middle"):
        confirm(tiny_home, NAME, on_progress=die)
    (use,) = Evidence(tiny_home.ledger_url, NAME).uses()
    assert use.result is None
    assert load_confirmation(tiny_home, NAME) is None
    with pytest.raises(HoldoutUsed, match="used 1 time"):
        confirm(tiny_home, NAME)
    assert confirm(tiny_home, NAME, again=True).use == 2


def test_damaged_weights_spend_no_hold_out(tiny_home: Home) -> None:
    weights = tiny_home.sweep_folder(NAME) / "trials" / "0001" / "fold-1" / "attempt-1" / "best"
    content = bytearray((weights / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (weights / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="SHA-256"):
        confirm(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []


def test_weights_that_are_gone(tiny_home: Home) -> None:
    trials = tiny_home.sweep_folder(NAME) / "trials"
    for number in ("0000", "0001"):
        (trials / number / "fold-0" / "attempt-1" / "best").rename(
            trials / number / "kept-elsewhere"
        )
        if number == "0000":  # without the default the winner is confirmed all the same
            found = confirm(tiny_home, NAME)
            assert found.default is None
            assert found.difference is None
            assert "difference" not in found.intervals
    with pytest.raises(UsageError, match="weights of candidate 1 are gone"):
        confirm(tiny_home, NAME, again=True)


def test_another_plan_is_refused(tiny_home: Home) -> None:
    path = tiny_home.sweep_folder(NAME) / "plan.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    text["holdout"] = text["holdout"][1:]
    path.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(FoldPlanError, match="digest"):
        confirm(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []


def test_tables_of_other_cases_are_refused(tiny_home: Home) -> None:
    """An out-of-fold table that is not the fold's own could hide training cases."""
    trial = tiny_home.sweep_folder(NAME) / "trials" / "0001"
    (trial / "fold-0" / "attempt-1" / "cases.npz").write_bytes(
        (trial / "fold-1" / "attempt-1" / "cases.npz").read_bytes()
    )
    with pytest.raises(FoldPlanError, match="table of fold 0 holds other cases"):
        confirm(tiny_home, NAME)


def test_only_one_of_two_processes_is_the_first(tiny_home: Home) -> None:
    """Two begin at once; a compare-and-swap lets one through."""
    Evidence(tiny_home.ledger_url, "other")._make()
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def begin() -> None:
        evidence = Evidence(tiny_home.ledger_url, "other")
        barrier.wait()
        try:
            evidence.begin(purpose="race", git_sha="", holdout_digest="d", candidates=[0])
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


def test_uses_by_other_sweeps_are_counted_too(tiny_home: Home) -> None:
    found = confirm(tiny_home, NAME)
    other = Evidence(tiny_home.ledger_url, "another-sweep")
    other.begin(
        purpose="its own winner",
        git_sha="",
        holdout_digest=found.holdout_digest,
        candidates=[4],
    )
    again = load_confirmation(tiny_home, NAME)
    assert again is not None
    assert (again.use, again.num_uses) == (1, 2)


def test_bootstrap_of_single_cases_agrees_with_the_closed_form(rng: np.random.Generator) -> None:
    values = rng.normal(0.5, 0.2, 400)
    low, high = grouped_interval(values, [str(number) for number in range(400)], seed=1)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)
    assert (low, high) == grouped_interval(values, [str(n) for n in range(400)], seed=1)


def test_bootstrap_draws_patients(rng: np.random.Generator) -> None:
    """Ten identical images of each patient are worth one."""
    values = rng.normal(0.5, 0.2, 60)
    single = grouped_interval(values, [str(number) for number in range(60)], seed=2)
    tenfold = grouped_interval(
        np.repeat(values, 10), [str(n) for n in range(60) for _ in range(10)], seed=2
    )
    assert tenfold == pytest.approx(single, abs=1e-12)
    naive = grouped_interval(np.repeat(values, 10), [str(n) for n in range(600)], seed=2)
    assert naive[1] - naive[0] < 0.5 * (single[1] - single[0])


def test_bootstrap_leaves_out_what_does_not_count() -> None:
    values = np.array([np.nan, 1.0, 1.0, np.nan])
    assert grouped_interval(values, list("abcd")) == (1.0, 1.0)
    assert all(map(np.isnan, grouped_interval(np.full(3, np.nan), list("abc"))))
    with pytest.raises(UsageError, match="groups: found 2, expected one for each of 4"):
        grouped_interval(values, list("ab"))
    with pytest.raises(UsageError, match="confidence: found 1"):
        grouped_interval(values, list("abcd"), confidence=1.0)
