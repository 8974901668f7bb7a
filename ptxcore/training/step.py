"""One step of optimization."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptxcore.data.patches.sampler import Batch
from ptxcore.losses import case_loss, loss_of, losses_of_samples
from ptxcore.training.context import TrainingContext
from ptxcore.types import Runtime


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step gave; on the device still, since reading it would wait.

    Attributes:
        loss: Scalar, of the network's own mask.
        of_samples: Loss of each sample, shape (B,); (0,) where no negative is remembered.
    """

    loss: Tensor
    of_samples: Tensor


def train_step(context: TrainingContext, batch: Batch, *, rate: float, parts: int = 1) -> Step:
    """Forward, backward, clip, update.

    Args:
        context: Network and optimizer, changed in place, with settings and runtime.
        batch: Batch of B patches: images (B, C, P, P), targets (B, 1, P, P).
        rate: Learning rate, 0 or more.
        parts: Number of parts, as for `compute_step`.

    Returns:
        The losses before the update. Whether they are finite is not looked at: that would wait.

    Raises:
        RuntimeError: Among others, where memory does not suffice; MemoryError on a host at times
            (`ptxcore.inference.is_out_of_memory` tells); gradients may be left behind.
    """
    set_rate(context.optimizer, rate)
    images, targets = bring(batch, context.runtime)
    return compute_step(context, images, targets, parts=parts)


def bring(batch: Batch, runtime: Runtime) -> tuple[Tensor, Tensor]:
    """A batch on the runtime's device and in its layout: images (B, C, P, P), targets (B, 1, P, P).

    The host goes on while pinned memory is copied.

    Args:
        batch: Batch of B patches, float32.
        runtime: Runtime, of which `device` and `channels_last` count here.

    Raises:
        RuntimeError: Among others, where memory does not suffice.
    """
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    images = torch.from_numpy(batch.images).to(
        runtime.device, non_blocking=True, memory_format=layout
    )
    return images, torch.from_numpy(batch.targets).to(runtime.device, non_blocking=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters; one that is a tensor is filled, not replaced.

    Args:
        optimizer: Changed in place.
        rate: 0 or more.
    """
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def compute_step(
    context: TrainingContext, images: Tensor, targets: Tensor, *, parts: int = 1
) -> Step:
    """A step at the optimizer's learning rate, without host-device synchronisation.

    Args:
        context: As for `train_step`.
        images: Images from `bring`, shape (B, C, P, P).
        targets: Targets from `bring`, shape (B, 1, P, P).
        parts: Forward and backward passes the batch is split into, 1 to B; every loss is a mean
            over patches, so that the gradients of the parts add up to that of the whole.

    Returns:
        The losses before the update. Whether they are finite is not looked at: that would wait.

    Raises:
        RuntimeError: Among others, where memory does not suffice; MemoryError on a host at times
            (`ptxcore.inference.is_out_of_memory` tells); gradients may be left behind.
    """
    context.optimizer.zero_grad(set_to_none=True)
    losses, of_samples = [], []
    for seen, truth in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
        share = len(seen) / len(images)
        step = _backward(context, seen, truth, share=share)
        losses.append(step.loss * share)
        of_samples.append(step.of_samples)
    if (clip := context.settings.gradient_clip) > 0:
        nn.utils.clip_grad_norm_(context.network.parameters(), clip)
    context.optimizer.step()
    return Step(loss=torch.stack(losses).sum(), of_samples=torch.cat(of_samples))


def _backward(context: TrainingContext, seen: Tensor, truth: Tensor, *, share: float) -> Step:
    """Add the gradient of a part of a batch, times its share."""
    network, settings, runtime = context.network, context.settings, context.runtime
    with torch.autocast(
        runtime.device, dtype=torch.bfloat16, enabled=runtime.precision == "bfloat16"
    ):
        every: tuple[Tensor, ...]
        every, case = (
            network.all_outputs(seen)  # type: ignore[operator]
            if settings.deep_supervision or settings.case_head
            else ((network(seen),), None)
        )
    logits = every[0]
    loss = loss_of(settings, logits.float(), truth)
    # Half as much for each coarser level. Reported is the first: the monitor's loss has no other,
    # and none of the case head.
    whole = loss
    for level, coarser in enumerate(every[1:], start=1):
        whole = whole + loss_of(settings, coarser.float(), truth) / 2**level
    if case is not None:
        whole = whole + settings.case_loss_weight * case_loss(case, truth)
    of_samples = loss.new_empty(0)
    if settings.hard_negative_share > 0:
        of_samples = losses_of_samples(settings, logits.detach().float(), truth)
    (whole * share).backward()  # type: ignore[no-untyped-call]
    return Step(loss=loss.detach(), of_samples=of_samples)
