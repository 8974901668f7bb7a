from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from case_tables import case_tables, rules
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import logit

from ptxcore.errors import DataError, SettingsError
from ptxcore.metrics import (
    build_table,
    choose_rule,
    concatenate,
    fit_calibration,
    leave_one_fold_out,
    per_case_dice,
    prevalence_weights,
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


def expected_dice(table: CaseTable, rule: Rule, prevalence: float) -> float:
    """By its definition: the means of both kinds of cases, weighted by the prevalence."""
    dice, positive = per_case_dice(table, rule), table.truth.sum(1) > 0
    return float(prevalence * dice[positive].mean() + (1 - prevalence) * dice[~positive].mean())


def two_point_world() -> CaseTable:
    """Of ten ill cases eight are as faint as the false alarm of one healthy case in five."""
    ill = [case({200: 100}, {0: 9900})] * 2 + [case({150: 100}, {0: 9900})] * 8
    healthy = [case({}, {150: 100, 0: 9900})] * 2 + [case({}, {0: 10_000})] * 8
    return build_table([f"case-{number}" for number in range(20)], [*ill, *healthy])


def test_the_best_threshold_depends_on_the_prevalence() -> None:
    """Finding the faint ones gains 0.8 of the ill and costs 0.2 of the healthy: even at 0.2."""
    table = two_point_world()
    faint_bin_holds = 0.80  # bin 150
    assert choose_rule(table, 0.5).top < faint_bin_holds
    assert choose_rule(table, 0.21).top < faint_bin_holds
    assert choose_rule(table, 0.19).top >= faint_bin_holds
    assert choose_rule(table, 0.05).top >= faint_bin_holds
    assert expected_dice(table, choose_rule(table, 0.05), 0.05) == pytest.approx(0.96)
    assert expected_dice(table, choose_rule(table, 0.5), 0.5) == pytest.approx(0.9)


@settings(max_examples=5, deadline=None)
@given(case_tables(max_cases=5), st.floats(0.01, 0.99))
def test_no_rule_of_the_grid_is_better_at_a_prevalence(table: CaseTable, share: float) -> None:
    positive = table.truth.sum(1) > 0
    assume(positive.any() and not positive.all())
    chosen = expected_dice(table, choose_rule(table, share), share)
    best = max(expected_dice(table, rule, share) for rule in every_rule()[::7])
    assert chosen >= best - 1e-9


@settings(max_examples=10, deadline=None)
@given(case_tables(max_cases=6))
def test_at_the_cases_own_share_nothing_changes(table: CaseTable) -> None:
    positive = table.truth.sum(1) > 0
    assume(positive.any() and not positive.all())
    own = float(positive.mean())
    assert prevalence_weights(positive, own).tolist() == [1.0] * len(positive)
    assert choose_rule(table, own) == choose_rule(table)


@given(st.lists(st.booleans(), min_size=2, max_size=30), st.floats(1e-3, 0.999))
def test_weights_sum_to_the_number_of_cases(kinds: list[bool], prevalence: float) -> None:
    positive = np.array(kinds)
    assume(positive.any() and not positive.all())
    weights = prevalence_weights(positive, prevalence)
    assert weights.sum() == pytest.approx(len(kinds))
    assert weights[positive].sum() == pytest.approx(prevalence * len(kinds))


@settings(max_examples=20, deadline=None)
@given(case_tables(max_cases=6), rules(), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_expected_dice_of_a_rule_is_linear_in_the_prevalence(
    table: CaseTable, rule: Rule, one: float, other: float
) -> None:
    positive, dice = table.truth.sum(1) > 0, per_case_dice(table, rule)
    assume(positive.any() and not positive.all())

    def expected(prevalence: float) -> float:
        return float((prevalence_weights(positive, prevalence) * dice).mean())

    between = (one + other) / 2
    assert expected(between) == pytest.approx((expected(one) + expected(other)) / 2)
    assert expected(one) == pytest.approx(expected_dice(table, rule, one))


def asked_first() -> CaseTable:
    """False alarms look as true ones do, pixel by pixel; the case head tells them apart."""
    rows = [case({200: 100}, {0: 9900})] * 4 + [case({}, {200: 100, 0: 9900})] * 6
    heads = [1.0, 2.0, 2.5, 3.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0]
    return build_table([f"case-{number}" for number in range(10)], rows, case_logits=heads)


def test_the_case_head_is_asked_where_it_alone_tells_cases_apart() -> None:
    table = asked_first()
    rule = choose_rule(table)
    assert rule.case_threshold is not None
    assert 0.5 < rule.case_threshold <= 1 / (1 + np.exp(-1.0))
    assert summarize(table, rule)["dice"] == 1
    without = dataclasses.replace(table, case_logits=None)
    assert choose_rule(without).case_threshold is None
    assert summarize(without, choose_rule(without))["dice"] == pytest.approx(0.6)  # all empty


def test_a_case_head_that_tells_nothing_is_not_asked() -> None:
    table = dataclasses.replace(two_point_world(), case_logits=np.zeros(20))
    assert choose_rule(table, 0.3) == choose_rule(two_point_world(), 0.3)


@given(case_tables(max_cases=5, has_case_head=True))
@settings(max_examples=10, deadline=None)
def test_positive_or_healthy_cases_alone_never_ask_it(table: CaseTable) -> None:
    positive = table.truth.sum(1) > 0
    assume(positive.all() or not positive.any())
    assert choose_rule(table) == choose_rule(dataclasses.replace(table, case_logits=None))


def told_by_the_head(rng: np.random.Generator, number: int) -> CaseTable:
    """A mask in every case, of Dice 0.5 where it is ill; logits of heads a normal SD apart."""
    ill = np.arange(number) % 3 == 0
    found, alarm = case({200: 100}, {200: 200, 0: 9700}), case({}, {200: 300, 0: 9700})
    rows = [found if is_ill else alarm for is_ill in ill]
    heads = rng.normal(2.0 * ill - 1, 1.0)
    return build_table([f"case-{one}" for one in range(number)], rows, case_logits=heads)


@pytest.mark.parametrize("prevalence", [None, 0.1, 0.6])
def test_the_case_threshold_is_where_a_mask_gains_nothing(
    rng: np.random.Generator, prevalence: float | None
) -> None:
    """A mask gains 0.5 with probability p and loses 1 otherwise: from p = 2/3 on."""
    table = told_by_the_head(rng, 200)
    positive, heads = table.truth.sum(1) > 0, table.case_logits
    assert heads is not None
    slope, intercept = fit_calibration(heads, positive)
    share = float(positive.mean())
    shift = 0.0 if prevalence is None else logit(prevalence) - logit(share)
    expected = (logit(2 / 3) - intercept - shift) / slope
    threshold = choose_rule(table, prevalence).case_threshold
    assert threshold is not None
    assert logit(threshold) == pytest.approx(expected, abs=1 / 16 + 1e-6)  # a bin of logits


@pytest.mark.parametrize("prevalence", [0.001, 0.02, 0.1])
@pytest.mark.parametrize("is_certain", [False, True])
def test_where_nothing_is_expected_to_gain_no_case_that_was_seen_loses(
    rng: np.random.Generator, prevalence: float, *, is_certain: bool
) -> None:
    """Pixels are no way out: their thresholds end below the alarms of all healthy cases."""
    table = told_by_the_head(rng, 60)
    positive = table.truth.sum(1) > 0
    if is_certain:
        table = dataclasses.replace(table, case_logits=np.where(positive, 8.0, -8.0))
    rule = choose_rule(table, prevalence)
    assert expected_dice(table, rule, prevalence) >= 1 - prevalence - 1e-9


def test_no_single_case_moves_it_far(rng: np.random.Generator) -> None:
    whole = told_by_the_head(rng, 60)
    found = []
    for left_out in range(60):
        kept = np.arange(60) != left_out
        table = CaseTable(
            case_ids=whole.case_ids[kept],
            truth=whole.truth[kept],
            background=whole.background[kept],
            case_logits=None if whole.case_logits is None else whole.case_logits[kept],
        )
        threshold = choose_rule(table).case_threshold
        assert threshold is not None
        found.append(logit(threshold))
    assert max(found) - min(found) <= 0.6


def test_a_head_that_may_be_right_by_chance_is_not_asked() -> None:
    """Nine of twelve pairs in order are chance for seven cases, and none for seventy."""
    ill, alarm = case({200: 100}, {0: 9900}), case({}, {200: 100, 0: 9900})
    rows, heads = [ill] * 3 + [alarm] * 4, [1.5, 2.5, 3.5, 0.0, 1.0, 2.0, 3.0]
    few = build_table([*"abcdefg"], rows, case_logits=heads)
    assert choose_rule(few) == choose_rule(dataclasses.replace(few, case_logits=None))
    ids = [f"case-{number}" for number in range(70)]
    many = build_table(ids, rows * 10, case_logits=heads * 10)
    assert choose_rule(many).case_threshold is not None


def test_one_kind_of_cases_cannot_be_weighed() -> None:
    table = build_table(["a"], [case({255: 10}, {0: 90})])
    with pytest.raises(DataError, match="found positive cases alone, expected both kinds"):
        choose_rule(table, 0.2)
    with pytest.raises(
        SettingsError, match=r"prevalence: found 1\.5, expected a share in \(0, 1\)"
    ):
        choose_rule(two_point_world(), 1.5)


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


@pytest.mark.parametrize("has_case_head", [False, True])
def test_labels_of_a_fold_never_change_its_own_rule_at_a_prevalence(*, has_case_head: bool) -> None:
    """The leak test: what is true in fold a is turned around, and its rule stays."""
    whole = two_point_world()
    if has_case_head:
        whole = dataclasses.replace(whole, case_logits=np.repeat([1.0, -1.0], 10))
    parts = [slice(first, None, 3) for first in range(3)]
    tables = [
        CaseTable(
            case_ids=whole.case_ids[own],
            truth=whole.truth[own],
            background=whole.background[own],
            case_logits=None if whole.case_logits is None else whole.case_logits[own],
        )
        for own in parts
    ]
    turned = dataclasses.replace(tables[0], truth=tables[0].background, background=tables[0].truth)
    for prevalence in (0.05, 0.5):
        before, _ = leave_one_fold_out(tables, prevalence)
        after, _ = leave_one_fold_out([turned, *tables[1:]], prevalence)
        assert after[0] == before[0] == choose_rule(concatenate(tables[1:]), prevalence)
    # At 0.5 the others learn from it, by pixels; a head that is always right outweighs one fold.
    assert has_case_head or after[1:] != before[1:]


def test_one_fold_has_no_others() -> None:
    with pytest.raises(DataError, match="found 1, expected two folds"):
        leave_one_fold_out([fold("a", bottom_bin=100)])


def test_a_case_in_two_folds_is_refused() -> None:
    with pytest.raises(DataError, match="found 6 rows of 3 cases"):
        leave_one_fold_out([fold("a", bottom_bin=100), fold("a", bottom_bin=180)])
