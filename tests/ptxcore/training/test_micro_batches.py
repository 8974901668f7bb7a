"""Batches that do not fit: parts with the same gradient, and an end that says why."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from ptxcore.data.patches.sampler import Batch
from ptxcore.errors import OutOfMemory
from ptxcore.inference import is_out_of_memory
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.context import TrainingContext
from ptxcore.training.history import History
from ptxcore.training.micro_batches import SplitStep
from ptxcore.training.step import Step, train_step
from ptxcore.types import EpochReport, Runtime

SETTINGS = FoldSettings(
    dropout=0.0, patch_size=32, image_size=256, channels=4, levels=3, batch_size=6
)


def batch(count: int = 6) -> Batch:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, 1, 32, 32)).astype(np.float32)
    targets = (rng.random((count, 1, 32, 32)) < 0.1).astype(np.float32)
    return Batch(images=images, targets=targets, cases=tuple(range(count)))


def plain_descent(settings: FoldSettings) -> TrainingContext:
    network = build_network(settings, seed=0)
    return TrainingContext(
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        settings=settings,
        runtime=Runtime(),
    )


def stepped(settings: FoldSettings, **options: Any) -> tuple[Step, dict[str, torch.Tensor]]:
    context = plain_descent(settings)
    return train_step(context, batch(), rate=1.0, **options), context.network.state_dict()


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_add_up_to_the_gradient_of_the_whole(parts: int, deep: bool) -> None:
    settings = dataclasses.replace(
        SETTINGS, norm="instance", deep_supervision=deep, hard_negative_share=0.5
    )
    whole, expected = stepped(settings)
    step, found = stepped(settings, parts=parts)
    assert torch.allclose(step.loss, whole.loss, atol=1e-6)
    assert torch.allclose(step.of_samples, whole.of_samples, atol=1e-6)
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-5), name


class Device:
    """Memory for so many patches at once."""

    def __init__(self, room: int) -> None:
        self.room, self.seen = room, []  # type: int, list[int]

    def __call__(self, module: torch.nn.Module, args: tuple[torch.Tensor]) -> None:
        self.seen.append(len(args[0]))

    def after(self, module: torch.nn.Module, args: tuple[torch.Tensor], out: Any) -> None:
        if len(args[0]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def split_step(room: int, count: int = 6) -> tuple[SplitStep, Device, torch.nn.Module]:
    context, device, step = plain_descent(SETTINGS), Device(room), SplitStep()
    network = context.network
    network.register_forward_pre_hook(device)
    network.register_forward_hook(device.after)
    for _ in range(2):
        step(context, batch(count), rate=0.1)
    return step, device, network


def test_a_batch_is_halved_until_it_fits_and_stays_so() -> None:
    step, device, _ = split_step(room=2)
    assert step.num_parts == 4
    assert device.seen == [6, 3, 2, 2, 1, 1, 2, 2, 1, 1]


def test_a_step_that_did_not_fit_leaves_no_trace_in_the_statistics() -> None:
    _, _, halved = split_step(room=3)
    context = plain_descent(SETTINGS)
    for _ in range(2):
        train_step(context, batch(), rate=0.1, parts=2)
    for name, value in context.network.state_dict().items():
        assert torch.equal(halved.state_dict()[name], value), name


@pytest.mark.parametrize(("room", "count", "parts"), [(0, 6, 4), (0, 1, 1)])
def test_what_never_fits_says_so(room: int, count: int, parts: int) -> None:
    with pytest.raises(OutOfMemory, match=f"{count} patches of 32 x 32 px in {parts} parts"):
        split_step(room, count)


def test_other_errors_pass() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 12: Cannot"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_history_keeps_the_parts() -> None:
    one = EpochReport(
        fold=0, epoch=1, train_loss=1.0, learning_rate=0.1, monitor={"dice": 0.5}, seconds=1.0
    )
    history = History().and_then(one)
    assert "num_parts" not in history.curves()
    history = history.and_then(dataclasses.replace(one, epoch=2, num_parts=2))
    assert history.curves()["num_parts"] == (1, 2)
    assert History.of_curves(0, history.curves()) == history
    assert history.num_parts == 2
