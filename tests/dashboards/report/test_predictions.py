from __future__ import annotations

import numpy as np
import pytest

from dashboards.report.predictions import (
    CaseScores,
    Choice,
    Example,
    PredictionsInfo,
    choose,
    gallery,
    score_cases,
)
from ptxcore.types import NUM_LOGIT_BINS, CaseTable, Rule


def scores(dice: list[float], truth: list[float], predicted: list[float]) -> CaseScores:
    return CaseScores(
        case_ids=np.array([f"case{i:02d}" for i in range(len(dice))]),
        folds=np.arange(len(dice), dtype=np.int64) % 5,
        dice=np.array(dice),
        truth_share=np.array(truth),
        predicted_share=np.array(predicted),
    )


def picked(choices: tuple[Choice, ...], kind: str) -> list[str]:
    return [one.case_id for one in choices if one.kind == kind]


def test_best_middle_worst_and_largest_false_alarms() -> None:
    dice = [0.9, 0.1, 0.5, 0.7, 0.3, 0.0, 0.0, 1.0]
    truth = [0.01] * 5 + [0.0] * 3
    predicted = [0.01] * 5 + [0.02, 0.05, 0.0]
    choices = choose(scores(dice, truth, predicted), num_each=1)
    assert picked(choices, "best") == ["case00"]
    assert picked(choices, "middle") == ["case02"]
    assert picked(choices, "worst") == ["case01"]
    assert picked(choices, "false alarm") == ["case06"]  # the empty case07 is right, not an alarm
    assert [one.fold for one in choices] == [0, 2, 1, 1]


@pytest.mark.parametrize("num", range(8))
def test_no_case_is_shown_twice_however_few_there_are(num: int) -> None:
    values = np.linspace(0, 1, num).tolist()
    choices = choose(scores(values, [0.01] * num, [0.01] * num), num_each=3)
    names = [one.case_id for one in choices]
    assert len(names) == len(set(names)) == min(num, 9)


def test_the_choice_does_not_depend_on_the_order_of_the_cases() -> None:
    one = scores([0.0, 0.0, 0.0, 0.0], [0.01, 0.02, 0.02, 0.03], [0.0] * 4)
    order = [2, 0, 3, 1]
    other = CaseScores(**{name: getattr(one, name)[order] for name in vars(one)})
    assert choose(one, num_each=1) == choose(other, num_each=1)


def test_cases_are_scored_from_counts_under_the_rule_of_their_fold() -> None:
    def table(name: str, hit: int, missed: int, false: int, right: int) -> CaseTable:
        truth = np.zeros((1, NUM_LOGIT_BINS), np.int64)
        background = truth.copy()
        truth[0, -1], truth[0, 0] = hit, missed
        background[0, -1], background[0, 0] = false, right
        return CaseTable(case_ids=np.array([name]), truth=truth, background=background)

    tables = {0: table("a", 3, 1, 1, 95), 3: table("b", 0, 0, 2, 98)}
    found = score_cases(tables, {0: Rule(), 3: Rule(min_area=0.05)})
    assert found.case_ids.tolist() == ["a", "b"]
    assert found.folds.tolist() == [0, 3]
    np.testing.assert_allclose(found.dice, [6 / 8, 1.0])  # b: two pixels are below the area
    np.testing.assert_allclose(found.truth_share, [0.04, 0.0])
    np.testing.assert_allclose(found.predicted_share, [0.04, 0.0])


def test_the_gallery_names_hashed_cases_and_what_the_outlines_mean() -> None:
    choice = Choice(
        kind="worst", case_id="0123abcd", fold=2, dice=0.125, truth_share=0.008,
        predicted_share=0.0,
    )  # fmt: skip
    html = gallery(
        PredictionsInfo(
            trial=7,
            examples=(Example(choice=choice, picture=np.zeros((8, 16, 3), np.uint8)),),
            num_positive=10,
            num_found=6,
            num_negative=30,
            num_false_alarms=4,
        )
    )
    assert "Dice 0.12; truth 0.80%, prediction 0.00% of the image; fold 2, case 0123abcd" in html
    assert "of 10 positive cases, 6 overlap" in html
    assert "Worst" in html
    assert "Best" not in html
    assert 'src="data:image/jpeg;base64,' in html
