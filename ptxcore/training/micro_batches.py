"""A step that does not fit in memory, done in parts; on a GPU captured once it fits.

All batches of a fold are of one size, so its first step is the probe: what fits there fits later.
The gradient is that of the whole batch, but batch normalisation sees smaller batches; therefore a
fold that was trained in parts says so.
"""

from __future__ import annotations

import warnings

import torch

from ptxcore.data.patches.sampler import Batch
from ptxcore.errors import OutOfMemory
from ptxcore.inference import is_out_of_memory
from ptxcore.training.context import TrainingContext
from ptxcore.training.cuda_graph import CapturedStep
from ptxcore.training.step import Step, train_step
from ptxcore.types import Runtime

#: A batch is split into at most this many parts: halved twice.
MAX_PARTS = 4
#: Steps before one is captured: libraries and the optimizer make what they keep at the first.
STEPS_BEFORE_CAPTURE = 3


class SplitStep:
    """Training steps of one network, in as many parts as memory asks for.

    Attributes:
        num_parts: Parts of a batch: 1, 2 or 4. It grows and never shrinks.
        captured: The step that is replayed; None on a CPU, and until there is one.
    """

    def __init__(self, num_parts: int = 1) -> None:
        """Record nothing yet.

        Args:
            num_parts: To begin with: 1, 2 or 4.
        """
        self.num_parts = num_parts
        self.captured: CapturedStep | None = None
        self._num_steps = 0

    def __call__(self, context: TrainingContext, batch: Batch, *, rate: float) -> Step:
        """`train_step`, halved and tried again when it does not fit.

        Args:
            context: The same at every call.
            batch: Batch of the same shapes at every call.
            rate: Learning rate, 0 or more.

        Returns:
            The losses before the update.

        Raises:
            OutOfMemory: A quarter of the batch, or a single patch, does not fit either.
        """
        network, on_gpu = context.network, context.runtime.device == "cuda"
        if on_gpu and self._num_steps == STEPS_BEFORE_CAPTURE:
            self._capture(context, batch)
        self._num_steps += 1
        if self.captured is not None:
            return self.captured(batch, rate=rate)
        while True:
            before = [buffer.clone() for buffer in network.buffers()]  # statistics of the norms
            try:
                return train_step(context, batch, rate=rate, parts=self.num_parts)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = _refusal(batch, self.num_parts, context.runtime)
            # Not above: an error that is being handled holds on to the tensors of the step.
            context.optimizer.zero_grad(set_to_none=True)
            if on_gpu:
                torch.cuda.empty_cache()
            if self.num_parts >= min(MAX_PARTS, len(batch.images)):
                raise OutOfMemory(reason)
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)
            self.num_parts *= 2

    def _capture(self, context: TrainingContext, batch: Batch) -> None:
        """Record the step; where that fails, go on without: the numbers are the same."""
        context.optimizer.zero_grad(set_to_none=True)
        try:
            self.captured = CapturedStep(context, batch, parts=self.num_parts)
        except RuntimeError as error:
            # A recording that was broken off fails once more at its end.
            cause = error.__context__ or error
            if not is_out_of_memory(cause):
                warnings.warn(
                    "the training step could not be captured as a CUDA graph, training goes on "
                    f"slower: {cause}",
                    RuntimeWarning,
                    stacklevel=3,
                )
        if self.captured is None:
            context.optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()


def _refusal(batch: Batch, parts: int, runtime: Runtime) -> str:
    count, _, height, width = batch.images.shape
    return (
        f"a batch of {count} patches of {width} x {height} px in {parts} parts does not fit the "
        f"memory of {runtime.device}; lower batch_size, patch_size or channels, or give a trial "
        "more of the device"
    )
