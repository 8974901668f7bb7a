"""One step: what deep supervision adds to the gradient, and what clipping leaves of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ptxcore.data.patches.sampler import Batch
from ptxcore.losses import loss_of
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.context import TrainingContext
from ptxcore.training.step import train_step
from ptxcore.types import Runtime


def batch() -> Batch:
    rng = np.random.default_rng(0)
    shape = (2, 1, 32, 32)
    return Batch(
        images=rng.standard_normal(shape, dtype=np.float32),
        targets=(rng.random(shape) < 0.1).astype(np.float32),
    )


def test_coarser_levels_count_half_as_much_each_and_are_not_reported() -> None:
    settings = FoldSettings(
        channels=2, levels=4, dropout=0.0, norm="instance", deep_supervision=True, gradient_clip=0.0
    )
    one = batch()
    context, twin = (
        TrainingContext.fresh(settings, Runtime(), seed=0),
        build_network(settings, seed=0),
    )
    step = train_step(context, one, rate=0.0)
    losses = [
        loss_of(settings, logits, torch.from_numpy(one.targets))
        for logits in twin.all_logits(torch.from_numpy(one.images))
    ]
    (losses[0] + losses[1] / 2 + losses[2] / 4).backward()  # type: ignore[no-untyped-call]
    assert step.loss.item() == losses[0].item()
    for mine, other in zip(context.network.parameters(), twin.parameters(), strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_optimizer_sees_a_gradient_of_the_clipped_norm(parts: int) -> None:
    whole = seen_gradient(clip=0.0, parts=parts)
    norm = float(whole.norm())
    for clip in (1e-3 * norm, 0.5 * norm):
        torch.testing.assert_close(seen_gradient(clip=clip, parts=parts), whole * clip / norm)
    # A norm below the limit is left as it is.
    assert torch.equal(seen_gradient(clip=2 * norm, parts=parts), whole)


def seen_gradient(*, clip: float, parts: int) -> Tensor:
    """All gradients in one row, as the optimizer finds them when it begins its step."""
    settings = FoldSettings(channels=2, levels=2, dropout=0.0, norm="instance", gradient_clip=clip)
    context = TrainingContext.fresh(settings, Runtime(), seed=0)
    seen: list[Tensor] = []

    def note(*_: object) -> None:
        gradients = (one.grad for one in context.network.parameters())
        seen.extend(one.flatten().clone() for one in gradients if one is not None)

    context.optimizer.register_step_pre_hook(note)
    train_step(context, batch(), rate=0.0, parts=parts)
    return torch.cat(seen)
