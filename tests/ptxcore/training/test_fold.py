"""Training a fold: its reports, its numbers, and which cases it reads when."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_store import drawn_store

from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.data.store.grids import Grid
from ptxcore.errors import FoldPlanError, OutOfMemory, SettingsError, TrainingDiverged
from ptxcore.metrics import summarize
from ptxcore.models import load_weights
from ptxcore.settings import FoldSettings
from ptxcore.training import scoring, train_fold
from ptxcore.training.scoring import held_metrics
from ptxcore.types import EpochReport, FoldResult, Rule, Runtime


class Bench(Protocol):
    store: CaseStore
    plan: Any
    whole_plan: Any

    def train(self, settings: FoldSettings = ..., **options: Any) -> list[EpochReport]: ...


class ReadingStore(CaseStore):
    """A real store that notes which cases are read."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.read: set[str] = set()

    def image(self, index: int) -> Any:
        self._note(index)
        return super().image(index)

    def mask(self, index: int) -> Any:
        self._note(index)
        return super().mask(index)

    def resampled(self, image_size: int, resampling: str = "lanczos") -> Any:
        grid = super().resampled(image_size, resampling)
        return self if grid is self else _ReadingGrid(grid, self)

    def _note(self, index: int) -> None:
        self.read.add(self.cases[index].case_id)


class _ReadingGrid:
    def __init__(self, grid: Grid | CaseStore, store: ReadingStore) -> None:
        self._grid, self._store = grid, store

    def image(self, index: int) -> Any:
        self._store._note(index)
        return self._grid.image(index)

    def soft_mask(self, index: int) -> Any:
        self._store._note(index)
        return self._grid.soft_mask(index)


def result_of(reports: list[EpochReport]) -> FoldResult:
    result = reports[-1].result
    assert result is not None
    return result


def assert_same_numbers(one: list[EpochReport], other: list[EpochReport]) -> None:
    """Equal to the last bit, wall times apart."""
    a, b = result_of(one), result_of(other)
    assert dict(a.metrics) == dict(b.metrics)
    assert {k: v for k, v in a.curves.items() if k != "seconds"} == {
        k: v for k, v in b.curves.items() if k != "seconds"
    }
    np.testing.assert_array_equal(a.cases.truth, b.cases.truth)
    np.testing.assert_array_equal(a.cases.background, b.cases.background)
    assert (a.best_epoch, a.num_epochs) == (b.best_epoch, b.num_epochs)


def test_one_report_per_epoch_and_the_result_on_the_last(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    reports = bench.train(fold=1, directory=tmp_path)
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert {report.fold for report in reports} == {1}
    assert [report.result is None for report in reports] == [True, True, True, False]
    result = result_of(reports)
    assert result.num_epochs == 4
    assert result.selection == "monitor"
    assert result.weights == tmp_path / "best"
    assert result.curves["train_loss"] == tuple(report.train_loss for report in reports)
    assert result.curves["learning_rate"] == tuple(report.learning_rate for report in reports)
    assert result.curves["monitor_loss"] == tuple(report.monitor["loss"] for report in reports)
    watched = result.curves["monitor_average_precision"]
    assert result.best_epoch == 1 + int(np.argmax(watched))
    assert result.seconds >= sum(report.seconds for report in reports)
    assert 0 < result.seconds_per_image < result.seconds
    assert tuple(result.cases.case_ids) == bench.plan.held(1)
    expected = held_metrics(result.cases, bench.store, bench.plan, Rule())
    assert dict(result.metrics) == pytest.approx(expected, nan_ok=True)
    plain = summarize(result.cases, Rule())
    assert {n: result.metrics[n] for n in plain} == pytest.approx(plain, nan_ok=True)
    assert result.metrics["num_with_spacing"] == len(bench.plan.held(1))
    assert result.metrics["num_cases_view_pa"] == len(bench.plan.held(1))


def test_counts_are_on_the_original_grid(bench: Bench) -> None:
    cases = result_of(bench.train()).cases
    for name, truth, background in zip(cases.case_ids, cases.truth, cases.background, strict=True):
        case = bench.store.cases[bench.store.index(str(name))]
        assert truth.sum() == case.mask_px
        assert truth.sum() + background.sum() == case.num_pixels == 48 * 48


def test_it_learns(bench: Bench, small: FoldSettings) -> None:
    settings = dataclasses.replace(
        small, channels=4, levels=3, max_epochs=16, patience=16, steps_per_epoch=12
    )
    metrics = result_of(bench.train(settings)).metrics
    assert metrics["average_precision"] > 0.9
    assert metrics["dice_positive"] > 0.5
    assert metrics["dice"] > metrics["dice_all_empty"] + 0.2


@pytest.mark.parametrize(
    "runtime",
    [Runtime(), Runtime(channels_last=True), Runtime(precision="bfloat16", channels_last=True)],
)
def test_same_seed_same_numbers(bench: Bench, runtime: Runtime) -> None:
    once = bench.train(runtime=runtime)
    assert_same_numbers(once, bench.train(runtime=runtime))


def test_another_seed_and_another_fold_begin_with_other_weights(bench: Bench) -> None:
    losses = {bench.train(seed=s, fold=f)[0].train_loss for s, f in ((0, 0), (1, 0), (0, 1))}
    assert len(losses) == 3


def test_two_folds_may_take_turns_and_anybody_may_draw(bench: Bench, small: FoldSettings) -> None:
    alone = [bench.train(fold=fold) for fold in (0, 1)]
    generators: list[Iterator[EpochReport]] = [
        train_fold(small, bench.store, bench.plan, fold, seed=0, runtime=Runtime())
        for fold in (0, 1)
    ]
    together: list[list[EpochReport]] = [[], []]
    for _ in range(small.max_epochs):
        for reports, generator in zip(together, generators, strict=True):
            torch.rand(5)
            reports.append(next(generator))
    for one, other in zip(alone, together, strict=True):
        assert_same_numbers(one, other)


def test_global_state_is_left_alone(bench: Bench, small: FoldSettings) -> None:
    settings = dataclasses.replace(small, max_epochs=2, steps_per_epoch=1)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    for _ in train_fold(
        settings, bench.store, bench.plan, 0, seed=0, runtime=Runtime(num_threads=threads + 1)
    ):
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.random.get_rng_state(), state)


def test_the_held_fold_is_read_at_the_end_and_the_hold_out_never(
    bench: Bench, small: FoldSettings
) -> None:
    store = ReadingStore.open(bench.store.folder)
    assert isinstance(store, ReadingStore)
    held, holdout = set(bench.plan.held(0)), set(bench.whole_plan.holdout)
    generator = train_fold(small, store, bench.plan, 0, seed=0, runtime=Runtime())
    for _ in range(small.max_epochs - 1):
        assert next(generator).result is None
    assert store.read == set(bench.plan.training(0)) | set(bench.plan.monitor(0))
    assert next(generator).result is not None
    assert store.read & held == held
    assert holdout
    assert not store.read & holdout


def test_the_reports_protocol_watches_the_held_fold_and_says_so(
    bench: Bench, small: FoldSettings
) -> None:
    settings = dataclasses.replace(small, selection="fold", threshold=0.3)
    reports = bench.train(settings)
    result = result_of(reports)
    assert result.selection == "fold"
    best = reports[result.best_epoch - 1].monitor
    # Whole images either way: the best epoch's value is the fold's score itself.
    # Distances and groups of cases are measured on held folds alone, the loss on monitors.
    shared = set(best) - {"loss"}
    assert {name: best[name] for name in shared} == {name: result.metrics[name] for name in shared}
    assert result.metrics["average_precision"] == max(
        report.monitor["average_precision"] for report in reports
    )


def test_early_stopping_gives_the_weights_of_the_best_epoch(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    # Training again up to the best epoch must end with the same weights. The plateau schedule,
    # as the cosine depends on the number of epochs planned.
    settings = dataclasses.replace(
        small, schedule="plateau", max_epochs=40, patience=2, learning_rate=0.05
    )
    stopped = result_of(bench.train(settings, directory=tmp_path / "stopped"))
    assert stopped.best_epoch == stopped.num_epochs - 2 < 38
    again = dataclasses.replace(settings, max_epochs=stopped.best_epoch)
    short = result_of(bench.train(again, directory=tmp_path / "short"))
    assert short.best_epoch == short.num_epochs == stopped.best_epoch
    assert dict(short.metrics) == dict(stopped.metrics)
    one, _ = load_weights(tmp_path / "stopped" / "best")
    other, _ = load_weights(tmp_path / "short" / "best")
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_with_and_without_a_directory_the_numbers_are_the_same(
    bench: Bench, tmp_path: Path
) -> None:
    assert_same_numbers(bench.train(), bench.train(directory=tmp_path))
    assert result_of(bench.train()).weights is None


def test_windows_and_mirrors(bench: Bench, small: FoldSettings) -> None:
    settings = dataclasses.replace(small, image_size=48, patch_size=32, overlap=0.5, tta=True)
    assert math.isfinite(result_of(bench.train(settings)).metrics["average_precision"])


def test_a_whole_image_that_does_not_fit_is_refused_before_anything_is_trained(
    bench: Bench, small: FoldSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(small, image_size=48, patch_size=32)
    shapes = []

    def full(network: Any, image: NDArray[Any], *_: Any, **__: Any) -> Any:
        shapes.append(image.shape)
        raise OutOfMemory("a window does not fit")

    def fold(*choices: Mapping[str, Any]) -> Iterator[EpochReport]:
        runtime, plan = Runtime(), bench.plan
        return train_fold(
            settings, bench.store, plan, 0, seed=0, runtime=runtime, inference=choices
        )

    monkeypatch.setattr(scoring, "predict_grid", full)
    with pytest.raises(OutOfMemory, match="whole_image: found True where an image of 48 x 48 px"):
        next(fold({"whole_image": False}, {"whole_image": True}))
    assert shapes == [(48, 48)]
    monkeypatch.undo()
    scores = [*fold({"whole_image": False}, {"whole_image": True})][-1].result
    assert scores is not None
    assert len({one.metrics["average_precision"] for one in scores.choices}) == 2


def test_a_loss_that_is_not_finite_ends_the_fold(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    settings = dataclasses.replace(small, learning_rate=1e30, warmup_epochs=0, gradient_clip=0.0)
    with pytest.raises(TrainingDiverged, match=r"loss is (nan|inf).*|NaN or infinite logits"):
        bench.train(settings, directory=tmp_path)
    assert not (tmp_path / "result.json").exists()


def test_a_stop_metric_without_a_case_is_refused_after_the_first_epoch(
    small: FoldSettings, tmp_path: Path
) -> None:
    store = drawn_store(tmp_path / "store", num_cases=12, num_positive=12, side_px=32)
    settings = dataclasses.replace(small, stop_metric="case_specificity")
    plan, folder = make_plan(store, num_folds=2).search_part(), tmp_path / "fold"
    reports = train_fold(settings, store, plan, 0, seed=0, runtime=Runtime(), directory=folder)
    with pytest.raises(SettingsError, match=r"stop_metric: found 'case_specificity', NaN after"):
        next(reports)
    assert not folder.exists()  # nothing to go on from


def test_what_cannot_be_trained_is_refused_at_once(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    with pytest.raises(FoldPlanError, match="fold: found 3, expected 0 to 2"):
        bench.train(fold=3)
    with pytest.raises(SettingsError, match="stop_metric: found 'dise', expected one of dice"):
        bench.train(dataclasses.replace(small, stop_metric="dise"))
    other = drawn_store(tmp_path / "other", num_cases=8, num_positive=4, side_px=32)
    with pytest.raises(FoldPlanError, match="make a plan for this store"):
        bench.train(store=other)
