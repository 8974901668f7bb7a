"""How far networks agree is asked of cases that none of them has trained on, and of no other."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from tiny_store import drawn_store

from ptxcore.data.splits.fold_plan import FoldPlan, make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.inference import Ensemble
from ptxcore.metrics import Agreement, averaged, build_table, count_case
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import CaseTable
from sweep.promotion import case_agreement
from sweep.promotion.case_agreement import agreement_of, table_of_mean

SETTINGS = FoldSettings(channels=2, levels=2, image_size=32, patch_size=0, case_head=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CaseStore:
    folder = tmp_path_factory.mktemp("agreement") / "store"
    return drawn_store(folder, num_cases=90, num_positive=40, side_px=32)


@pytest.fixture(scope="module")
def plan(store: CaseStore) -> FoldPlan:
    return make_plan(store, num_folds=3, holdout_fraction=0.2, monitor_fraction=0.4)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return of_networks(SETTINGS)


def of_networks(settings: FoldSettings) -> Ensemble:
    networks = (build_network(settings, seed=seed).eval() for seed in range(3))
    return Ensemble(members=tuple((network, settings) for network in networks))


@pytest.fixture(scope="module")
def table(store: CaseStore, plan: FoldPlan, ensemble: Ensemble) -> CaseTable:
    """Out of fold, of the network of each fold."""
    names, rows, cases = [], [], []
    for fold in range(3):
        alone = dataclasses.replace(ensemble, members=ensemble.members[fold : fold + 1])
        for name in plan.search.held(fold):
            found = alone.predict(store.image(store.index(name)))
            names.append(name)
            rows.append(count_case(found.mask, store.mask(store.index(name))))
            cases.append(found.case)
    return dataclasses.replace(build_table(names, rows), case_logits=np.array(cases))


def test_pairs_are_of_networks_that_have_not_trained_on_the_case(
    store: CaseStore, plan: FoldPlan, ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, opened = Agreement(), set()
    search = plan.search
    for is_positive in (True, False):
        for name in sorted(name for fold in range(3) for name in search.held(fold)):
            index = store.index(name)
            innocent = [fold for fold in range(3) if name not in search.training(fold)]
            if store.cases[index].is_positive is not is_positive or len(innocent) < 2:
                continue
            opened.add(index)
            found = [
                dataclasses.replace(ensemble, members=(ensemble.members[fold],)).predict(
                    store.image(index)
                )
                for fold in innocent
            ]
            for first, second in combinations(found, 2):
                assert first.case is not None
                assert second.case is not None
                expected.add(first.case, second.case, is_ill=is_positive)
    read: set[int] = set()
    image = CaseStore.image
    monkeypatch.setattr(CaseStore, "image", lambda self, at: read.add(at) or image(self, at))
    found_here = agreement_of(ensemble, store, search)
    assert found_here.num_ill == expected.num_ill >= 10
    assert found_here.num_healthy == expected.num_healthy >= 10
    for name, known in expected.correlations().items():
        assert found_here.correlations()[name] == pytest.approx(known, nan_ok=True)
    # No case is locked away, nor trained on by all networks but one.
    assert read == opened
    assert not read & {store.index(name) for name in plan.holdout}


def telling(table: CaseTable) -> CaseTable:
    """As if the heads told ill cases from healthy ones, which untrained ones do not."""
    assert table.case_logits is not None
    return dataclasses.replace(table, case_logits=table.case_logits + (table.truth.sum(1) > 0))


def test_the_table_is_that_of_the_mean(
    store: CaseStore, plan: FoldPlan, ensemble: Ensemble, table: CaseTable
) -> None:
    known = agreement_of(ensemble, store, plan.search).correlations()
    table = telling(table)
    expected = averaged(table, known, 3)
    assert expected is not None
    said: list[tuple[int, int]] = []
    found, agreement = table_of_mean(
        ensemble, table, store, plan, lambda done, total: said.append((done, total))
    )
    assert agreement is not None
    assert agreement.correlations() == pytest.approx(known, nan_ok=True)
    assert [done for done, _ in said] == [*range(1, said[-1][1] + 1)]
    np.testing.assert_array_equal(found.case_logits, expected.case_logits)
    assert not np.array_equal(found.case_logits, table.case_logits)


def test_where_too_little_is_known_the_table_stays(
    store: CaseStore,
    plan: FoldPlan,
    ensemble: Ensemble,
    table: CaseTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = of_networks(dataclasses.replace(SETTINGS, selection="fold"))
    assert table_of_mean(watched, table, store, plan) == (
        table,
        None,
    )  # its monitors were trained on
    # Without a head, or one that tells something, nothing is compared.
    headless = dataclasses.replace(table, case_logits=None)
    assert table_of_mean(ensemble, headless, store, plan) == (headless, None)
    assert table_of_mean(ensemble, table, store, plan) == (table, None)
    table = telling(table)
    monkeypatch.setattr(case_agreement, "LEAST_PAIRS", 1000)
    assert table_of_mean(ensemble, table, store, plan) == (table, None)


def test_few_cases_of_a_kind_are_read(
    store: CaseStore, plan: FoldPlan, ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_agreement, "MOST_CASES", 2)
    read: list[int] = []
    image = CaseStore.image
    monkeypatch.setattr(CaseStore, "image", lambda self, at: read.append(at) or image(self, at))
    agreement_of(ensemble, store, plan.search)
    assert len(read) == 4
