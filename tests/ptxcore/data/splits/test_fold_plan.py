from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import patient_groups

from ptxcore.data.importing.run import ImportReport
from ptxcore.data.splits.fold_plan import MAX_MONITOR_CASES, FoldPlan, SearchPlan, make_plan
from ptxcore.data.splits.stratified import patients_of, stratified_split
from ptxcore.data.store.case_store import Case, CaseStore
from ptxcore.errors import FoldPlanError

Groups = list[list[tuple[int, str]]]


def cases_of(groups: Groups, salt: str = "") -> tuple[Case, ...]:
    rng = np.random.default_rng(len(groups))
    cases = [
        Case(
            case_id=rng.bytes(8).hex(),
            group=f"{salt}{number}",
            view=view,
            height=100,
            width=100,
            spacing_height_mm=0.1,
            spacing_width_mm=0.1,
            mask_px=mask_px,
            digest="",
        )
        for number, images in enumerate(groups)
        for mask_px, view in images
    ]
    return tuple(sorted(cases, key=lambda case: case.case_id))


def store_of(groups: Groups, salt: str = "") -> CaseStore:
    """A store with a table of cases and no pixels: a plan reads no pixel."""
    return CaseStore(Path("nowhere"), {"data_hash": "d" * 64}, cases_of(groups, salt))


def singles(num_positive: int, num_negative: int) -> Groups:
    views = ("AP", "PA", "PA")
    positive = [[(10 + 7 * number % 900, views[number % 3])] for number in range(num_positive)]
    return positive + [[(0, views[number % 3])] for number in range(num_negative)]


@given(
    patient_groups(),
    st.integers(2, 6),
    st.integers(0, 2**40),
    st.sampled_from([0.0, 0.1, 0.15, 0.5]),
    st.sampled_from(["all", "positive"]),
)
@settings(deadline=None)
def test_every_plan_keeps_patients_together_and_every_case_once(
    groups: Groups, num_folds: int, seed: int, holdout_fraction: float, cases: str
) -> None:
    store = store_of(groups)
    try:
        plan = make_plan(
            store,
            num_folds=num_folds,
            seed=seed,
            holdout_fraction=holdout_fraction,
            cases=cases,
        )
    except FoldPlanError:
        num_positive = sum(any(mask for mask, _ in images) for images in groups)
        enough = 4 * num_folds + 2
        assert num_positive < enough, "refused though there are patients enough"
        return
    by_id = {case.case_id: case for case in store.cases}
    used = {name for name, case in by_id.items() if cases == "all" or case.is_positive}

    def patients(ids: Iterable[str]) -> set[str]:
        return {by_id[name].group for name in ids}

    def positive(ids: Iterable[str]) -> bool:
        return any(by_id[name].is_positive for name in ids)

    search = plan.search_part()
    parts = [plan.holdout, *search.folds]
    assert Counter(name for part in parts for name in part) == Counter(used)
    assert sum(len(patients(part)) for part in parts) == len(patients(used)), "a patient in two"
    assert positive(plan.holdout) == (holdout_fraction > 0)
    for fold in range(num_folds):
        held, monitor, training = search.held(fold), search.monitor(fold), search.training(fold)
        assert positive(held)
        assert positive(monitor)
        assert positive(training)
        assert len(monitor) <= MAX_MONITOR_CASES
        assert Counter([*held, *monitor, *training, *plan.holdout]) == Counter(used)
        assert not patients(monitor) & patients(training)
        assert not patients(held) & (patients(monitor) | patients(training))
    again = make_plan(
        store_of(groups, salt="another salt "),
        num_folds=num_folds,
        seed=seed,
        holdout_fraction=holdout_fraction,
        cases=cases,
    )
    assert again.digest == plan.digest, "depends on the salt, or on chance"


@given(st.integers(0, 10**6), st.integers(2, 10), st.integers(0, 80), st.integers(0, 200))
@settings(deadline=None, max_examples=60)
def test_single_images_are_dealt_evenly(
    seed: int, num_folds: int, num_positive: int, num_negative: int
) -> None:
    # Every fold needs a positive case, and so do the training and the monitor split beside it.
    assume(num_positive >= num_folds + 1)
    assume(num_positive - -(-num_positive // num_folds) >= 2)
    store = store_of(singles(num_positive, num_negative))
    plan = make_plan(store, num_folds=num_folds, seed=seed, holdout_fraction=0)
    by_id = {case.case_id: case for case in store.cases}
    sizes = [len(fold) for fold in plan.search.folds]
    positives = [sum(by_id[name].is_positive for name in fold) for fold in plan.search.folds]
    assert max(sizes) - min(sizes) <= 1
    assert max(positives) - min(positives) <= 1


def test_size_of_mask_and_view_are_spread() -> None:
    store = store_of(singles(200, 700))
    by_id = {case.case_id: case for case in store.cases}
    plan = make_plan(store, num_folds=5, seed=1)
    edges = np.quantile(
        [case.mask_px for case in store.cases if case.is_positive], [0.25, 0.5, 0.75]
    )
    for part in (plan.holdout, *plan.search.folds):
        cases = [by_id[name] for name in part]
        positive = [case for case in cases if case.is_positive]
        assert abs(len(positive) / len(cases) - 200 / 900) < 0.01
        quartiles = np.bincount(np.searchsorted(edges, [c.mask_px for c in positive]), minlength=4)
        assert quartiles.max() - quartiles.min() <= 3
        assert abs(sum(case.view == "AP" for case in cases) / len(cases) - 1 / 3) < 0.03
    assert len(plan.holdout) == pytest.approx(0.15 * 900, abs=2)
    assert len(plan.search.monitor(0)) == MAX_MONITOR_CASES


def test_large_patients_are_evened_out() -> None:
    rng = np.random.default_rng(3)
    groups = [[(int(rng.integers(0, 2) * 50), "PA")] * int(rng.integers(1, 12)) for _ in range(150)]
    plan = make_plan(store_of(groups), num_folds=5)
    sizes = [len(fold) for fold in plan.search.folds]
    assert max(sizes) - min(sizes) <= 3


def test_seeds_differ_and_folds_do_not_move_the_hold_out() -> None:
    store = store_of(singles(40, 100))
    five = make_plan(store, num_folds=5, seed=0)
    assert five.digest == make_plan(store, num_folds=5, seed=0).digest
    assert five.search.folds != make_plan(store, num_folds=5, seed=1).search.folds
    assert five.holdout != make_plan(store, num_folds=5, seed=1).holdout
    assert five.holdout == make_plan(store, num_folds=8, seed=0).holdout


def test_a_fresh_partition_keeps_the_hold_out() -> None:
    store = store_of(singles(40, 100))
    plan = make_plan(store, seed=4)
    fresh = plan.repartition(store, seed=11)
    assert fresh.holdout == plan.holdout
    assert fresh.num_folds == plan.num_folds
    assert fresh.search.folds != plan.search.folds
    assert {name for fold in fresh.search.folds for name in fold} == {
        name for fold in plan.search.folds for name in fold
    }
    assert (fresh.settings["seed"], fresh.settings["holdout_seed"]) == (11, 4)
    assert plan.repartition(store, seed=4).search == plan.search


def test_one_positive_for_five_folds() -> None:
    with pytest.raises(
        FoldPlanError,
        match="found 1 of 50 patients with a pneumothorax, expected at least 6, one for each of "
        "5 folds and a hold-out",
    ):
        make_plan(store_of(singles(1, 49)), num_folds=5)
    with pytest.raises(FoldPlanError, match="expected at least 5, one for each of 5 folds;"):
        make_plan(store_of(singles(1, 49)), num_folds=5, holdout_fraction=0)
    with pytest.raises(FoldPlanError, match="expected at least 2, one for each of the training"):
        make_plan(store_of(singles(2, 9)), num_folds=2, holdout_fraction=0)


def test_positive_images_of_one_patient_are_one() -> None:
    groups: Groups = [[(50, "PA")] * 9] + [[(0, "PA")]] * 30
    with pytest.raises(FoldPlanError, match="found 1 of 31 patients with a pneumothorax"):
        make_plan(store_of(groups))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_folds": 1}, "num_folds: found 1, expected at least 2"),
        ({"seed": -1}, "seed: found -1, expected at least 0"),
        ({"holdout_fraction": 1.0}, r"holdout_fraction: found 1.0, expected a value in \[0, 1\)"),
        ({"monitor_fraction": 0.0}, r"monitor_fraction: found 0.0, expected a value in \(0, 1\)"),
        ({"cases": "some"}, "cases: found 'some', expected one of"),
    ],
)
def test_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(FoldPlanError, match=message):
        make_plan(store_of(singles(30, 30)), **arguments)  # type: ignore[arg-type]


def test_a_part_is_never_fuller_than_it_may_be() -> None:
    groups: Groups = [[(5, "PA")] * 8 for _ in range(10)]
    patients = patients_of(cases_of(groups))
    rest, limited = stratified_split(
        patients, (0.5, 0.5), np.random.default_rng(0), most=(None, 20)
    )
    assert sum(len(patient.cases) for patient in limited) == 16
    assert len(rest) == 8


def test_files(tmp_path: Path) -> None:
    plan = make_plan(store_of(singles(30, 60)))
    plan.save(tmp_path / "plan.json")
    plan.search_part().save(tmp_path / "search.json")
    assert FoldPlan.load(tmp_path / "plan.json") == plan
    assert FoldPlan.load(tmp_path / "plan.json").digest == plan.digest
    loaded = SearchPlan.load(tmp_path / "search.json")
    assert (loaded, loaded.digest) == (plan.search, plan.search.digest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json", "search.json"]
    content = (tmp_path / "search.json").read_text()
    assert not [name for name in plan.holdout if name in content]
    assert plan.search.digest != plan.digest


def test_plans_that_were_changed_are_refused(tmp_path: Path) -> None:
    plan = make_plan(store_of(singles(30, 60)))
    path = tmp_path / "plan.json"
    plan.save(path)
    content = json.loads(path.read_text())
    content["folds"][0].append(content["holdout"].pop())
    path.write_text(json.dumps(content))
    with pytest.raises(FoldPlanError, match="the fold plan was changed after it was made"):
        FoldPlan.load(path)
    for text in ("{", "[]", "{}", '"plan"', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(FoldPlanError, match="found damage"):
            FoldPlan.load(path)
    with pytest.raises(FoldPlanError, match="found no search plan"):
        SearchPlan.load(tmp_path / "none.json")


def test_a_search_cannot_load_a_plan_with_the_hold_out(tmp_path: Path) -> None:
    plan = make_plan(store_of(singles(30, 60)))
    plan.save(tmp_path / "plan.json")
    plan.search_part().save(tmp_path / "search.json")
    with pytest.raises(FoldPlanError, match="found a fold plan, expected a search plan"):
        SearchPlan.load(tmp_path / "plan.json")
    with pytest.raises(FoldPlanError, match="found a search plan, expected a fold plan"):
        FoldPlan.load(tmp_path / "search.json")


def test_a_plan_fits_its_own_store_alone() -> None:
    store = store_of(singles(30, 60))
    plan = make_plan(store)
    plan.check(store)
    other = CaseStore(Path("nowhere"), {"data_hash": "e" * 64}, store.cases)
    with pytest.raises(FoldPlanError, match="found a store with data hash eeee"):
        plan.check(other)
    with pytest.raises(FoldPlanError, match="found a store with data hash eeee"):
        plan.repartition(other, seed=1)


@pytest.mark.parametrize("fold", [-1, 5])
def test_no_such_fold(fold: int) -> None:
    search = make_plan(store_of(singles(30, 60))).search
    for part in (search.held, search.monitor, search.training):
        with pytest.raises(FoldPlanError, match=f"fold: found {fold}, expected 0 to 4"):
            part(fold)


def test_the_content_decides_the_digest() -> None:
    plan = make_plan(store_of(singles(30, 60)))
    assert replace(plan, holdout=plan.holdout[1:]).digest != plan.digest
    assert replace(plan.search, data_hash="0").digest != plan.search.digest


@pytest.mark.siim
def test_the_real_slice(siim_import: ImportReport) -> None:
    store = CaseStore.open(siim_import.store)
    plan = make_plan(store)
    for part in (plan.holdout, *plan.search.folds):
        cases = [store.cases[store.index(name)] for name in part]
        assert abs(sum(case.is_positive for case in cases) / len(cases) - 87 / 252) < 0.02
        assert abs(sum(case.view == "AP" for case in cases) / len(cases) - 0.42) < 0.05
