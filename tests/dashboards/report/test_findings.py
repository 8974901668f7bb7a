from __future__ import annotations

import math

import pytest
from projections import start
from synthetic_sweeps import operating_points, projection_of

from dashboards.queries import fold_interval
from dashboards.report import sentences
from dashboards.report.findings import find
from sweep.analysis.standing import Outcome
from sweep.ledger import Ledger
from sweep.records import State

LEFT = {2: State.ABANDONED}
METRICS = {"dice": 0.85, "dice_positive": 0.4, "dice_all_empty": 0.78}


class TestFindings:
    def test_the_winner_is_compared_with_the_default_fold_by_fold(self) -> None:
        found = find(projection_of([[0.4, 0.6, 0.5], [0.5, 0.7, 0.6], [0.9]], ends=LEFT))
        row = found.objective
        assert found.winner == 1  # the partial leader cannot win
        assert row is not None
        assert row.difference is not None
        assert row.difference.mean == pytest.approx(0.1)
        assert row.difference.sd == pytest.approx(0.0, abs=1e-12)
        assert found.standing.outcome is Outcome.BETTER
        assert (found.num_folds_run, found.num_folds_full_grid) == (7, 9)
        assert found.states == {State.COMPLETE: 2, State.ABANDONED: 1}

    def test_a_difference_that_changes_sign_beats_nobody(self) -> None:
        found = find(projection_of([[0.4, 0.6, 0.5], [0.5, 0.5, 0.6]]))
        assert found.standing.outcome is Outcome.NOT_SHOWN
        assert "do not show that it is better than the default" in found.verdict.text

    def test_lower_is_better_for_a_minimised_metric(self) -> None:
        found = find(
            projection_of([[0.5, 0.6, 0.55], [0.4, 0.5, 0.45]], maximize=False, metric="loss")
        )
        assert found.winner == 1
        assert found.standing.outcome is Outcome.BETTER
        assert found.objective is not None
        assert found.objective.difference is not None
        assert found.objective.difference.mean == pytest.approx(-0.1)

    def test_the_default_may_win_and_is_not_compared_with_itself(self) -> None:
        found = find(projection_of([[0.5] * 3, [0.4] * 3]))
        assert found.default_won
        assert found.objective is not None
        assert found.rival == "#1, the second"
        assert found.verdict.sentences[0].startswith("The default settings won")
        assert "found no complete trial that scores higher" in found.verdict.text

    def test_one_fold_has_no_interval(self) -> None:
        found = find(projection_of([[0.5], [0.6]], num_folds=1))
        assert found.objective is not None
        assert math.isnan(found.objective.winner.low)
        assert found.standing.outcome is Outcome.UNKNOWN
        assert found.verdict.sentences[0] == (
            "Trial #1 won with an average precision of 0.600 over 1 fold."
        )

    def test_no_complete_trial(self) -> None:
        found = find(projection_of([[0.5], [0.6]], ends={0: State.FAILED, 1: State.PRUNED}))
        assert found.winner is None
        assert found.rows == ()
        assert "no winner" in found.verdict.sentences[0]

    def test_who_leads_an_open_sweep_has_not_won(self) -> None:
        found = find(projection_of([[0.5] * 3, [0.54, 0.56], [0.4]]))
        assert found.winner is None
        assert found.verdict.sentences[0] == (
            "No winner yet: 2 trials are parked; #1 leads the default by +0.050 on the 2 folds "
            "both have (0, 1)."
        )
        row = found.objective  # of the trial in the lead, the default on the same folds
        assert row is not None
        assert row.rival is not None
        assert (row.winner.num_folds, row.rival.num_folds) == (2, 2)
        assert len(found.verdict.sentences) == 1
        assert "The leader so far is the best of 3 trials" in found.verdict.cautions[0]

    def test_a_default_that_won_stands_beside_the_second(self) -> None:
        found = find(projection_of([[0.6, 0.61, 0.6], [0.5] * 3, [0.4] * 3]))
        row = found.objective
        assert (found.rival, row is not None) == ("#1, the second", True)
        assert row is not None
        assert row.rival is not None
        assert row.rival.mean == pytest.approx(0.5)
        assert row.difference is not None
        assert found.verdict.second is not None
        assert row.difference == found.verdict.second.difference

    def test_nothing_at_all(self) -> None:
        found = find(projection_of([]))
        assert sentences.effort(found) == (
            "0 trials tried. 0 folds trained of the 0 that a full grid would have taken."
        )

    def test_folds_that_were_stopped_on_the_way_are_counted(self) -> None:
        projection = projection_of([[0.5] * 3, [0.4]])
        start(projection, 1, 1)
        assert sentences.effort(find(projection)).endswith("have taken (67%).")  # it runs
        projection.end(1, State.PRUNED, "pruned in fold 1, epoch 2", "then")
        assert sentences.effort(find(projection)).endswith(
            "4 folds trained of the 6 that a full grid would have taken (67%); 1 more stopped on "
            "the way."
        )

    def test_folds_without_positive_cases_do_not_count_in_dice_over_positives(self) -> None:
        projection = projection_of([[0.5] * 3], metrics=METRICS)
        folds = projection.trials[0].folds
        folds[1].metrics["dice_positive"] = math.nan  # type: ignore[index]
        row = find(projection).row("dice_positive")
        assert row is not None
        assert row.winner.num_folds == 2

    def test_thresholds_are_named(self, sweep: Ledger) -> None:
        fixed = find(sweep.projection)
        chosen = find(sweep.projection, operating_points(sweep))
        assert {row.threshold for row in fixed.rows} == {"none", "fixed"}
        assert {row.threshold for row in chosen.rows} == {"none", "other folds"}
        assert fixed.rows[0].metric == chosen.rows[0].metric == "average_precision"
        dice = chosen.row("dice")
        assert dice is not None
        assert dice.all_empty == pytest.approx(0.78)
        known = {row.metric: row.all_empty for row in chosen.rows}
        assert known["dice_positive"] == 0.0
        assert known["case_specificity"] == 1.0
        assert known["precision"] is None


class TestSentences:
    def dice(self, value: float) -> str:
        found = find(projection_of([[0.5] * 3], metrics={**METRICS, "dice": value}))
        return found.verdict.text

    def test_above_the_empty_answer(self) -> None:
        text = self.dice(0.85)
        assert "+0.070 (95% interval +0.070 to +0.070, p below 0.001, corrected for 1" in text
        assert text.endswith("the interval lies above the empty answer.")

    def test_below_the_empty_answer_is_said_plainly(self) -> None:
        assert "does not beat an empty answer" in self.dice(0.78)

    def test_an_interval_that_includes_the_empty_answer_is_said(self) -> None:
        projection = projection_of([[0.5] * 3], metrics=METRICS)
        for fold, value in enumerate((0.70, 0.80, 0.90)):
            projection.trials[0].folds[fold].metrics["dice"] = value  # type: ignore[index]
        assert "includes the empty answer" in find(projection).verdict.text

    def test_checkpoint_selected_scores_are_labelled(self) -> None:
        projection = projection_of([[0.5] * 3])
        projection.trials[0].settings["selection"] = "fold"
        assert "checkpoint-selected" in find(projection).verdict.cautions[1]

    def test_p_values_are_never_zero(self) -> None:
        found = find(projection_of([[0.4, 0.6, 0.5], [0.5, 0.7, 0.6]]))
        assert "p below 0.001" in found.verdict.text


class TestWarning:
    def warning(self, value: float) -> str | None:
        found = find(projection_of([[0.5] * 3], metrics={**METRICS, "dice": value}))
        return found.verdict.warning

    @pytest.mark.parametrize("value", [0.6, 0.78])
    def test_a_model_that_does_not_beat_an_empty_answer(self, value: float) -> None:
        text = self.warning(value)
        assert text is not None
        assert f"Dice {value:.4f} against 0.7800 (both empty = 1, fixed threshold 0.5)" in text

    def test_silence_where_it_does_or_nothing_is_known(self) -> None:
        assert self.warning(0.79) is None
        assert find(projection_of([[0.5] * 3])).verdict.warning is None


def test_no_interval_leaves_what_a_metric_can_be() -> None:
    made = projection_of([[0.9, 0.4]], num_folds=2)
    share = fold_interval(made, "dice", {0: 0.9, 1: 0.4})
    assert (share.low, share.high) == (0.0, 1.0)
    distance = fold_interval(made, "hausdorff95_mm", {0: 5.0, 1: 60.0})
    assert distance.low == 0.0  # no distance is negative
    assert distance.high > 60
    assert fold_interval(made, "loss", {0: 0.1, 1: 0.9}).low < 0
