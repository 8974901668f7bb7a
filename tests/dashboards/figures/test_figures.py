"""Each figure's info, number by number, then that it can be drawn."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from synthetic_sweeps import operating_points, projection_of, stamp

from dashboards.figures.anytime import anytime_figure, anytime_info
from dashboards.figures.fold_curves import fold_curves, fold_curves_info
from dashboards.figures.fold_heatmap import fold_heatmap, fold_heatmap_info
from dashboards.figures.groups import groups, groups_info
from dashboards.figures.leaderboard import leaderboard, leaderboard_info, sentence
from dashboards.figures.parallel import parallel, parallel_info
from dashboards.figures.pareto import pareto, pareto_info
from dashboards.figures.pareto import sentence as pareto_sentence
from dashboards.figures.regret import regret, regret_info
from dashboards.figures.schedule import schedule, schedule_info
from dashboards.figures.schedule import sentence as schedule_sentence
from dashboards.figures.slices import sentence as slices_sentence
from dashboards.figures.slices import slices, slices_info
from dashboards.figures.stops import sentence as stops_sentence
from dashboards.figures.stops import stops, stops_info
from dashboards.plot import Plot, as_json
from dashboards.queries import leader_of, ordered
from dashboards.report.findings import find
from sweep.analysis.operating_point import OperatingPoint
from sweep.analysis.statistics import paired_difference
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection, Trial
from sweep.records import Epoch, FoldScore, State

DICE = {"dice": 0.8, "dice_all_empty": 0.78}


def texts(plot: Plot) -> str:
    """Everything a figure would write, as one string, and what plotly itself makes of it."""
    plot.figure().update_layout(plot.narrow)
    return json.dumps(as_json({"figure": plot}))


class TestOrder:
    def test_complete_ones_come_first_then_more_folds_then_the_better_mean(self) -> None:
        projection = projection_of(
            [[0.5] * 3, [0.9], [0.6] * 3, [0.7, 0.7], [], [0.95], [math.nan]],
            ends={6: State.FAILED},
        )
        assert [one.number for one in ordered(projection)] == [2, 0, 3, 5, 1, 6, 4]

    def test_of_a_minimised_metric_the_lowest_is_best(self) -> None:
        projection = projection_of([[0.5] * 3, [0.4] * 3], maximize=False, metric="loss")
        assert [one.number for one in ordered(projection)] == [1, 0]

    def test_who_is_ahead_of_the_default_on_most_folds_leads(self) -> None:
        leader = leader_of(projection_of([[0.5] * 2, [0.9], [0.6] * 2, [0.4] * 2]))
        assert leader is not None
        assert leader.number == 2

    def test_where_nobody_got_through_it_is_who_got_furthest(self) -> None:
        ends = {0: State.FAILED, 1: State.PRUNED, 2: State.FAILED}
        leader = leader_of(projection_of([[0.5], [0.4] * 2, []], ends=ends))
        assert leader is not None
        assert leader.number == 1

    def test_nobody_leads_without_a_score(self) -> None:
        assert leader_of(projection_of([[]])) is None


class TestLeaderboard:
    def test_complete_trials_have_intervals_and_partial_ones_do_not(self) -> None:
        ends = {1: State.ABANDONED}
        info = leaderboard_info(projection_of([[0.4, 0.5, 0.6], [0.9]], ends=ends))
        (panel,) = info.panels
        whole, part = panel.entries
        assert info.leader == 0
        assert "Winner" in texts(leaderboard(info))
        assert whole.complete
        assert whole.mean == pytest.approx(0.5)
        # s = 0.1, k = 3: half-width t(0.975, 2) * 0.1 * sqrt(1/3 + 1/2)
        assert whole.high is not None
        assert whole.high - whole.mean == pytest.approx(4.302653 * 0.1 * math.sqrt(5 / 6), rel=1e-5)
        assert not part.complete
        assert (part.low, part.high) == (None, None)
        assert info.names == ("#0 default", "#1 · 1/3")

    def test_who_leads_an_open_sweep_is_shown_and_is_no_winner(self) -> None:
        scores = [[0.5] * 3, *([0.4 + n / 100] * 3 for n in range(5)), [0.6]]
        info = leaderboard_info(projection_of(scores), limit=2)
        assert info.leader == 6
        assert "#6 · 1/3" in info.names
        shown = texts(leaderboard(info))
        assert "In the lead, not over" in shown
        assert "Winner" not in shown

    def test_means_of_fewer_folds_have_no_panel(self) -> None:
        info = leaderboard_info(projection_of([[0.5], [0.6]], metrics=DICE))
        shown = leaderboard(info)
        assert "xaxis2" not in shown.layout
        assert "absolute means" not in sentence(info, "dice")

    def test_differences_stand_on_the_same_folds_with_the_corrected_interval(self) -> None:
        """As `compare` and the verdict have it, the partial one without an interval."""
        projection = projection_of(
            [[0.4, 0.5, 0.6], [0.5, 0.61, 0.69], [0.45]], ends={2: State.ABANDONED}
        )
        info = leaderboard_info(projection)
        best, default, part = info.differences
        wanted = paired_difference([0.5, 0.61, 0.69], [0.4, 0.5, 0.6], num_compared=2)
        assert (best.number, info.num_compared) == (1, 2)
        assert (best.mean, best.low, best.high) == pytest.approx(
            (wanted.mean, wanted.low, wanted.high)
        )
        assert best.folds == pytest.approx((0.1, 0.11, 0.09))
        assert (default.mean, default.low) == (0.0, None)
        assert (part.number, part.low, part.folds) == (2, None, pytest.approx((0.05,)))

    def test_dice_stands_beside_another_objective_with_the_all_empty_baseline(self) -> None:
        info = leaderboard_info(projection_of([[0.4, 0.5, 0.6]], metrics=DICE))
        assert [panel.metric for panel in info.panels] == ["average_precision", "dice"]
        assert info.panels[1].baseline == pytest.approx(0.78)
        assert info.panels[1].note == "fixed threshold"
        assert "all empty 0.780" in texts(leaderboard(info))

    def test_dice_as_objective_is_one_panel_with_the_baseline(self) -> None:
        (panel,) = leaderboard_info(
            projection_of([[0.4, 0.5, 0.6]], metric="dice", metrics=DICE)
        ).panels
        assert panel.baseline == pytest.approx(0.78)

    def test_thresholds_from_the_other_folds_are_never_mixed_with_fixed_ones(self) -> None:
        projection = projection_of([[0.4, 0.5, 0.6], [0.9]], metrics=DICE)
        folds = tuple({"dice": value} for value in (0.81, 0.82, 0.83))
        points = {0: OperatingPoint(folds=folds)}
        dice = leaderboard_info(projection, operating_points=points).panels[1]
        assert dice.note == "threshold from the other folds"
        assert [entry.number for entry in dice.entries] == [0]
        assert dice.entries[0].folds == (0.81, 0.82, 0.83)

    def test_the_default_is_shown_wherever_it_stands(self) -> None:
        projection = projection_of([[0.1] * 3, *([0.5 + n / 100] * 3 for n in range(5))])
        info = leaderboard_info(projection, limit=2)
        assert info.names == ("#5", "#4", "#0 default")
        assert info.num_omitted == 3

    def test_trials_without_a_finite_score_are_not_drawn(self) -> None:
        projection = projection_of([[0.5] * 3, [math.nan], []], ends={1: State.FAILED})
        info = leaderboard_info(projection)
        assert info.names == ("#0 default",)
        assert (info.num_omitted, info.num_unscored) == (0, 2)

    def test_a_minimised_objective_keeps_its_own_sign(self) -> None:
        info = leaderboard_info(projection_of([[0.4, 0.5, 0.6]], maximize=False, metric="loss"))
        assert info.panels[0].entries[0].mean == pytest.approx(0.5)

    def test_an_empty_sweep_can_be_drawn(self) -> None:
        assert not leaderboard(leaderboard_info(projection_of([]))).data


class TestHeatmap:
    def test_differences_are_taken_to_the_default_on_the_same_fold(self) -> None:
        info = fold_heatmap_info(projection_of([[0.4, 0.6, 0.5], [0.5]]))
        assert info.reference == "the default trial"
        assert info.scores == ((0.4, 0.6, 0.5), (0.5, None, None))
        assert info.differences[1][0] == pytest.approx(0.1)
        assert info.differences[0] == (0.0, 0.0, 0.0)

    def test_better_is_positive_for_a_minimised_metric_too(self) -> None:
        projection = projection_of([[0.4] * 3, [0.3]], maximize=False, metric="loss")
        assert fold_heatmap_info(projection).differences[1][0] == pytest.approx(0.1)

    def test_without_a_whole_default_the_fold_mean_is_the_reference(self) -> None:
        info = fold_heatmap_info(projection_of([[0.4], [0.6]]))
        assert info.reference == "the fold's mean"
        assert info.differences[0][0] == pytest.approx(0.1)  # 0.6, the better one, comes first

    def test_it_draws_real_and_empty_sweeps(self, sweep: Ledger) -> None:
        cells, *marks = fold_heatmap(fold_heatmap_info(sweep.projection)).data
        assert len(cells["z"]) == len(sweep.projection.trials)
        assert {"pruned", "failed"} <= {mark["name"] for mark in marks}
        (cells,) = fold_heatmap(fold_heatmap_info(projection_of([]))).data
        assert not cells["z"]

    def test_every_fold_without_a_score_says_why(self) -> None:
        projection = projection_of([[0.5] * 3, [0.4], [math.nan], [], [0.6]])
        projection.start(1, 1, 1, stamp(10))
        projection.epoch(Epoch(trial=1, fold=1, attempt=1, epoch=4, value=0.1, seconds=1.0))
        projection.end(1, State.PRUNED, "because", stamp(11))
        projection.end(2, State.FAILED, "NaN", stamp(11))
        projection.start(3, 0, 1, stamp(12))
        projection.start(4, 1, 1, stamp(12))
        projection.lose(4, 1, stamp(13), "the worker died")
        info = fold_heatmap_info(projection)
        cells = dict(zip(info.numbers, info.cells, strict=True))
        assert cells == {
            0: ("scored", "scored", "scored"),
            1: ("scored", "pruned in epoch 4", ""),
            2: ("NaN", "", ""),
            3: ("running", "", ""),
            4: ("scored", "lost", ""),
        }
        assert dict(zip(info.numbers, info.states, strict=True))[3] == "running"
        names = [trace.get("name") for trace in fold_heatmap(info).data]
        assert {"pruned", "running", "lost, may run again", "scored NaN"} <= set(names)

    def test_rows_are_kept_for_trials_without_a_finished_fold(self) -> None:
        info = fold_heatmap_info(projection_of([[0.5] * 3] * 20 + [[]] * 20), limit=9)
        assert info.numbers == (*range(6), 20, 21, 22)
        assert info.num_omitted == 31


class TestCurves:
    def trial(self) -> tuple[Projection, Trial]:
        projection = projection_of([[]])
        for fold, loss in enumerate([(1.0, 0.5), (2.0, 1.5, 1.0)]):
            projection.start(0, fold, 1, stamp(fold))
            projection.finish(
                FoldScore(
                    trial=0, fold=fold, attempt=1, value=0.5, score=0.5, seconds=1,
                    num_epochs=len(loss),
                    best_epoch=fold + 1, metrics={"dice": 0.7 + fold / 10},
                    curves={"train_loss": loss, "monitor_dice": loss},
                ),
                stamp(fold + 1),
            )  # fmt: skip
        return projection, projection.trials[0]

    def test_mean_and_sd_are_over_the_folds_that_still_train(self) -> None:
        info = fold_curves_info(*self.trial())
        assert [panel.metric for panel in info.panels] == ["loss", "dice"]
        (training,) = info.panels[0].curves
        assert training.name == "training"
        assert training.mean == pytest.approx((1.5, 1.0, 1.0))
        assert training.sd == pytest.approx((math.sqrt(0.5), math.sqrt(0.5), 0.0))
        assert training.num_folds == (2, 2, 1)

    def test_the_held_fold_stands_at_the_epoch_of_its_weights(self) -> None:
        panel = fold_curves_info(*self.trial()).panels[1]
        assert panel.best_epochs == (1, 2)
        assert panel.held == pytest.approx((0.7, 0.8))

    def test_a_real_winner_has_loss_objective_dice_and_iou(self, sweep: Ledger) -> None:
        best = sweep.projection.best()
        assert best is not None
        info = fold_curves_info(sweep.projection, best)
        assert [p.metric for p in info.panels] == ["loss", "average_precision", "dice", "iou"]
        fold_curves(info)


class TestSchedule:
    def test_bars_begin_where_the_attempts_did(self) -> None:
        info = schedule_info(projection_of([[0.5, 0.5, 0.5], [0.5]]))
        times = [(b.trial, b.fold, b.start_seconds, b.end_seconds) for b in info.bars]
        assert times == [(0, 0, 0, 60), (0, 1, 60, 120), (0, 2, 120, 180), (1, 0, 180, 240)]
        assert info.breaks_seconds == ()
        assert {bar.outcome for bar in info.bars} == {"finished"}

    def test_a_dead_driver_leaves_no_long_bar_and_the_pause_is_cut_out(self) -> None:
        projection = projection_of([[0.5]])  # fold 0 ended after a minute
        projection.start(0, 1, 1, stamp(1))
        projection.lose(0, 1, stamp(500), "the driver stopped")  # noted on resume
        projection.start(0, 1, 2, stamp(501))
        projection.finish(
            FoldScore(
                trial=0,
                fold=1,
                attempt=2,
                value=0.5,
                score=0.5,
                seconds=60,
                num_epochs=1,
                best_epoch=1,
            ),
            stamp(502),
        )
        info = schedule_info(projection)
        assert [(b.attempt, b.outcome) for b in info.bars if b.fold == 1] == [
            (1, "lost"),
            (2, "finished"),
        ]
        assert info.busy_seconds == pytest.approx(120)
        assert info.breaks_seconds == pytest.approx((60,))
        assert "stood still once" in schedule_sentence(info)
        schedule(info)

    def test_every_attempt_of_a_sweep_has_a_bar(self, sweep: Ledger) -> None:
        info = schedule_info(sweep.projection)
        assert len(info.bars) == sum(len(one.log) for one in sweep.projection.trials)
        assert {"finished", "lost", "stopped"} <= {bar.outcome for bar in info.bars}
        busy = sum(bar.end_seconds - bar.start_seconds for bar in info.bars)
        assert busy <= 2 * info.busy_seconds + 1e-6  # two workers
        schedule(info)

    def test_rows_are_workers_and_overlap_never(self, sweep: Ledger) -> None:
        info = schedule_info(sweep.projection)
        assert info.num_workers == 2
        for worker in range(2):
            own = [bar for bar in info.bars if bar.worker == worker]
            for before, after in itertools.pairwise(own):
                assert before.end_seconds <= after.start_seconds + 1e-6

    def test_beyond_fifty_workers_their_number_is_drawn(self) -> None:
        projection = projection_of([[] for _ in range(60)])
        for number in range(60):
            projection.start(number, 0, 1, stamp(0))
            projection.end(number, State.PRUNED, "because", stamp(1 if number % 2 else 2))
        info = schedule_info(projection)
        assert info.num_workers == 60
        assert info.share_busy == pytest.approx(0.75)
        (line,) = schedule(info).data
        assert (line["y"][0], line["y"][-1]) == pytest.approx((60, 30))
        assert "How many of 60 workers" in schedule_sentence(info)

    def test_no_fold_at_all(self) -> None:
        assert schedule_info(projection_of([[]])).bars == ()


class TestSlices:
    def test_a_panel_per_parameter_that_varied_and_a_point_where_it_was_active(self) -> None:
        projection = projection_of(
            [[0.5] * 3, [0.6], [0.7]],
            parameters=[
                {"lr": 1e-3, "patch": 256, "same": 1.0},
                {"lr": 1e-2, "patch": 128, "same": 1.0},
                {"lr": 1e-4, "same": 1.0},
            ],
            distributions={
                "lr": FloatDistribution(1e-4, 1e-2, log=True),
                "patch": CategoricalDistribution((128, 256)),
                "same": FloatDistribution(0.0, 1.0),
            },
            ends={1: State.PRUNED, 2: State.ABANDONED},
        )
        info = slices_info(projection)
        assert [(s.parameter, s.is_log, s.is_categorical) for s in info.slices] == [
            ("lr", True, False),
            ("patch", False, True),
        ]
        assert [(p.number, p.score, p.kind) for p in info.slices[0].points] == [
            (0, 0.5, "winner"),
            (1, 0.6, "other"),
            (2, 0.7, "other"),
        ]
        assert [p.number for p in info.slices[1].points] == [0, 1]
        slices(info)

    def test_those_stopped_in_the_fold_are_drawn_and_what_is_not_is_said(self) -> None:
        """Survivors alone would hide a parameter of which they share one value."""
        projection = projection_of(
            [[0.5] * 3, [0.6], []],
            parameters=[{"lr": 1e-3, "patch": 256}, {"lr": 1e-2, "patch": 256}, {"patch": 128}],
            distributions={
                "lr": FloatDistribution(1e-4, 1e-2, log=True),
                "patch": CategoricalDistribution((128, 256)),
            },
            ends={1: State.PRUNED},
        )
        info = slices_info(projection)
        assert [one.parameter for one in info.slices] == ["lr"]
        assert slices_sentence(info).endswith(
            "Not shown: 1 trial that never ran; patch, of which all have one value."
        )
        projection.start(2, 0, 1, stamp(10))
        projection.end(2, State.PRUNED, "because", stamp(11))
        info = slices_info(projection)
        assert [one.parameter for one in info.slices] == ["lr", "patch"]
        stopped = info.slices[1].points[2]
        assert (stopped.number, stopped.score, stopped.kind) == (2, None, "stopped")
        assert "1 trial without a score on this fold" in slices_sentence(info)
        assert "Without a score on this fold" in texts(slices(info))

    def test_of_many_an_even_part_is_drawn(self) -> None:
        projection = projection_of(
            [[0.5] * 3, *([0.4 + n / 2000] for n in range(900))],
            parameters=[{"lr": (n + 1) / 1000} for n in range(901)],
            distributions={"lr": FloatDistribution(0.0, 1.0)},
            ends=dict.fromkeys(range(1, 901), State.PRUNED),
        )
        info = slices_info(projection)
        assert len(info.slices[0].points) == 1 + 300
        assert "600 trials of those not complete, left out evenly" in slices_sentence(info)

    def test_names_are_text_and_never_markup(self) -> None:
        projection = projection_of(
            [[0.5], [0.6]],
            parameters=[{"<b>n</b>": "<a href='x'>1</a>"}, {"<b>n</b>": "2"}],
            distributions={"<b>n</b>": CategoricalDistribution(("<a href='x'>1</a>", "2"))},
        )
        figure = slices(slices_info(projection))
        assert figure.layout["xaxis"]["title"]["text"] == "&lt;b&gt;n&lt;/b&gt;"
        assert "<a" not in str([trace["x"] for trace in figure.data])

    def test_a_real_sweep(self, sweep: Ledger) -> None:
        names = {one.parameter for one in slices_info(sweep.projection).slices}
        assert {"learning_rate", "dropout", "patch_size"} <= names


class TestParallel:
    def test_lines_go_from_parameters_to_the_score(self) -> None:
        projection = projection_of(
            [[0.5] * 3, [0.6], [0.7]],
            parameters=[{"lr": 1e-3, "patch": 256}, {"lr": 1e-2, "patch": 128}, {"lr": 1e-4}],
            distributions={
                "lr": FloatDistribution(1e-4, 1e-2, log=True),
                "patch": CategoricalDistribution((128, 256)),
            },
            ends={1: State.PRUNED, 2: State.ABANDONED},
        )
        info = parallel_info(projection)
        assert [axis.name for axis in info.axes] == ["lr", "patch", "Average precision"]
        assert info.axes[1].ticks[0][1] == "not active"
        lines = {line.number: line for line in info.lines}
        assert lines[0].places == pytest.approx((0.5, 1.0, 0.0))
        assert lines[1].places == pytest.approx((1.0, 0.0, 0.5))
        assert lines[2].places == pytest.approx((0.0, info.axes[1].ticks[0][0], 1.0))
        assert (lines[0].kind, lines[1].kind) == ("winner", "other")
        assert "Winner" in texts(parallel(info))

    def test_without_parameters_it_says_so(self) -> None:
        assert "No parameter" in texts(parallel(parallel_info(projection_of([[0.5]]))))


class TestPareto:
    def test_the_front_is_what_no_other_beats_on_both(self) -> None:
        projection = projection_of([[0.5] * 3] * 4)
        values = [(0.80, 0.9), (0.85, 0.8), (0.79, 0.85), (0.86, 0.7)]
        for trial, (dice, sensitivity) in zip(projection.trials, values, strict=True):
            for fold, found in trial.folds.items():
                metrics = {"dice": dice, "case_sensitivity": sensitivity}
                trial.folds[fold] = dataclasses.replace(found, metrics=metrics)
        info = pareto_info(projection)
        ((metric, spots),) = info.panels
        assert (metric, info.threshold) == ("case_sensitivity", "fixed threshold")
        assert [spot.number for spot in spots if spot.is_front] == [0, 1, 3]
        assert spots[0].kind == "winner"
        assert "was not measured" in pareto_sentence(info)
        assert "Pareto front" in texts(pareto(info))

    def test_time_has_a_panel_where_it_was_measured_and_less_is_better(self) -> None:
        projection = projection_of([[0.5] * 3] * 2)
        for trial, seconds in zip(projection.trials, (2.0, 1.0), strict=True):
            for fold, found in trial.folds.items():
                usage = {"seconds_per_image": seconds}
                trial.folds[fold] = dataclasses.replace(found, metrics={"dice": 0.8}, usage=usage)
        info = pareto_info(projection)
        ((metric, spots),) = info.panels
        assert metric == "seconds_per_image"
        assert [spot.is_front for spot in spots] == [False, True]
        assert "the median of a few held images" in pareto_sentence(info)
        assert "Seconds an image" in texts(pareto(info))

    def test_one_trial_has_no_front(self) -> None:
        assert pareto_info(projection_of([[0.5] * 3], metrics=DICE)).panels == ()


class TestGroups:
    def test_rows_stand_in_panels_by_group(self, sweep: Ledger) -> None:
        info = groups_info(find(sweep.projection).groups)
        titles = {title: [row.metric for row in rows] for title, rows in info.panels}
        assert titles["Dice by size of the mask"] == [f"dice_size_q{n}" for n in range(1, 5)]
        shown = texts(groups(info, name="The winner"))
        assert "smallest quarter" in shown
        assert "predicting nothing" in shown

    def test_without_groups_nothing_is_drawn(self) -> None:
        assert groups_info(()).panels == ()


class TestRegret:
    def test_a_step_for_each_new_best_at_what_all_folds_had_cost(self) -> None:
        info = regret_info(projection_of([[0.5] * 3, [0.4] * 3, [0.7] * 3, [0.6] * 3]))
        assert info.numbers == (0, 2)
        assert info.hours == pytest.approx((3 / 60, 9 / 60))  # a fold a minute
        assert info.regrets == pytest.approx((0.2, 0.0))
        assert (info.default, info.total_hours) == pytest.approx((0.2, 12 / 60))
        assert "#2" in texts(regret(info))

    def test_of_a_minimised_metric_regret_is_positive_too(self) -> None:
        info = regret_info(projection_of([[0.5] * 3, [0.4] * 3], maximize=False, metric="loss"))
        assert info.regrets == pytest.approx((0.1, 0.0))

    def test_without_a_complete_trial_it_says_so(self) -> None:
        assert "No trial is complete" in texts(regret(regret_info(projection_of([[0.5]]))))


def test_operating_points_of_a_real_sweep_reach_the_leaderboard(sweep: Ledger) -> None:
    info = leaderboard_info(sweep.projection, operating_points=operating_points(sweep))
    complete = sum(one.state is State.COMPLETE for one in sweep.projection.trials)
    assert len(info.panels[1].entries) == complete
    leaderboard(info)


def test_anytime_shows_a_line_and_a_band_for_each_policy() -> None:
    costs = np.array([0.1, 0.2, 0.3])
    easy = np.array([[np.nan, 0.4, 0.2], [0.8, 0.6, 0.0]])  # two seeds
    hard = np.array([[0.9, 0.6, 0.4], [0.7, 0.4, 0.2]])
    (curve,) = anytime_info({"greedy": (costs, [easy, hard])})
    assert curve.costs.tolist() == [0.2, 0.3]  # before, a replay has no score yet
    assert curve.mean == pytest.approx([0.5, 0.2])
    # Seeds average 0.5 and 0.5, then 0.3 and 0.1; a tenth of the way from one to the other.
    assert curve.low == pytest.approx([0.5, 0.12])
    assert curve.high == pytest.approx([0.5, 0.28])
    figure = anytime_figure([curve, dataclasses.replace(curve, label="halving")])
    lines = [trace for trace in figure.data if trace.get("showlegend", True)]
    assert [trace["name"] for trace in lines] == ["greedy", "halving"]
    assert lines[0]["y"] == pytest.approx([0.5, 0.2])
    assert len(figure.data) == 4


class TestStops:
    def test_each_pruned_trial_stands_beside_its_own_threshold(self, sweep: Ledger) -> None:
        info = stops_info(sweep.projection)
        shown = {stop.number: stop for _, panel in info.panels for stop in panel}
        pruned = [t for t in sweep.projection.trials if t.state is State.PRUNED]
        assert set(shown) == {trial.number for trial in pruned}
        assert info.num_unknown == 0
        for trial in pruned:
            assert trial.judged == (shown[trial.number].value, shown[trial.number].limit)
            assert shown[trial.number].value < shown[trial.number].limit
        assert [title for title, _ in info.panels] == sorted(title for title, _ in info.panels)
        assert "Pruner's threshold then" in texts(stops(info))

    def test_of_an_older_ledger_it_says_that_it_does_not_know(self) -> None:
        projection = projection_of([[0.5] * 3, [0.4]], ends={1: State.PRUNED})
        info = stops_info(projection)
        assert (info.panels, info.num_unknown) == ((), 1)
        assert "holds no threshold" in stops_sentence(info)
