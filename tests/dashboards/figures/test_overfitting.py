"""Overfitting: hand-made curves whose turn, gap and saving are known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from synthetic_sweeps import projection_of, stamp

from dashboards.figures.diagnosis import Departure, departure, diagnose, noise, smooth
from dashboards.figures.overfitting import (
    OverfittingInfo,
    overfitting,
    overfitting_info,
    sentence,
)
from dashboards.report.sections import diagnosis_table
from sweep.ledger import Ledger
from sweep.ledger.projection import Trial
from sweep.records import FoldScore

EPOCHS = np.arange(1, 21)
FALLING = (1 / EPOCHS).tolist()


def parabola(turn: int) -> list[float]:
    """A monitor loss that is lowest at one epoch."""
    return (0.5 + 0.01 * (EPOCHS - turn) ** 2).tolist()


def fold(
    training: list[float], monitor: list[float], *, number: int = 0, best_epoch: int = 1
) -> FoldScore:
    metric = tuple(1 - value for value in monitor)
    return FoldScore(
        trial=0, fold=number, attempt=1, value=0.5, score=0.5, seconds=10.0 * len(monitor),
        num_epochs=len(monitor), best_epoch=best_epoch,
        curves={
            "train_loss": tuple(training),
            "monitor_loss": tuple(monitor),
            "monitor_average_precision": metric,
        },
    )  # fmt: skip


def trial(folds: list[FoldScore], **settings: object) -> Trial:
    projection = projection_of([[]], num_folds=len(folds) + 1)
    one = projection.trials[0]
    one.settings.update({"max_epochs": 30, **settings})
    for score in folds:
        projection.start(0, score.fold, 1, stamp(score.fold))
        projection.finish(score, stamp(score.fold + 1))
    return one


def rises(epoch: int) -> Departure:
    return Departure(epoch=epoch, kind="rises")


class TestDeparture:
    @pytest.mark.parametrize("turn", [2, 7, 12])
    def test_it_is_where_the_monitor_turns(self, turn: int) -> None:
        assert departure(FALLING, parabola(turn)) == rises(turn)

    def test_noise_below_the_rise_moves_it_little(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(50):
            found = departure(FALLING, (parabola(8) + rng.normal(0, 0.02, 20)).tolist())
            assert found is not None
            assert found.kind == "rises"
            assert abs(found.epoch - 8) <= 2

    def test_noise_alone_is_no_rise(self) -> None:
        rng = np.random.default_rng(1)
        flat = [(0.5 + rng.normal(0, 0.05, 20)).tolist() for _ in range(200)]
        found = [departure(FALLING, one) for one in flat]
        assert sum(one is not None and one.kind == "rises" for one in found) <= 20

    @pytest.mark.parametrize("stall", [3, 6, 11])
    def test_a_monitor_that_stops_while_training_goes_on_stalls(self, stall: int) -> None:
        training = (2 - EPOCHS / 10).tolist()
        monitor = np.maximum(2 - EPOCHS / 10, 2 - stall / 10)
        found = departure(training, monitor.tolist())
        assert found is not None
        assert found.kind == "stalls"
        assert abs(found.epoch - stall) <= 1  # the moving mean rounds the corner off

    def test_a_monitor_that_never_learned_stalls_at_once(self) -> None:
        assert departure(FALLING, [0.5] * 20) == Departure(epoch=1, kind="stalls")

    def test_two_losses_that_go_on_together_do_not_depart(self) -> None:
        assert departure(FALLING, [0.5 + value for value in FALLING]) is None
        training = (2 - EPOCHS / 10).tolist()
        slower = (2 - EPOCHS / 20).tolist()  # the gap grows, but the monitor still gets better
        assert departure(training, slower) is None

    def test_both_getting_worse_is_not_overfitting(self) -> None:
        assert departure(parabola(5), parabola(5)) is None

    def test_a_few_epochs_say_nothing(self) -> None:
        assert departure(FALLING[:4], [0.5, 0.4, 0.6, 0.9]) is None
        assert departure([], []) is None


def test_smoothing_keeps_a_line_and_noise_ignores_it() -> None:
    line = [2.0 - 0.1 * epoch for epoch in range(9)]
    assert smooth(line)[1:-1] == pytest.approx(line[1:-1])
    assert noise(line) == pytest.approx(0.0, abs=1e-12)
    errors = np.random.default_rng(0).normal(0, 0.3, 4000)
    assert noise((errors + np.linspace(5, 0, 4000)).tolist()) == pytest.approx(0.3, rel=0.05)
    assert noise([1.0, 2.0]) == 0.0


class TestDiagnosis:
    def test_gap_kept_metric_and_saving_by_hand(self) -> None:
        # Training 1 - e/20, so smoothing leaves it; the monitor's parabola gains 0.01 * 2/3 by it.
        training = (1 - EPOCHS / 20).tolist()
        found = diagnose(fold(training, parabola(8), best_epoch=8), {"max_epochs": 30})
        assert (found.departure, found.kind) == (8, "rises")
        assert found.gap_at_departure == pytest.approx(0.5 + 0.01 * 2 / 3 - (1 - 8 / 20))
        # The last mean is one of two epochs: 19 and 20.
        last = 0.5 + 0.01 * (11**2 + 12**2) / 2 - (1 - 19.5 / 20)
        assert found.gap_at_end == pytest.approx(last)
        assert found.metric_kept == pytest.approx(0.5)
        assert found.metric_at_end == pytest.approx(0.5 - 0.01 * 144)
        assert found.epochs_not_run == 10
        assert found.seconds_not_run == pytest.approx(100.0)

    def test_without_a_departure_there_is_no_gap_there(self) -> None:
        found = diagnose(fold(FALLING, FALLING, best_epoch=20), {"max_epochs": 20})
        assert (found.departure, found.kind) == (None, "")
        assert math.isnan(found.gap_at_departure)
        assert found.gap_at_end == pytest.approx(0.0)
        assert (found.epochs_not_run, found.seconds_not_run) == (0, 0.0)

    def test_what_is_not_finite_ends_the_curves(self) -> None:
        broken = parabola(8)
        broken[10] = math.nan
        found = diagnose(fold(FALLING, broken), {})
        assert found.gap_at_end == pytest.approx(
            np.mean(parabola(8)[8:10]) - np.mean(FALLING[8:10])
        )

    def test_a_stopping_metric_that_was_not_recorded_is_nan(self) -> None:
        found = diagnose(fold(FALLING, FALLING), {"stop_metric": "dice"})
        assert math.isnan(found.metric_kept)
        assert math.isnan(found.metric_at_end)


def info_of(*turns: int, **settings: object) -> OverfittingInfo:
    folds = [
        fold(FALLING, parabola(turn) if turn else FALLING, number=number, best_epoch=turn or 20)
        for number, turn in enumerate(turns)
    ]
    info = overfitting_info(trial(folds, **settings))
    assert info is not None
    return info


class TestFigure:
    def test_info_by_hand(self) -> None:
        info = info_of(6, 10, 0)
        assert info.stop_metric == "average_precision"
        assert [one.departure for one in info.folds] == [6, 10, None]
        assert info.departures == ((6, pytest.approx(0.5)), (10, pytest.approx(0.5)))
        assert info.median_departure == 8
        assert [epoch for epoch, _ in info.kept] == [6, 10, 20]
        training, monitor = info.losses
        assert (training.name, monitor.name) == ("training", "monitor")
        assert training.sd == pytest.approx([0.0] * 20)
        values = (0.5 + 0.01 * 25, 0.5 + 0.01 * 81, 1.0)
        assert monitor.mean[0] == pytest.approx(np.mean(values))
        assert monitor.sd[0] == pytest.approx(np.std(values, ddof=1))
        assert info.watched is not None

    def test_the_departure_is_marked(self) -> None:
        figure = overfitting(info_of(6, 10))
        (marks,) = (one for one in figure.data if one.get("name") == "monitor departs, one a fold")
        assert marks["x"] == [6, 10]
        assert any(line["x0"] == line["x1"] == 8 for line in figure.layout["shapes"])
        assert "median of 2 departures: epoch 8" in str(figure.layout)

    def test_without_departures_nothing_is_marked(self) -> None:
        figure = overfitting(info_of(0, 0))
        assert not figure.layout["shapes"]
        assert not any("departs" in one.get("name", "") for one in figure.data)

    def test_a_loss_that_stops_training_has_one_panel(self) -> None:
        info = info_of(6, stop_metric="loss")
        assert info.watched is None
        assert info.kept == ((6, pytest.approx(0.5)),)
        assert "yaxis2" not in overfitting(info).layout

    def test_nothing_to_diagnose(self) -> None:
        assert overfitting_info(projection_of([[0.5]]).trials[0]) is None
        assert overfitting_info(projection_of([[]]).trials[0]) is None

    def test_a_real_winner_is_drawn(self, sweep: Ledger) -> None:
        best = sweep.projection.best()
        assert best is not None
        info = overfitting_info(best)
        assert info is not None
        assert len(info.folds) == 5
        overfitting(info)
        assert str(diagnosis_table(info)).count("<tr") == 6


class TestWords:
    def test_departures_and_savings_are_said(self) -> None:
        text = sentence(info_of(6, 10, 0))
        assert "In 2 of 3 folds the monitor left the training loss" in text
        assert "at epochs 6 and 10: it got worse" in text
        assert "saved 30 epochs (about 5 min 00 s)" in text
        # (0.01 * 14^2 + 0.01 * 10^2 + 0) / 3
        assert "average precision by +0.987 on average" in text

    def test_no_departure_is_said(self) -> None:
        text = sentence(info_of(0, max_epochs=20))
        assert "In none of 1 fold did" in text
        assert "No epoch was saved" in text

    def test_a_monitor_that_is_the_scored_fold_is_labelled(self) -> None:
        assert "scored fold itself" in sentence(info_of(6, selection="fold"))

    def test_the_table_has_a_row_for_each_fold(self) -> None:
        cells = str(diagnosis_table(info_of(6, 0)))
        assert cells.count("<tr") == 3
        assert "departs at" in cells
