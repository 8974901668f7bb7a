"""Which cases took part: in the header, and from there wherever the sweep is shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import projections as hand
import pytest
from tiny_store import drawn_store

from dashboards.report.findings import find
from dashboards.report.page import report_html
from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.types import Runtime
from sweep.analysis.cohort import cohort_of, describe, overlap_ratio, ratio_text, take_part
from sweep.analysis.compare import compare
from sweep.analysis.selection_bias import POSITIVES_ALONE, caution
from sweep.analysis.standing import standing
from sweep.ledger.header import SweepHeader, build_header
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.view._content import sweep_params, sweep_tags
from sweep.mlflow.view._metrics import winner_metrics
from sweep.mlflow.view._words import trials_note
from sweep.records import FoldScore, State, SweepState
from sweep.space import load_space


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CaseStore:
    folder = tmp_path_factory.mktemp("cohort") / "store"
    return drawn_store(folder, num_cases=40, num_positive=16, side_px=16)


def header_of(store: CaseStore, cases: str) -> SweepHeader:
    plan = make_plan(store, num_folds=2, cases=cases, holdout_fraction=0.25)
    space = load_space("demo")
    return build_header(
        space_text=space.text,
        space_digest=space.digest,
        metric=space.objective.metric,
        maximize=space.objective.maximize,
        num_folds=plan.num_folds,
        seed=0,
        store=str(store.folder),
        data_hash=store.data_hash,
        cohort=take_part(store, plan),
        phantom=store.phantom,
        plan_digest=plan.digest,
        search_plan_digest=plan.search_part().digest,
        runtime=dataclasses.asdict(Runtime()),
    )


def test_the_header_says_who_took_part(store: CaseStore) -> None:
    header = header_of(store, "positive")
    assert header.num_cases == 16
    assert header.cohort == {
        "cases": "positive",
        "num_cases": 16,
        "num_positive": 16,
        "num_groups": 16,
        "groups": "unknown",  # a store that was made before imports noted it
        "num_store_cases": 40,
        "num_store_positive": 16,
        "holdout_fraction": 0.25,
        "num_holdout": 4,
        "num_holdout_positive": 4,
        "num_holdout_groups": 4,
        "monitor_fraction": 0.15,
        "num_monitor": 1,
        "num_scored": [6, 6],
        "num_trained": [5, 5],
    }
    everybody = cohort_of(header_of(store, "all"))
    assert (everybody["num_cases"], everybody["num_positive"]) == (40, 16)
    assert str(describe(everybody)).startswith(
        "40 of the store's 40 cases, 16 of them positive; 40 patients (it is not recorded how"
    )


def test_positive_cases_alone_are_said_everywhere(store: CaseStore) -> None:
    projection = Projection(header=header_of(store, "positive"))
    assert caution(projection) == POSITIVES_ALONE.text
    tags, params = sweep_tags("one", projection), sweep_params(projection)
    assert tags["ptxsweep.positives_alone"] == "True"
    assert POSITIVES_ALONE.text in tags["ptxsweep.caution"]
    assert POSITIVES_ALONE.head in trials_note("one", projection.header, "")
    assert (params["num_cases"], params["cohort.num_store_cases"]) == ("16", "40")
    assert params["cohort.cases"] == "positive"
    html = report_html("one", projection)
    assert POSITIVES_ALONE.head in html
    assert "16 of the store&#x27;s 40 cases" in html.replace("&#39;", "&#x27;")


def test_what_watches_is_not_trained_on(store: CaseStore) -> None:
    """So more is scored for each trained case than 1/(k-1) of it, and intervals are wider."""
    header = header_of(store, "positive")
    assert overlap_ratio(header) == pytest.approx(6 / 5)
    assert ratio_text(header) == "1.200 scored cases for each that a fold is trained on"
    old = dataclasses.replace(header, cohort={"num_cases": 16})
    assert overlap_ratio(old) == 1
    assert "as 1/(k-1), because the ledger of an earlier version does not" in ratio_text(old)
    widths = []
    for one in (header, old):
        made = Projection(header=dataclasses.replace(one, metric="dice"))
        for scores in ((0.50, 0.52), (0.51, 0.53001)):
            made.end(hand.folds(made, scores), State.COMPLETE, None, "then")
        made.sweep_state = SweepState.FINISHED
        difference = standing(made).difference
        assert difference is not None
        sent = {metric.key: metric.value for metric in winner_metrics(made)}
        compared = compare(made)
        assert compared.overlap == ratio_text(one)
        assert compared.trials[1].difference == difference
        assert sent["vs_default_low"] == pytest.approx(difference.low)
        assert find(made).overlap == ratio_text(one)
        widths.append(difference.high - difference.low)
    assert widths[0] / widths[1] == pytest.approx(((1 / 2 + 6 / 5) / (1 / 2 + 1)) ** 0.5)


def test_all_cases_need_no_caution(store: CaseStore) -> None:
    projection = Projection(header=header_of(store, "all"))
    assert caution(projection) is None
    assert sweep_tags("one", projection)["ptxsweep.positives_alone"] == "False"
    assert POSITIVES_ALONE.head not in report_html("one", projection)


def test_a_store_without_healthy_cases_is_the_same(tmp_path: Path) -> None:
    """Whoever imported positive cases alone asked for all of them and has no others."""
    only = drawn_store(tmp_path / "store", num_cases=16, num_positive=16, side_px=16)
    assert caution(Projection(header=header_of(only, "all"))) == POSITIVES_ALONE.text


@pytest.mark.parametrize(
    ("num_positive", "expected"), [(8.0, POSITIVES_ALONE.text), (3.0, None), (None, None)]
)
def test_an_older_sweep_is_known_by_its_folds(
    store: CaseStore, num_positive: float | None, expected: str | None
) -> None:
    header = dataclasses.replace(header_of(store, "all"), cohort=None)
    projection = Projection(header=header)
    projection.add(
        Trial(number=0, parameters={}, settings={}, distributions={}, created_at="2026-01-01")
    )
    metrics = {"num_cases": 8.0} | ({} if num_positive is None else {"num_positive": num_positive})
    projection.trials[0].folds[0] = FoldScore(
        trial=0,
        fold=0,
        attempt=1,
        value=0.5,
        score=0.5,
        seconds=1.0,
        num_epochs=1,
        best_epoch=1,
        metrics=metrics,
    )
    assert caution(projection) == expected
    assert cohort_of(header) == {}
    assert describe({}) is None
    assert "Cases in the store" in report_html("old", projection)
