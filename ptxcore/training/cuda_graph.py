"""A training step captured once and replayed as a CUDA graph.

A step of a few patches is about a thousand kernels, most of them over before Python has launched
the next: measured on an H200, a step of 4 patches of 256 px took 19 ms, one of 2 of 512 px 22 ms,
and bfloat16 gained nothing. A captured step is launched as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ptxcore.data.patches.sampler import Batch
from ptxcore.training.context import TrainingContext
from ptxcore.training.step import Step, bring, compute_step, set_rate


class CapturedStep:
    """`train_step` for batches of one shape, on a GPU.

    It computes with the very tensors of the network and the optimizer that it was captured with:
    they may be read and overwritten in place, but not replaced.
    """

    def __init__(self, context: TrainingContext, batch: Batch, *, parts: int) -> None:
        """Record; nothing is trained.

        Args:
            context: Context on a GPU, trained for a few steps already, so that whatever is made at
                the first one is there.
            batch: Gives the shapes.
            parts: Number of parts, as for `compute_step`.

        Raises:
            RuntimeError: Among others, where memory does not suffice.
        """
        self._context = context
        self._images, self._targets = bring(batch, context.runtime)
        self._graph = torch.cuda.CUDAGraph()
        # The thread that pins batches goes on meanwhile.
        with (
            _spare_generator(),
            torch.cuda.graph(self._graph, capture_error_mode="thread_local"),
        ):
            self._step = compute_step(context, self._images, self._targets, parts=parts)

    def __call__(self, batch: Batch, *, rate: float) -> Step:
        """Train on a batch.

        Args:
            batch: Batch of the shapes that were captured.
            rate: Learning rate, 0 or more.

        Returns:
            The losses before the update, on the device.
        """
        set_rate(self._context.optimizer, rate)
        images, targets = bring(batch, self._context.runtime)
        self._images.copy_(images)
        self._targets.copy_(targets)
        self._graph.replay()
        # The next replay overwrites what this one gave.
        return Step(loss=self._step.loss.clone(), of_samples=self._step.of_samples.clone())


@contextmanager
def _spare_generator() -> Iterator[None]:
    """Random numbers from a copy of the generator's state; after an error from the state itself.

    A recording that is broken off leaves the state it drew from unfit for use: "Offset increment
    outside graph capture".
    """
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    before = generator.graphsafe_get_state()
    generator.graphsafe_set_state(generator.clone_state())
    try:
        yield
    except BaseException:
        generator.graphsafe_set_state(before)
        raise
