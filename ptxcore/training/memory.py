"""A step that does not fit in memory, done in parts.

All batches of a fold are of one size, so its first step is the probe: what fits there fits later.
The gradient is that of the whole batch, but batch normalisation sees smaller batches; therefore a
fold that was trained in parts says so.
"""

from __future__ import annotations

import torch
from torch import nn

from ptxcore.data.patches import Batch
from ptxcore.errors import OutOfMemory
from ptxcore.inference import is_out_of_memory
from ptxcore.settings import FoldSettings
from ptxcore.training.step import Step, train_step
from ptxcore.types import Runtime

#: A batch is split into at most this many parts: halved twice.
MAX_PARTS = 4


class FittedStep:
    """Training steps in as many parts as memory asks for.

    Attributes:
        num_parts: Parts of a batch: 1, 2 or 4. It grows and never shrinks.
    """

    def __init__(self, num_parts: int = 1) -> None:
        self.num_parts = num_parts

    def __call__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        settings: FoldSettings,
        runtime: Runtime,
        *,
        rate: float,
    ) -> Step:
        """`train_step`, halved and tried again when it does not fit.

        Raises:
            OutOfMemory: A quarter of the batch, or a single patch, does not fit either.
        """
        while True:
            before = [buffer.clone() for buffer in network.buffers()]  # statistics of the norms
            try:
                return train_step(
                    network, optimizer, batch, settings, runtime, rate=rate, parts=self.num_parts
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = _refusal(batch, self.num_parts, runtime)
            # Not above: an error that is being handled holds on to the tensors of the step.
            optimizer.zero_grad(set_to_none=True)
            if runtime.device == "cuda":
                torch.cuda.empty_cache()
            if self.num_parts >= min(MAX_PARTS, len(batch.images)):
                raise OutOfMemory(reason)
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)
            self.num_parts *= 2


def _refusal(batch: Batch, parts: int, runtime: Runtime) -> str:
    count, _, height, width = batch.images.shape
    return (
        f"a batch of {count} patches of {width} x {height} px in {parts} parts does not fit the "
        f"memory of {runtime.device}; lower batch_size, patch_size or channels, or give a trial "
        "more of the device"
    )
