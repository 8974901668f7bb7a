"""Batches made ahead, by processes of their own, for a device that waits for no patch.

A CPU takes a hundred times as long to train on a patch as to cut and bend it; a GPU may take less.
Processes, because threads would compete with the kernel launches for the interpreter lock. They
give what `PatchSampler.epoch` gives: every sample has a seed of its own, so it does not matter
which process makes it. And they are forked from a clean server, never from this process: neither
CUDA nor Ray survives a fork.
"""

from __future__ import annotations

import itertools
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ptxcore.data.patches.sampler import Batch, PatchSampler

#: What the server imports before it forks: Albumentations alone takes two seconds.
_PRELOADED = ["ptxcore.data.patches.loader", "ptxcore.data.patches.warp", "albumentations"]
#: Batches that each process may be ahead.
_AHEAD = 2

#: Epoch, number of the first sample, and the store index of every sample's case.
_Plan = tuple[int, int, tuple[int, ...]]
_Made = tuple[Tensor, Tensor, tuple[int, ...]]


class Loader:
    """`PatchSampler.epoch`, ahead of time.

    Where no draw depends on the losses of the epoch before, the next epoch's batches are begun
    while this one is validated.

    Attributes:
        num_steps: Steps of the sampler.
        hard_negatives: The sampler's.
    """

    def __init__(self, sampler: PatchSampler, *, num_workers: int) -> None:
        """Start nothing yet.

        Args:
            sampler: Sampler of the training cases.
            num_workers: Processes, at least 1.
        """
        self.num_steps = sampler.num_steps
        self.hard_negatives = sampler.hard_negatives
        self._sampler = sampler
        self._num_workers = num_workers
        self._plans = _Plans(sampler)
        self._loader: DataLoader[_Made] | None = None
        self._made: Iterator[_Made] | None = None
        self._next_epoch: int | None = None

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, those of `PatchSampler.epoch` bit by bit.

        Args:
            epoch: One-based.

        Raises:
            RuntimeError: A worker process was killed.
        """
        if self._made is None or self._next_epoch != epoch or self.hard_negatives is not None:
            self._plans.first_epoch = epoch
            with _explained():
                self._made = iter(self._started())
        self._next_epoch = None  # after a stop in between it begins anew
        for _ in range(self.num_steps):
            with _explained():
                images, targets, cases = next(self._made)
            yield Batch(images=images.numpy(), targets=targets.numpy(), cases=tuple(cases))
        self._next_epoch = epoch + 1

    def close(self) -> None:
        """End the processes."""
        self._made = self._loader = None

    def _started(self) -> DataLoader[_Made]:
        if self._loader is None:
            self._sampler.measure()  # once here, not once in every process
            multiprocessing.set_forkserver_preload(_PRELOADED)
            self._loader = DataLoader(
                _Batches(self._sampler),
                sampler=self._plans,
                batch_size=None,
                num_workers=self._num_workers,
                prefetch_factor=_AHEAD,
                persistent_workers=True,
                pin_memory=torch.cuda.is_available(),
                multiprocessing_context="forkserver",
                worker_init_fn=_one_thread,
                generator=torch.Generator(),  # it draws a seed, and not from dropout's stream
            )
        return self._loader


class _Plans(Sampler[_Plan]):
    """Which samples make each batch: of every epoch from one on, or of that one alone."""

    def __init__(self, sampler: PatchSampler) -> None:
        self._sampler = sampler
        self.first_epoch = 1

    def __iter__(self) -> Iterator[_Plan]:
        has_hard_negatives = self._sampler.hard_negatives is not None
        epochs = [self.first_epoch] if has_hard_negatives else itertools.count(self.first_epoch)
        for epoch in epochs:
            for start, cases in self._sampler.plan(epoch):
                yield epoch, start, cases


class _Batches(Dataset[_Made]):
    """In a worker: the batch to a plan."""

    def __init__(self, sampler: PatchSampler) -> None:
        self._sampler = sampler

    def __getitem__(self, plan: _Plan) -> _Made:
        batch = self._sampler.batch(*plan)
        return torch.from_numpy(batch.images), torch.from_numpy(batch.targets), batch.cases


@contextmanager
def _explained() -> Iterator[None]:
    """A process that is gone cannot hand over what it made: the error may be that of a socket."""
    try:
        yield
    except (OSError, EOFError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("killed|exited", str(error)):
            raise
        raise RuntimeError(
            "a process that makes batches was killed, perhaps for want of memory; give a trial "
            "fewer CPUs (each of them makes batches) or the machine more memory"
        ) from error


def _one_thread(_: int) -> None:
    """As many processes as processors: none may use several."""
    import cv2

    cv2.setNumThreads(1)
