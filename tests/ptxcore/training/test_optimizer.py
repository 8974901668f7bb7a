"""The optimizer: what decays, and a state that comes back in the layout of its parameters."""

from __future__ import annotations

import pytest
import torch

from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer

SMALL = FoldSettings(channels=2, levels=2, weight_decay=0.5, dropout=0.0)


def step(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    generator = torch.Generator().manual_seed(0)
    network(torch.randn(2, 1, 16, 16, generator=generator)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_norms_and_biases_do_not_decay() -> None:
    network = build_network(SMALL, seed=0)
    decay, free = make_optimizer(network, SMALL).param_groups
    assert (decay["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    names = {id(value): name for name, value in network.named_parameters()}
    assert {names[id(p)] for p in free["params"]} == {
        name
        for name, module in network.named_modules()
        for name in (f"{name}.weight", f"{name}.bias")
        if name in names.values()
        and (name.endswith("bias") or isinstance(module, torch.nn.BatchNorm2d))
    }
    assert len(decay["params"]) + len(free["params"]) == len(names)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_restored_state_goes_on_exactly(layout: torch.memory_format) -> None:
    networks = [build_network(SMALL, seed=0).to(memory_format=layout) for _ in range(2)]
    going, restored = (make_optimizer(network, SMALL) for network in networks)
    step(networks[0], going)
    tensors = {
        name: value.contiguous() for name, value in optimizer_tensors(going, networks[0]).items()
    }
    networks[1].load_state_dict(networks[0].state_dict())
    restore_optimizer(restored, networks[1], tensors)
    for _ in range(3):
        step(networks[0], going)
        step(networks[1], restored)
    for (name, one), other in zip(
        networks[0].named_parameters(), networks[1].parameters(), strict=True
    ):
        assert torch.equal(one, other), name
        assert going.state[one]["exp_avg"].stride() == restored.state[other]["exp_avg"].stride()


def test_there_is_no_state_before_the_first_step() -> None:
    network = build_network(SMALL, seed=0)
    assert optimizer_tensors(make_optimizer(network, SMALL), network) == {}
