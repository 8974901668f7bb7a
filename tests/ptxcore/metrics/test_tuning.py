from __future__ import annotations

import itertools

import numpy as np
import pytest
from case_tables import case_tables
from hypothesis import given, settings

from ptxcore.errors import DataError
from ptxcore.metrics import (
    build_table,
    choose_rule,
    concatenate,
    leave_one_fold_out,
    per_case_dice,
    size_quartiles,
    summarize,
    summarize_groups,
)
from ptxcore.metrics._tuning import AREAS, THRESHOLDS
from ptxcore.types import CaseTable, Rule


def every_rule() -> list[Rule]:
    return [
        Rule(top=top, min_area=area, bottom=bottom)
        for top, area, bottom in itertools.product(THRESHOLDS, AREAS, THRESHOLDS)
        if bottom <= top
    ]


@settings(max_examples=5, deadline=None)
@given(case_tables(max_cases=5))
def test_no_rule_of_the_grid_is_better(table: CaseTable) -> None:
    chosen = per_case_dice(table, choose_rule(table)).mean()
    best = max(per_case_dice(table, rule).mean() for rule in every_rule()[::7])
    assert chosen >= best - 1e-9


def case(truth: dict[int, int], background: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.zeros((2, 256), dtype=np.int64)
    for row, counts in zip(rows, (truth, background), strict=True):
        for number, count in counts.items():
            row[number] = count
    return rows[0], rows[1]


def test_the_triplet_is_found_where_only_a_triplet_is_right() -> None:
    """Bin 200 is 0.989, 150 is 0.80, 120 is 0.38, 0 nothing; images of 10,000 px."""
    table = build_table(
        ["large", "faint alarm", "small alarm"],
        [
            case({200: 100, 150: 100, 120: 100}, {0: 9700}),
            case({}, {150: 500, 0: 9500}),  # falls under a top of 0.8, which acts at bin 151
            case({}, {200: 20, 0: 9980}),  # falls under an area above 20 px
        ],
    )
    rule = choose_rule(table)
    assert summarize(table, rule)["dice"] == 1
    assert rule.top >= 0.8
    assert rule.bottom < 0.38
    assert 0.002 <= rule.min_area < 0.01


@pytest.mark.parametrize(
    "table",
    [
        build_table(["a"], [case({255: 10}, {0: 90})]),  # every threshold is right
        build_table(["a"], [case({}, {0: 100})]),  # nothing to find
        build_table(["a"], [case({0: 10}, {0: 90})]),  # nothing found
    ],
)
def test_among_equals_the_rule_stays_at_its_default(table: CaseTable) -> None:
    assert choose_rule(table) == Rule()


def test_a_rule_cannot_be_chosen_on_nothing() -> None:
    with pytest.raises(DataError, match="found no case"):
        choose_rule(build_table([], []))


def fold(name: str, *, bottom_bin: int) -> CaseTable:
    """A fold whose truth reaches down to a bin, right above a wide background."""
    return build_table(
        [f"{name}-{number}" for number in range(3)],
        [case({250: 50, bottom_bin: 50}, {bottom_bin - 20: 200, 0: 9700})] * 3,
    )


def test_each_fold_is_scored_under_the_rule_of_the_others() -> None:
    tables = [fold("a", bottom_bin=180), fold("b", bottom_bin=100), fold("c", bottom_bin=100)]
    rules, metrics = leave_one_fold_out(tables)
    assert len(rules) == len(metrics) == 3
    assert rules[0] == choose_rule(concatenate(tables[1:]))
    for table, rule, values in zip(tables, rules, metrics, strict=True):
        quartiles = size_quartiles(concatenate(tables).truth.sum(1))
        groups = summarize_groups(table, rule, quartiles=quartiles)
        assert values == pytest.approx(summarize(table, rule) | groups, nan_ok=True)
    # Its own best rule would have scored fold a higher: it had no say.
    assert metrics[0]["dice"] < summarize(tables[0], choose_rule(tables[0]))["dice"]


def test_changing_a_fold_never_changes_its_own_rule() -> None:
    tables = [fold("a", bottom_bin=180), fold("b", bottom_bin=100), fold("c", bottom_bin=140)]
    before, _ = leave_one_fold_out(tables)
    after, _ = leave_one_fold_out([fold("a", bottom_bin=60), *tables[1:]])
    assert after[0] == before[0]


def test_one_fold_has_no_others() -> None:
    with pytest.raises(DataError, match="found 1, expected two folds"):
        leave_one_fold_out([fold("a", bottom_bin=100)])


def test_a_case_in_two_folds_is_refused() -> None:
    with pytest.raises(DataError, match="found 6 rows of 3 cases"):
        leave_one_fold_out([fold("a", bottom_bin=100), fold("a", bottom_bin=180)])
