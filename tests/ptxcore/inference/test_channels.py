"""Inference gives a network the channels that it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_store import drawn_store
from torch import Tensor, nn

from ptxcore.data.patches.sampler import PatchSampler
from ptxcore.inference import predict_prepared
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime


class Recorder(nn.Module):
    """Keeps what it is given; its logits are one of the channels."""

    def __init__(self, channel: int = 0) -> None:
        super().__init__()
        self.channel = channel
        self.windows: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.windows.append(images.clone())
        return images[:, self.channel : self.channel + 1]


def settings(**values: Any) -> FoldSettings:
    given = {"channels": 4, "levels": 3, "image_size": 0, "patch_size": 32, "overlap": 0.0}
    return FoldSettings(**{**given, "augmentation_strength": 0.0, **values})


@pytest.fixture
def image() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)


@pytest.mark.parametrize("factor", [0, 2, 3, 4])
def test_a_window_is_the_patch_of_training(tmp_path: Path, factor: int) -> None:
    chosen = settings(context_factor=factor, position_channels=True)
    store = drawn_store(tmp_path / "store", num_cases=1, num_positive=1, side_px=96)
    sampler = PatchSampler(store, [case.case_id for case in store.cases], chosen, seed=0)
    network = Recorder()
    pixels = store.resampled(0, chosen.resampling).image(0)
    predict_prepared(network, pixels, pixels.shape, chosen, Runtime())
    windows = torch.cat(network.windows).numpy()
    assert windows.shape[1] == chosen.num_channels
    starts = [(top, left) for top in range(0, pixels.shape[0] - 31, 32)
              for left in range(0, pixels.shape[1] - 31, 32)]  # fmt: skip
    for corner in starts:
        patch, _ = sampler.patch(0, corner, seed=0)
        nearest = np.abs(windows - patch).reshape(len(windows), -1).max(axis=1).min()
        assert nearest < 1e-4


def test_positions_move_with_the_anatomy_under_mirroring(image: np.ndarray[Any, Any]) -> None:
    plain = settings(position_channels=True, overlap=0.5)
    both = settings(position_channels=True, overlap=0.5, tta=True)
    for channel in (1, 2):
        found = [
            predict_prepared(Recorder(channel), image, (64, 96), one, Runtime())
            for one in (plain, both)
        ]
        np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    columns = (2 * np.arange(96) + 1) / 96 - 1
    np.testing.assert_allclose(found[0], np.tile(columns, (64, 1)), atol=1e-5)


def test_context_under_mirroring_is_that_of_the_mirrored_image(
    image: np.ndarray[Any, Any],
) -> None:
    chosen = settings(context_factor=2)
    one = predict_prepared(Recorder(1), image, (64, 96), chosen, Runtime())
    other = predict_prepared(Recorder(1), image[:, ::-1], (64, 96), chosen, Runtime())
    mean = predict_prepared(Recorder(1), image, (64, 96), settings(context_factor=2, tta=True),
                            Runtime())  # fmt: skip
    np.testing.assert_allclose(mean, (one + other[:, ::-1]) / 2, atol=1e-5)


def test_whole_images_have_positions_too(image: np.ndarray[Any, Any]) -> None:
    network = Recorder(1)
    chosen = settings(patch_size=0, position_channels=True)
    found = predict_prepared(network, image, (64, 96), chosen, Runtime())
    rows = (2 * np.arange(64) + 1) / 64 - 1
    np.testing.assert_allclose(found, np.tile(rows[:, None], (1, 96)), atol=1e-6)
    assert len(network.windows) == 1


def test_the_network_takes_them(image: np.ndarray[Any, Any]) -> None:
    chosen = settings(context_factor=2, position_channels=True)
    network = build_network(chosen, seed=0)
    found = predict_prepared(network, image, (64, 96), chosen, Runtime())
    assert found.shape == (64, 96)
    assert np.isfinite(found).all()
