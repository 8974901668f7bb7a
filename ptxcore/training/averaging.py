"""Weights that are means of weights: over the steps of a fold, and over its best or last epochs.

The running mean (`ema_decay`) averages BatchNorm's statistics along with the weights: both change
slowly from step to step. Epochs lie far apart, and the statistics of a mean network are not the
mean of its members' statistics, so `average_best` and `swa_start` estimate them anew from training
patches, as stochastic weight averaging does (Izmailov et al. 2018, arXiv:1803.05407, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from ptxcore.data.patches.sampler import Batch
from ptxcore.settings import FoldSettings
from ptxcore.training.early_stopping import EarlyStopping
from ptxcore.types import Runtime

_Tensors = tuple[Tensor, ...] | list[Tensor]


class RunningMean:
    """Exponential moving average of a network's weights and statistics.

    The decay of step n is min(decay, (1 + n) / (10 + n)): a mean over hundreds of steps would
    otherwise remember the untrained weights in a fold of a few hundred steps.

    Attributes:
        network: The averaged network, on the device and in the layout of the one it follows.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start at the network's weights.

        Args:
            network: Placed where it will be trained.
            decay: Decay in (0, 1).
        """
        self._decay = decay
        self._num_steps = 0
        self._model = AveragedModel(network, multi_avg_fn=self._step, use_buffers=True)
        self.network: nn.Module = self._model.module

    def update(self, network: nn.Module) -> None:
        """Take in the weights after a step of the optimizer.

        Args:
            network: The one that it began with, on the same device.
        """
        self._model.update_parameters(network)
        self._num_steps += 1

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next update depends on, by name; no copies."""
        return self._model.state_dict()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`.

        Args:
            tensors: Tensors of a mean over a network of the same settings, on any device; copied.

        Raises:
            RuntimeError: Names or shapes are not those of the network.
        """
        self._model.load_state_dict(dict(tensors))
        self._num_steps = int(self._model.n_averaged)

    def _step(self, mean: _Tensors, current: _Tensors, _: Tensor | int) -> None:
        # Counted here: reading the model's own counter would wait for the device.
        decay = min(self._decay, (1 + self._num_steps) / (10 + self._num_steps))
        step = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        step(mean, current, self._num_steps)


class EpochMean:
    """Mean of a network's weights over epochs: a sum in double precision, not a list of networks.

    Counters are those of the last epoch.
    """

    def __init__(self) -> None:
        """Begin with no epoch."""
        self.num_epochs = 0
        self._sums: dict[str, Tensor] = {}

    def update(self, network: nn.Module) -> None:
        """Take in the weights after an epoch.

        Args:
            network: The same one each time, on any device.
        """
        for name, value in network.state_dict().items():
            if not value.is_floating_point():
                self._sums[name] = value.to("cpu", copy=True)
            elif self.num_epochs == 0:
                self._sums[name] = value.to("cpu", torch.float64, copy=True)
            else:
                self._sums[name] += value.to("cpu", torch.float64)
        self.num_epochs += 1

    def state(self) -> dict[str, Tensor]:
        """The mean by name, float64 on the CPU (counters as they were); at least one epoch."""
        return {
            name: value / self.num_epochs if value.is_floating_point() else value
            for name, value in self._sums.items()
        }

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the mean depends on, by name; no copies."""
        return {f"sum/{name}": value for name, value in self._sums.items()} | {
            "num_epochs": torch.tensor(self.num_epochs)
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`.

        Args:
            tensors: Tensors of a network of the same settings.

        Raises:
            KeyError: They are not those of a mean.
        """
        self.num_epochs = int(tensors["num_epochs"])
        self._sums = {
            name.removeprefix("sum/"): value.clone()
            for name, value in tensors.items()
            if name.startswith("sum/")
        }


def first_averaged(settings: FoldSettings) -> int | None:
    """One-based epoch from which `swa_start` averages; None where it is off.

    Args:
        settings: At 0.75 of 40 epochs it is epoch 31, so that the last quarter is averaged.
    """
    if settings.swa_start == 0:
        return None
    # A product such as 0.29 x 100 lies a hair below the whole number that is meant.
    before = math.floor(settings.swa_start * settings.max_epochs + 1e-9)
    return min(before + 1, settings.max_epochs)


def best_epochs(stopping: EarlyStopping, watched: Sequence[float], number: int) -> list[int]:
    """One-based epochs with the best values, in their order in time.

    Args:
        stopping: Says which epoch is the best one, and which way is better.
        watched: One value per epoch, at least one. NaN is among the best only if all are.
        number: How many at most. 1 gives the epoch that early stopping would go back to; of more,
            earlier epochs win ties.
    """
    if number == 1:
        return [stopping.best_epoch(watched)]
    sign = -1.0 if stopping.maximize else 1.0
    finite = [epoch for epoch, value in enumerate(watched, start=1) if not math.isnan(value)]
    ranked = sorted(finite, key=lambda epoch: (sign * watched[epoch - 1], epoch))
    return sorted(ranked[:number]) or [stopping.best_epoch(watched)]


def mean_state(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor of several states of one network, summed in double precision.

    Counters are taken from the last state.

    Args:
        states: States, at least one, all with the same names and shapes, on any devices.

    Returns:
        On the CPU (counters where they were), each tensor in the type that it had.
    """
    return {
        name: torch.stack([state[name].cpu().double() for state in states]).mean(0).to(last.dtype)
        if last.is_floating_point()
        else last
        for name, last in states[-1].items()
    }


def estimate_statistics(network: nn.Module, batches: Iterable[Batch], runtime: Runtime) -> None:
    """Set BatchNorm's statistics, in place, to their mean over batches; other norms have none.

    Args:
        network: Placed on the runtime's device.
        batches: Training patches, at least one batch.
        runtime: Device, precision and layout.
    """
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    images = (
        torch.from_numpy(batch.images).to(runtime.device, memory_format=layout) for batch in batches
    )
    with torch.autocast(
        runtime.device, dtype=torch.bfloat16, enabled=runtime.precision == "bfloat16"
    ):
        update_bn(images, network)
