"""What every training step of a fold has in common, made once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ptxcore.inference import place
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training.optimizer import make_optimizer
from ptxcore.types import Runtime


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingContext:
    """A network in training; a step adds a batch to it.

    Attributes:
        network: Placed on the runtime's device; its weights change in place.
        optimizer: Optimizer of the network's parameters; its state changes in place.
        settings: Settings of the fold.
        runtime: Device, precision and layout.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    settings: FoldSettings
    runtime: Runtime

    @classmethod
    def fresh(cls, settings: FoldSettings, runtime: Runtime, *, seed: int) -> TrainingContext:
        """A network that no step was taken with, and its optimizer.

        Args:
            settings: Settings of the fold.
            runtime: Device, precision and layout; the device must be there.
            seed: Seed of the weights.
        """
        network = place(build_network(settings, seed=seed), runtime)
        return cls(
            network=network,
            optimizer=make_optimizer(network, settings),
            settings=settings,
            runtime=runtime,
        )
