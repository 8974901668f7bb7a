"""One epoch of optimization."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ptxcore.data.patches.loader import Loader
from ptxcore.data.patches.sampler import PatchSampler
from ptxcore.errors import TrainingDiverged
from ptxcore.training.averaging import RunningMean
from ptxcore.training.context import TrainingContext
from ptxcore.training.micro_batches import SplitStep
from ptxcore.training.schedules import learning_rate
from ptxcore.training.step import Step


def train_epoch(
    context: TrainingContext,
    sampler: PatchSampler | Loader,
    *,
    epoch: int,
    watched: Sequence[float],
    step: SplitStep,
    mean: RunningMean | None = None,
) -> tuple[float, float]:
    """Train one epoch, in place.

    Args:
        context: Network and optimizer, changed in place, with settings and runtime.
        sampler: Gives the epoch's batches.
        epoch: One-based.
        watched: The stopping metric of the epochs before this one.
        step: Does one step.
        mean: Follows the network, step by step, in place.

    Returns:
        Mean training loss, and the learning rate of the last step.

    Raises:
        TrainingDiverged: The loss of a step was NaN or infinite.
        OutOfMemory: A step does not fit.
    """
    context.network.train()
    done: list[Step] = []
    cases: list[int] = []
    for number, batch in enumerate(sampler.epoch(epoch)):
        rate = learning_rate(
            context.settings,
            step=(epoch - 1) * sampler.num_steps + number,
            steps_per_epoch=sampler.num_steps,
            watched=watched,
        )
        done.append(step(context, batch, rate=rate))
        cases.extend(batch.cases)
        if mean is not None:
            mean.update(context.network)
    loss = _mean_loss([outcome.loss for outcome in done], epoch=epoch)
    if sampler.hard_negatives is not None:
        sampler.hard_negatives.remember(
            cases, torch.cat([outcome.of_samples for outcome in done]).tolist()
        )
    return loss, rate


def _mean_loss(losses: Sequence[Tensor], *, epoch: int) -> float:
    values: list[float] = torch.stack(list(losses)).tolist()
    for step, value in enumerate(values, start=1):
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the training loss is {value} at step {step} of epoch {epoch}; "
                "lower learning_rate, or clip gradients"
            )
    return math.fsum(values) / len(values)
