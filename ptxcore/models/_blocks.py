"""The blocks of the U-Nets, with the layers and names of MONAI's `Convolution`.

MONAI's own `AttentionUnet` (1.6.1) is not used, because four of its choices cannot be configured:
its gates and up-convolutions never see dropout, every block is BatchNorm except the merging one
(InstanceNorm and PReLU), an input side must divide by 2^(levels-1), and it gates the
full-resolution skip too, which Oktay et al. leave out. Its `Convolution` is three layers of PyTorch
in a row, and importing it imports all of MONAI, which takes three times as long as PyTorch; so
they are put in a row here, under the same names, which weights on disk have.

Dropout takes whole channels (Tompson et al. 2015, arXiv:1411.4280): neighbouring pixels of a
feature map are so alike that dropping single ones removes little, and drawing a number per pixel
costs more than the convolution beside it on a CPU.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptxcore.models._norms import GroupNorm, InstanceNorm

#: Groups of channels in a group norm, where the width divides by it.
MAX_GROUPS = 8


@dataclass(frozen=True, kw_only=True)
class Style:
    """What all blocks of a network have in common: `norm` and `dropout` of `FoldSettings`.

    Attributes:
        norm: "batch", "instance" or "group".
        dropout: Probability that a channel is dropped, in [0, 1).
    """

    norm: str
    dropout: float

    def convolution(
        self, channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1
    ) -> nn.Module:
        """Convolution, norm, dropout, ReLU.

        Args:
            channels_in: Input channels, at least 1.
            channels_out: Output channels, at least 1.
            kernel: Side in pixels, odd.
            stride: Stride, at least 1.

        Returns:
            Maps (B, channels_in, H, W) to (B, channels_out, ceil(H / stride), ceil(W / stride)).
        """
        convolution = nn.Conv2d(
            channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        return self._unit(convolution, nn.ReLU(inplace=True))

    def up_convolution(self, channels_in: int, channels_out: int) -> nn.Module:
        """Transposed convolution to twice the grid, norm, dropout, ReLU.

        Args:
            channels_in: Input channels, at least 1.
            channels_out: Output channels, at least 1.

        Returns:
            Maps (B, channels_in, H, W) to (B, channels_out, 2 H, 2 W).
        """
        convolution = nn.ConvTranspose2d(channels_in, channels_out, 2, stride=2, bias=False)
        return self._unit(convolution, nn.ReLU(inplace=True))

    def projection(self, channels_in: int, channels_out: int) -> nn.Module:
        """1 x 1 convolution, norm, dropout; what a gate adds up before its ReLU.

        Args:
            channels_in: Input channels, at least 1.
            channels_out: Output channels, at least 1.

        Returns:
            Maps (B, channels_in, H, W) to (B, channels_out, H, W).
        """
        return self._unit(nn.Conv2d(channels_in, channels_out, 1, bias=False), None)

    def norm_layer(self, channels: int) -> nn.Module:
        """The norm alone.

        Args:
            channels: C, at least 1.

        Returns:
            Maps (B, C, H, W) to that shape.
        """
        # All are affine, so no convolution before them needs a bias.
        if self.norm == "batch":
            return nn.BatchNorm2d(channels)
        if self.norm == "instance":
            return InstanceNorm(channels, affine=True)
        assert self.norm == "group", self.norm
        return GroupNorm(math.gcd(MAX_GROUPS, channels), channels)

    def _unit(
        self, convolution: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module | None
    ) -> nn.Module:
        """A convolution, and after it norm, dropout and activation."""
        after: OrderedDict[str, nn.Module] = OrderedDict(
            N=self.norm_layer(convolution.out_channels)
        )
        if self.dropout:
            after["D"] = nn.Dropout2d(self.dropout)
        if activation is not None:
            after["A"] = activation
        return nn.Sequential(OrderedDict(conv=convolution, adn=nn.Sequential(after)))


def double_convolution(
    style: Style, channels_in: int, channels_out: int, *, stride: int = 1
) -> nn.Module:
    """Two convolutions; the first may halve the grid.

    Args:
        style: Norm and dropout of both.
        channels_in: Input channels, at least 1.
        channels_out: Output channels of both, at least 1.
        stride: Stride of the first, at least 1.

    Returns:
        Maps (B, channels_in, H, W) to (B, channels_out, ceil(H / stride), ceil(W / stride)).
    """
    return nn.Sequential(
        style.convolution(channels_in, channels_out, stride=stride),
        style.convolution(channels_out, channels_out),
    )


class AttentionGate(nn.Module):
    """Additive attention gate (Oktay et al. 2018, arXiv:1804.03999, equations 1 and 2).

    As in MONAI, the gating signal is the up-convolved lower level, on the grid of the skip.
    """

    def __init__(self, style: Style, channels: int) -> None:
        """Half as many channels inside, at least 1.

        Args:
            style: Norm of all its convolutions, and dropout of those before the sum.
            channels: C of both inputs, at least 1.
        """
        super().__init__()
        hidden = max(1, channels // 2)
        self.from_below = style.projection(channels, hidden)
        self.from_skip = style.projection(channels, hidden)
        # No dropout here: the map has one channel, and dropping it would close the whole gate.
        self.coefficients = nn.Sequential(
            nn.Conv2d(hidden, 1, kernel_size=1, bias=False), style.norm_layer(1), nn.Sigmoid()
        )

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Weigh each pixel of the skip.

        Args:
            below: Gating signal, shape (B, C, h, w).
            skip: The same shape.

        Returns:
            `skip` times its coefficients of shape (B, 1, h, w) in [0, 1].
        """
        joint = torch.relu(self.from_below(below) + self.from_skip(skip))
        gated: Tensor = skip * self.coefficients(joint)
        return gated
