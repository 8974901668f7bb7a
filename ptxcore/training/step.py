"""One step of optimization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptxcore.data.patches import Batch
from ptxcore.losses import loss_of, losses_of_samples
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step gave; on the device still, since reading it would wait.

    Attributes:
        loss: Scalar, of the network's own output.
        of_samples: Loss of each sample, shape (B,); (0,) where no negative is remembered.
    """

    loss: Tensor
    of_samples: Tensor


def train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: FoldSettings,
    runtime: Runtime,
    *,
    rate: float,
    parts: int = 1,
) -> Step:
    """Forward, backward, clip, update.

    Args:
        network: Placed on the runtime's device.
        optimizer: Of its parameters.
        batch: Of B patches.
        settings: Of the fold.
        runtime: Device, precision and layout.
        rate: Learning rate.
        parts: Forward and backward passes the batch is split into, 1 to B; every loss is a mean
            over patches, so that the gradients of the parts add up to that of the whole.
    """
    optimizer.zero_grad(set_to_none=True)
    losses, of_samples = [], []
    count = len(batch.images)
    for images, targets in zip(
        np.array_split(batch.images, parts), np.array_split(batch.targets, parts), strict=True
    ):
        step = _backward(network, images, targets, settings, runtime, share=len(images) / count)
        losses.append(step.loss * (len(images) / count))
        of_samples.append(step.of_samples)
    if settings.gradient_clip > 0:
        nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return Step(loss=torch.stack(losses).sum(), of_samples=torch.cat(of_samples))


def _backward(
    network: nn.Module,
    images: NDArray[np.float32],
    targets: NDArray[np.float32],
    settings: FoldSettings,
    runtime: Runtime,
    *,
    share: float,
) -> Step:
    """Add the gradient of a part of a batch, times its share."""
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    seen = torch.from_numpy(images).to(runtime.device, memory_format=layout)
    truth = torch.from_numpy(targets).to(runtime.device)
    with torch.autocast(
        runtime.device, dtype=torch.bfloat16, enabled=runtime.precision == "bfloat16"
    ):
        every: tuple[Tensor, ...] = (
            network.all_logits(seen)  # type: ignore[operator]
            if settings.deep_supervision
            else (network(seen),)
        )
    logits = every[0]
    loss = loss_of(settings, logits.float(), truth)
    # Half as much for each coarser level. Reported is the first: the monitor's loss has no other.
    whole = loss
    for level, coarser in enumerate(every[1:], start=1):
        whole = whole + loss_of(settings, coarser.float(), truth) / 2**level
    of_samples = loss.new_empty(0)
    if settings.hard_negative_share > 0:
        of_samples = losses_of_samples(settings, logits.detach().float(), truth)
    (whole * share).backward()  # type: ignore[no-untyped-call]
    return Step(loss=loss.detach(), of_samples=of_samples)
