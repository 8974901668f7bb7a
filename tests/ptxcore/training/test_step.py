"""One step: what deep supervision adds to the gradient and leaves out of the loss."""

from __future__ import annotations

import numpy as np
import torch

from ptxcore.data.patches import Batch
from ptxcore.losses import loss_of
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.optimizer import make_optimizer
from ptxcore.training.step import train_step
from ptxcore.types import Runtime


def test_coarser_levels_count_half_as_much_each_and_are_not_reported() -> None:
    settings = FoldSettings(
        channels=2, levels=4, dropout=0.0, norm="instance", deep_supervision=True, gradient_clip=0.0
    )
    rng = np.random.default_rng(0)
    shape = (2, 1, 32, 32)
    images = rng.standard_normal(shape, dtype=np.float32)
    targets = (rng.random(shape) < 0.1).astype(np.float32)
    network, twin = build_network(settings, seed=0), build_network(settings, seed=0)
    step = train_step(
        network,
        make_optimizer(network, settings),
        Batch(images=images, targets=targets),
        settings,
        Runtime(),
        rate=0.0,
    )
    losses = [
        loss_of(settings, logits, torch.from_numpy(targets))
        for logits in twin.all_logits(torch.from_numpy(images))
    ]
    (losses[0] + losses[1] / 2 + losses[2] / 4).backward()  # type: ignore[no-untyped-call]
    assert step.loss.item() == losses[0].item()
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad, other.grad)
