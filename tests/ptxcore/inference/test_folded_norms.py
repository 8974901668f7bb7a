"""Folded norms and weights in the precision give the network's own logits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from ptxcore.inference import Ensemble, for_inference_on, place, predict_logits
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime

PLAIN = Runtime()
FOLDED = Runtime(folded_norms=True)
SMALL = FoldSettings(channels=4, levels=3, image_size=96, patch_size=48, overlap=0.25)


def with_statistics(settings: FoldSettings) -> nn.Module:
    """A network whose norms are no identity."""
    network = build_network(settings, seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        of_norm = ".N." in name or ".coefficients.1." in name
        if of_norm and tensor.is_floating_point():
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (96, 80), dtype=np.uint8)


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("network", ["attention_unet", "unet"])
def test_float32_differs_by_roundings_and_the_network_is_left_as_it_was(
    network: str, norm: str
) -> None:
    settings = dataclasses.replace(SMALL, network=network, norm=norm)
    plain = with_statistics(settings)
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    folded = for_inference_on(plain, FOLDED)
    expected = predict_logits(plain, picture(), settings, PLAIN)
    found = predict_logits(folded, picture(), settings, FOLDED)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert plain.training
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_bfloat16_is_no_further_from_float32_than_it_was() -> None:
    plain = with_statistics(SMALL)
    exact = predict_logits(plain, picture(), SMALL, PLAIN)
    fast = Runtime(precision="bfloat16", channels_last=True)
    before = predict_logits(place(plain, fast), picture(), SMALL, fast)
    now = dataclasses.replace(fast, folded_norms=True)
    found = predict_logits(for_inference_on(plain, now), picture(), SMALL, now)
    assert np.abs(found - exact).max() < 2 * np.abs(before - exact).max()


def test_without_it_nothing_changes() -> None:
    network = with_statistics(SMALL)
    assert for_inference_on(network, PLAIN) is network


def test_an_ensemble_folds_once_and_keeps_the_members_that_are_written() -> None:
    members = tuple((with_statistics(SMALL).eval(), SMALL) for _ in range(2))
    plain, folded = (Ensemble(members=members, runtime=one) for one in (PLAIN, FOLDED))
    np.testing.assert_allclose(
        folded.logits(picture()), plain.logits(picture()), atol=1e-4, rtol=1e-4
    )
    assert folded.members == members
    assert any(isinstance(module, nn.BatchNorm2d) for module in members[0][0].modules())
