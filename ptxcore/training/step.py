"""One epoch of optimization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptxcore.data.patches import Batch, PatchSampler
from ptxcore.errors import TrainingDiverged
from ptxcore.losses import loss_of, losses_of_samples
from ptxcore.settings import FoldSettings
from ptxcore.training.averaging import RunningMean
from ptxcore.training.schedules import learning_rate
from ptxcore.types import Runtime


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    sampler: PatchSampler,
    settings: FoldSettings,
    runtime: Runtime,
    *,
    epoch: int,
    watched: Sequence[float],
    mean: RunningMean | None = None,
) -> tuple[float, float]:
    """Train one epoch, in place.

    Args:
        network: Placed on the runtime's device.
        optimizer: Of its parameters.
        sampler: Gives the epoch's batches.
        settings: Of the fold.
        runtime: Device, precision and layout.
        epoch: One-based.
        watched: The stopping metric of the epochs before this one.
        mean: Follows the network, step by step, in place.

    Returns:
        Mean training loss, and the learning rate of the last step.

    Raises:
        TrainingDiverged: The loss of a step was NaN or infinite.
    """
    network.train()
    steps: list[Step] = []
    cases: list[int] = []
    for number, batch in enumerate(sampler.epoch(epoch)):
        rate = learning_rate(
            settings,
            step=(epoch - 1) * sampler.num_steps + number,
            steps_per_epoch=sampler.num_steps,
            watched=watched,
        )
        steps.append(train_step(network, optimizer, batch, settings, runtime, rate=rate))
        cases.extend(batch.cases)
        if mean is not None:
            mean.update(network)
    loss = _mean_loss([step.loss for step in steps], epoch=epoch)
    if sampler.memory is not None:
        sampler.memory.remember(cases, torch.cat([step.of_samples for step in steps]).tolist())
    return loss, rate


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
) -> Step:
    """Forward, backward, clip, update."""
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    images = torch.from_numpy(batch.images).to(runtime.device, memory_format=layout)
    targets = torch.from_numpy(batch.targets).to(runtime.device)
    with torch.autocast(
        runtime.device, dtype=torch.bfloat16, enabled=runtime.precision == "bfloat16"
    ):
        every: tuple[Tensor, ...] = (
            network.all_logits(images)  # type: ignore[operator]
            if settings.deep_supervision
            else (network(images),)
        )
    logits = every[0]
    loss = loss_of(settings, logits.float(), targets)
    # Half as much for each coarser level. Reported is the first: the monitor's loss has no other.
    whole = loss
    for level, coarser in enumerate(every[1:], start=1):
        whole = whole + loss_of(settings, coarser.float(), targets) / 2**level
    of_samples = loss.new_empty(0)
    if settings.hard_negative_share > 0:
        of_samples = losses_of_samples(settings, logits.detach().float(), targets)
    optimizer.zero_grad(set_to_none=True)
    whole.backward()  # type: ignore[no-untyped-call]
    if settings.gradient_clip > 0:
        nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return Step(loss=loss.detach(), of_samples=of_samples)


def _mean_loss(losses: Sequence[Tensor], *, epoch: int) -> float:
    values: list[float] = torch.stack(list(losses)).tolist()
    for step, value in enumerate(values, start=1):
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the training loss is {value} at step {step} of epoch {epoch}; "
                "lower learning_rate, or clip gradients"
            )
    return math.fsum(values) / len(values)
