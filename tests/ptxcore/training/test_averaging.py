"""Averages of weights: closed forms, BatchNorm's statistics, and folds that use them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from torch import nn

from ptxcore.data.patches.sampler import Batch
from ptxcore.models import load_weights
from ptxcore.settings import FoldSettings
from ptxcore.training.averaging import (
    EpochMean,
    RunningMean,
    best_epochs,
    estimate_statistics,
    first_averaged,
    mean_state,
)
from ptxcore.training.early_stopping import EarlyStopping
from ptxcore.training.fold import FoldRun
from ptxcore.types import EpochReport, Runtime


class Bench(Protocol):
    store: Any
    plan: Any

    def train(self, settings: FoldSettings = ..., **options: Any) -> list[EpochReport]: ...


def stopping(maximize: bool = True) -> EarlyStopping:
    return EarlyStopping(patience=5, min_delta=0.0, maximize=maximize)


def test_the_running_mean_by_hand() -> None:
    network = nn.BatchNorm1d(1)
    mean, weight, variance = RunningMean(network, 0.5), math.nan, math.nan
    for step, (w, v) in enumerate([(4.0, 9.0), (2.0, 3.0), (7.0, 1.0), (1.0, 5.0)]):
        nn.init.constant_(network.weight, w)
        assert network.running_var is not None
        network.running_var.fill_(v)
        mean.update(network)
        decay = 0.0 if step == 0 else min(0.5, (1 + step) / (10 + step))
        weight = w if step == 0 else decay * weight + (1 - decay) * w
        variance = v if step == 0 else decay * variance + (1 - decay) * v
    averaged = mean.network.state_dict()
    assert averaged["weight"].item() == pytest.approx(weight)
    assert averaged["running_var"].item() == pytest.approx(variance)


def test_the_running_mean_goes_on_where_it_was() -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Linear(3, 2)
    whole, first = RunningMean(network, 0.9), RunningMean(network, 0.9)
    for step in range(6):
        nn.init.normal_(network.weight, generator=generator)
        whole.update(network)
        if step < 3:
            first.update(network)
        if step == 2:
            second = RunningMean(network, 0.9)
            second.restore({name: value.clone() for name, value in first.tensors().items()})
        if step > 2:
            second.update(network)
    assert all(torch.equal(a, whole.tensors()[name]) for name, a in second.tensors().items())


def test_which_epochs_are_the_best() -> None:
    values = [0.1, 0.5, math.nan, 0.7, 0.5, 0.2]
    assert best_epochs(stopping(), values, 1) == [4]
    assert best_epochs(stopping(), values, 2) == [2, 4]
    assert best_epochs(stopping(), values, 3) == [2, 4, 5]
    assert best_epochs(stopping(), values, 9) == [1, 2, 4, 5, 6]
    assert best_epochs(stopping(maximize=False), values, 2) == [1, 6]
    assert best_epochs(stopping(), [math.nan, math.nan], 2) == [1]


def test_means_of_weights_and_the_last_counter() -> None:
    states = [{"w": torch.tensor([float(n)]), "n": torch.tensor(n)} for n in (1, 2, 6)]
    mean = mean_state(states)
    assert mean["w"].item() == 3.0
    assert mean["w"].dtype == torch.float32
    assert mean["n"].item() == 6


def test_a_mean_over_epochs_by_hand_and_where_it_was() -> None:
    network, mean = nn.BatchNorm1d(1), EpochMean()
    values = [0.1, 2.0, 7.25, -1.0]
    for epoch, value in enumerate(values, start=1):
        nn.init.constant_(network.weight, value)
        assert network.num_batches_tracked is not None
        network.num_batches_tracked.fill_(10 * epoch)
        mean.update(network)
        stored = {name: one.clone() for name, one in mean.tensors().items()}
        mean = EpochMean()
        mean.restore(stored)
    state = mean.state()
    assert state["weight"].dtype == torch.float64
    assert state["weight"].item() == math.fsum(float(np.float32(v)) for v in values) / 4
    assert state["num_batches_tracked"].item() == 40
    network.load_state_dict(state)
    assert network.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("share", "max_epochs", "first"),
    [
        (0.0, 40, None),
        (0.75, 40, 31),
        (0.5, 5, 3),
        (0.29, 100, 30),
        (0.01, 40, 1),
        (1 - 1e-12, 4, 4),
    ],
)
def test_from_which_epoch_on_weights_are_averaged(
    share: float, max_epochs: int, first: int | None
) -> None:
    settings = FoldSettings(swa_start=share, max_epochs=max_epochs)
    assert first_averaged(settings) == first


def test_statistics_are_those_of_the_batches() -> None:
    rng = np.random.default_rng(0)
    batches = [
        Batch(images=images, targets=images)
        for images in rng.normal(3, 2, (4, 8, 1, 6, 6)).astype(np.float32)
    ]
    norm = nn.BatchNorm2d(1).eval()
    estimate_statistics(norm, batches, Runtime())
    assert norm.running_mean is not None
    assert norm.running_var is not None
    images = np.stack([batch.images for batch in batches])
    assert norm.running_mean.item() == pytest.approx(images.mean(), rel=1e-5)
    variances = images.reshape(4, -1).var(axis=1, ddof=1)
    assert norm.running_var.item() == pytest.approx(variances.mean(), rel=1e-5)
    assert norm.momentum == 0.1
    assert not norm.training


def test_a_fold_is_scored_with_the_mean_of_its_best_epochs(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    settings = dataclasses.replace(small, average_best=2, norm="instance")  # no statistics
    run = FoldRun(
        settings, bench.store, bench.plan, 0, seed=0, runtime=Runtime(), directory=tmp_path
    )
    states = states_of(run)
    epochs = best_epochs(run.stopping, run.watched, 2)
    assert {path.name for path in (tmp_path / "top").iterdir()} == {
        f"epoch-{epoch:04d}" for epoch in epochs
    }
    run.score_held_fold()
    found, _ = load_weights(tmp_path / "best")
    for name, value in found.state_dict().items():
        expected = (states[epochs[0] - 1][name] + states[epochs[1] - 1][name]) / 2
        torch.testing.assert_close(value, expected)
    assert not (tmp_path / "top").exists()


def states_of(run: FoldRun) -> list[dict[str, torch.Tensor]]:
    """Train a fold to its end; the weights after each epoch."""
    run.restore()
    states = []
    while not run.is_over:
        run.train_epoch()
        states.append({name: value.clone() for name, value in run.judged.state_dict().items()})
        run.keep_best()
        run.checkpoint()
    return states


@pytest.mark.parametrize("ema_decay", [0.0, 0.8])
def test_a_fold_is_scored_with_the_mean_from_a_share_of_its_epochs_on(
    bench: Bench, small: FoldSettings, tmp_path: Path, ema_decay: float
) -> None:
    settings = dataclasses.replace(small, swa_start=0.25, norm="instance", ema_decay=ema_decay)
    run = FoldRun(
        settings, bench.store, bench.plan, 0, seed=0, runtime=Runtime(), directory=tmp_path
    )
    states = states_of(run)
    run.score_held_fold()
    found, _ = load_weights(tmp_path / "best")
    for name, value in found.state_dict().items():
        expected = torch.stack([state[name].double() for state in states[1:]]).mean(0)
        assert torch.equal(value, expected.to(value.dtype))


def test_the_mean_has_statistics_of_its_own(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    settings = dataclasses.replace(small, swa_start=0.5)
    run = FoldRun(
        settings, bench.store, bench.plan, 0, seed=0, runtime=Runtime(), directory=tmp_path
    )
    states = states_of(run)
    run.score_held_fold()
    found, _ = load_weights(tmp_path / "best")
    state = found.state_dict()
    names = [name for name in state if name.endswith("running_mean")]
    assert names
    assert not any(torch.allclose(state[n], (states[2][n] + states[3][n]) / 2) for n in names[1:])


def test_a_fold_that_stops_before_keeps_its_best_epoch(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    # No epoch improves by 2, so the fold is over after the second one.
    early = dataclasses.replace(small, patience=1, min_delta=2.0)
    plain = bench.train(early, directory=tmp_path / "plain")
    averaged = bench.train(
        dataclasses.replace(early, swa_start=0.5), directory=tmp_path / "averaged"
    )
    one, other = plain[-1].result, averaged[-1].result
    assert one is not None
    assert other is not None
    assert other.num_epochs == 2
    assert dict(one.metrics) == dict(other.metrics)
    kept = [
        load_weights(tmp_path / name / "best")[0].state_dict() for name in ("plain", "averaged")
    ]
    assert all(torch.equal(value, kept[1][name]) for name, value in kept[0].items())


def test_the_monitor_sees_the_same_with_and_without_the_mean(
    bench: Bench, small: FoldSettings
) -> None:
    """Only what is kept in the end differs, so it changes no decision to stop."""
    plain, averaged = bench.train(small), bench.train(dataclasses.replace(small, swa_start=0.25))
    assert [report.monitor for report in plain] == [report.monitor for report in averaged]


@pytest.mark.parametrize("values", [{"average_best": 3}, {"ema_decay": 0.9}, {"swa_start": 0.25}])
def test_with_and_without_a_directory(
    bench: Bench, small: FoldSettings, tmp_path: Path, values: dict[str, Any]
) -> None:
    settings = dataclasses.replace(small, **values)
    on_disk, in_memory = bench.train(settings, directory=tmp_path), bench.train(settings)
    one, other = on_disk[-1].result, in_memory[-1].result
    assert one is not None
    assert other is not None
    assert dict(one.metrics) == dict(other.metrics)
    np.testing.assert_array_equal(one.cases.truth, other.cases.truth)
    plain = bench.train(small)[-1].result
    assert plain is not None
    assert dict(plain.metrics) != dict(one.metrics)


def test_it_learns_with_both(bench: Bench, small: FoldSettings) -> None:
    settings = dataclasses.replace(
        small, channels=4, levels=3, max_epochs=16, patience=16, ema_decay=0.95, average_best=3
    )
    result = bench.train(settings)[-1].result
    assert result is not None
    assert result.metrics["average_precision"] > 0.8
