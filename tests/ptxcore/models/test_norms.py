"""Norms made of batch norm's kernel are PyTorch's own, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ptxcore.models._norms import GroupNorm, InstanceNorm


def shaken(layer: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    return layer


#: PyTorch's layer, and ours with the same weights.
PAIRS = {
    "instance": (nn.InstanceNorm2d(12, affine=True), InstanceNorm(12, affine=True)),
    "group": (nn.GroupNorm(4, 12), GroupNorm(4, 12)),
    "one group": (nn.GroupNorm(1, 12), GroupNorm(1, 12)),
}


def passed(layer: nn.Module, values: Tensor, gradient: Tensor) -> list[Tensor]:
    values = values.detach().requires_grad_()
    result = layer(values)
    return [result, *torch.autograd.grad(result, (values, *layer.parameters()), gradient)]


def drawn() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values, gradient = torch.randn(2, 3, 12, 10, 7, generator=generator)
    return 2 * values + 3, gradient


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("training", [True, False])
def test_channels_last_gives_what_pytorch_gives(name: str, training: bool) -> None:
    theirs, ours = (shaken(layer).train(training) for layer in PAIRS[name])
    values, gradient = drawn()
    expected = passed(theirs, values, gradient)
    last = values.contiguous(memory_format=torch.channels_last)
    found = passed(ours, last, gradient)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(passed(ours, values, gradient), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", PAIRS)
def test_bfloat16_is_as_near_to_float32_as_pytorchs_own(name: str) -> None:
    theirs, ours = (shaken(layer) for layer in PAIRS[name])
    values, gradient = (one.bfloat16() for one in drawn())
    exact = passed(theirs, values.float(), gradient.float())
    last = values.contiguous(memory_format=torch.channels_last)
    for right, plain, found in zip(
        exact, passed(theirs, values, gradient), passed(ours, last, gradient), strict=True
    ):
        allowed = 2 * (plain.float() - right).abs().max() + 1e-6 * right.abs().max()
        assert (found.float() - right).abs().max() <= allowed


def test_keys_of_the_weights_are_pytorchs() -> None:
    for theirs, ours in PAIRS.values():
        assert ours.state_dict().keys() == theirs.state_dict().keys()
