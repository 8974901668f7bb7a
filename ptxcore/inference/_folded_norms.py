"""A network as inference computes it on a CPU: fewer operations, the same function.

In evaluation mode a batch norm is a factor and an offset for each channel, which the convolution
before it can take over; and what would be cast to the precision at every window is kept in it.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ptxcore.types import Runtime

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def for_inference_on(network: nn.Module, runtime: Runtime) -> nn.Module:
    """A copy with batch norms folded and weights in the precision; without `folded_norms` itself.

    In float32 logits differ by roundings; in bfloat16 no more than that precision lets them.

    Args:
        network: Placed on the runtime's device; left as it is.
        runtime: Runtime, of which `folded_norms`, `precision` and `channels_last` count here.
    """
    if not runtime.folded_norms:
        return network
    folded = copy.deepcopy(network).eval()
    for module in [*folded.modules()]:
        if isinstance(module, nn.Sequential):
            _fold(module)
    if runtime.precision == "bfloat16":
        for module in folded.modules():
            if isinstance(module, _CONVOLUTIONS):
                module.to(torch.bfloat16)
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    placed: nn.Module = folded.to(memory_format=layout)  # type: ignore[call-overload]
    return placed


def _fold(layers: nn.Sequential) -> None:
    """Batch norms after a convolution: the next layer, or the first of a block that is the next."""
    for place in range(len(layers) - 1):
        before, after = layers[place], layers[place + 1]
        holder, where = (after, 0) if isinstance(after, nn.Sequential) else (layers, place + 1)
        norm = holder[where]
        if isinstance(before, _CONVOLUTIONS) and isinstance(norm, nn.BatchNorm2d):
            is_transposed = isinstance(before, nn.ConvTranspose2d)
            layers[place] = fuse_conv_bn_eval(before, norm, transpose=is_transposed)
            holder[where] = nn.Identity()
