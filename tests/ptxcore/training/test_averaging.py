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

from ptxcore.data.patches import Batch
from ptxcore.models import load_weights
from ptxcore.settings import FoldSettings
from ptxcore.training.averaging import (
    RunningMean,
    best_epochs,
    estimate_statistics,
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
    run.restore()
    states = []
    while not run.is_over:
        run.train_epoch()
        states.append({name: value.clone() for name, value in run.network.state_dict().items()})
        run.keep_best()
        run.checkpoint()
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


@pytest.mark.parametrize("values", [{"average_best": 3}, {"ema_decay": 0.9}])
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
