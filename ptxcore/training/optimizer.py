"""AdamW that decays weights alone, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ptxcore.settings import FoldSettings


def make_optimizer(network: nn.Module, settings: FoldSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); no decay on norms and biases.

    Decay pulls a weight towards 0. That shrinks what a convolution computes, but for the scale of
    a norm or for a bias 0 is a value like any other.

    Args:
        network: Placed where it will be trained: the fused kernel keeps its state there.
        settings: Settings, of which `learning_rate` and `weight_decay` count here.

    Returns:
        An optimizer of all parameters at the full learning rate. On a GPU the rate is a tensor, so
        that a recorded step reads it anew each time.
    """
    device = next(network.parameters()).device
    on_gpu = device.type == "cuda"
    rate = torch.tensor(settings.learning_rate, device=device) if on_gpu else settings.learning_rate
    decayed = [value for value in network.parameters() if value.ndim > 1]
    free = [value for value in network.parameters() if value.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=rate, fused=True, capturable=on_gpu
    )


def optimizer_tensors(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state by "<parameter>/<name>"; empty before the first step.

    Args:
        optimizer: Optimizer of the network's parameters.
        network: Gives the parameters their names.

    Returns:
        The tensors themselves, no copies: two of each parameter's shape, type and device, and a
        float32 scalar that counts its steps.
    """
    return {
        f"{name}/{key}": value
        for name, parameter in network.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Put the state of `optimizer_tensors` back, in the memory layout of each parameter.

    A fused kernel walks over parameter and state side by side: state in another layout than its
    parameter would be updated by other weights' gradients.

    Args:
        optimizer: Optimizer of the network's parameters; changed in place.
        network: Gives the parameters their names.
        tensors: Tensors from `optimizer_tensors` of such a network: two of each parameter's shape
            and a float32 scalar, on any device, in any layout; copied, their shapes are not
            checked.

    Raises:
        KeyError: The network has no parameter of such a name.
        ValueError: A name is not "<parameter>/<name>".
    """
    parameters = dict(network.named_parameters())
    for key, value in tensors.items():
        name, field = key.rsplit("/", 1)
        parameter = parameters[name]
        like = parameter if value.shape == parameter.shape else value
        state = torch.empty_like(like, device=parameter.device, dtype=value.dtype).copy_(value)
        optimizer.state[parameter][field] = state
