from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxcore.metrics import build_table, choose_rule, concatenate, per_case_dice
from ptxcore.types import CaseTable
from sweep.analysis.expected_dice import ExpectedDice, expected_dice, promised_dice
from sweep.analysis.intervals import SHARE, stated_interval
from sweep.errors import UsageError


def world(rng: np.random.Generator, num_ill: int, num_healthy: int) -> tuple[np.ndarray, ...]:
    """Dice of each case, most of them 0 or 1, and whether it is positive; a patient each."""
    ill = np.where(rng.random(num_ill) < 0.3, 0.0, rng.uniform(0.3, 0.9, num_ill))
    healthy = (rng.random(num_healthy) < 0.9).astype(float)
    positive = np.repeat([True, False], [num_ill, num_healthy])
    return np.concatenate([ill, healthy]), positive


def one_each(number: int) -> list[str]:
    return [f"patient-{one}" for one in range(number)]


def test_by_hand() -> None:
    """Positives 0.4 and 0.6, healthy 1, 1 and 0: at 0.1 it is 0.1 * 0.5 + 0.9 * 2/3."""
    dice, positive = np.array([0.4, 0.6, 1, 1, 0]), np.array([1, 1, 0, 0, 0], dtype=bool)
    found = expected_dice(dice, positive, one_each(5), 0.1)
    assert found.dice[0] == pytest.approx(0.65)
    assert (found.all_empty, found.own_prevalence, found.gain) == (0.9, 0.4, None)
    assert math.isnan(found.dice[1])  # two patients of a kind
    assert "at a prevalence of 10.0% (here 40.0%) Dice 0.6500 is expected" in found.sentence
    assert "too few patients for an interval" in found.sentence
    assert "predicting nothing has 0.9000" in found.sentence


def test_at_their_own_share_it_is_the_printed_interval(rng: np.random.Generator) -> None:
    dice, positive = world(rng, 30, 90)
    groups = one_each(120)
    found = expected_dice(dice, positive, groups, 0.25)
    usual = stated_interval(dice, groups, positive, is_dealt=True, ends=SHARE)
    assert found.dice == pytest.approx((dice.mean(), *usual))


def test_patients_of_both_kinds_at_their_own_share(rng: np.random.Generator) -> None:
    """Five images a patient, one of them ill: the ratio of each kind is that of its own cases."""
    dice, positive = world(rng, 40, 160)
    groups = one_each(40) + [f"patient-{one % 40}" for one in range(160)]
    dice[40:] = np.tile(dice[40:80], 4)  # alike within a patient
    found = expected_dice(dice, positive, groups, 0.05).dice
    apart = expected_dice(dice, positive, one_each(200), 0.05).dice
    assert found[0] == pytest.approx(apart[0])
    assert not math.isnan(found[1])
    assert found[2] - found[1] > apart[2] - apart[1]  # fewer patients say less


def test_the_interval_holds_the_truth_as_often_as_it_says(rng: np.random.Generator) -> None:
    truth, held = 0.05 * 0.7 * 0.6 + 0.95 * 0.9, []
    for _ in range(400):
        dice, positive = world(rng, 40, 110)
        _, low, high = expected_dice(dice, positive, one_each(150), 0.05).dice
        held.append(low <= truth <= high)
    assert 0.92 < np.mean(held) < 0.99


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_it_is_linear_in_the_prevalence(one: float, other: float) -> None:
    dice, positive = world(np.random.default_rng(5), 12, 20)

    def at(prevalence: float) -> float:
        return expected_dice(dice, positive, one_each(32), prevalence).dice[0]

    assert at((one + other) / 2) == pytest.approx((at(one) + at(other)) / 2)


def faint_and_clear(seed: int, number: int) -> CaseTable:
    """A fold of which most ill cases are as faint as some false alarms."""
    rng, rows = np.random.default_rng(seed), []
    for one in range(number):
        truth, background = np.zeros((2, 256), dtype=np.int64)
        background[0] = 9_900
        place = 200 if rng.random() < 0.3 else 150
        if one % 2:
            truth[place] = 100
        elif rng.random() < 0.25:
            background[150] = 100
        rows.append((truth, background))
    return build_table([f"{seed}-{one}" for one in range(number)], rows)


@pytest.mark.parametrize("prevalence", [0.05, 0.9])
def test_each_fold_is_judged_under_the_rule_of_the_others(prevalence: float) -> None:
    tables = [faint_and_clear(seed, 30) for seed in range(3)]
    found = promised_dice(tables, {}, prevalence)
    dice, positive = [], concatenate(tables).truth.sum(1) > 0
    for fold, table in enumerate(tables):
        rule = choose_rule(concatenate([*tables[:fold], *tables[fold + 1 :]]), prevalence)
        dice.append(per_case_dice(table, rule))
    scores = np.concatenate(dice)
    by_hand = prevalence * scores[positive].mean() + (1 - prevalence) * scores[~positive].mean()
    assert found.dice[0] == pytest.approx(by_hand)
    assert found.dice[1] < found.dice[0] < found.dice[2]


def test_a_rule_for_few_ill_gains_where_few_are_ill() -> None:
    found = promised_dice([faint_and_clear(seed, 40) for seed in range(3)], {}, 0.05)
    assert found.gain is not None
    assert found.gain[0] > 0.1
    assert found.gain[1] > 0
    assert f"a difference of {found.gain[0]:+.4f} (95% interval" in found.sentence


def test_the_same_rules_gain_nothing_for_sure() -> None:
    found = promised_dice([faint_and_clear(seed, 40) for seed in range(3)], {}, 0.5)
    assert found.gain == (0, 0, 0)
    assert found.sentence.endswith("rules for the cases' own prevalence are the same")


def test_it_is_kept_as_it_is() -> None:
    found = promised_dice([faint_and_clear(seed, 20) for seed in range(2)], {}, 0.1)
    assert ExpectedDice.from_stored(json.loads(json.dumps(found.to_stored()))) == found
    few = expected_dice(np.array([0.5, 1.0]), np.array([True, False]), ["a", "b"], 0.1)
    again = ExpectedDice.from_stored(json.loads(json.dumps(few.to_stored())))
    assert again.dice == pytest.approx(few.dice, nan_ok=True)


def test_positive_cases_alone_say_nothing_of_a_prevalence() -> None:
    tables = [faint_and_clear(seed, 6) for seed in range(2)]
    ill = [
        CaseTable(
            case_ids=one.case_ids[1::2], truth=one.truth[1::2], background=one.background[1::2]
        )
        for one in tables
    ]
    with pytest.raises(UsageError, match="found positive cases alone, expected both kinds"):
        promised_dice(ill, {}, 0.1)
