"""The blocks of the U-Nets, composed from MONAI's `Convolution`.

MONAI's own `AttentionUnet` (1.6.1) is not used whole, because four of its choices cannot be
configured: its gates and up-convolutions never see dropout, every block is BatchNorm except the
merging one (InstanceNorm and PReLU), an input side must divide by 2^(levels-1), and it gates the
full-resolution skip too, which Oktay et al. leave out.

Dropout takes whole channels (Tompson et al. 2015, arXiv:1411.4280): neighbouring pixels of a
feature map are so alike that dropping single ones removes little, and drawing a number per pixel
costs more than the convolution beside it on a CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

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
        return self._unit(channels_in, channels_out, kernel_size=kernel, strides=stride)

    def up_convolution(self, channels_in: int, channels_out: int) -> nn.Module:
        """Transposed convolution to twice the grid, norm, dropout, ReLU.

        Args:
            channels_in: Input channels, at least 1.
            channels_out: Output channels, at least 1.

        Returns:
            Maps (B, channels_in, H, W) to (B, channels_out, 2 H, 2 W).
        """
        return self._unit(
            channels_in,
            channels_out,
            kernel_size=2,
            strides=2,
            is_transposed=True,
            padding=0,
            output_padding=0,
        )

    def projection(self, channels_in: int, channels_out: int) -> nn.Module:
        """1 x 1 convolution, norm, dropout; what a gate adds up before its ReLU.

        Args:
            channels_in: Input channels, at least 1.
            channels_out: Output channels, at least 1.

        Returns:
            Maps (B, channels_in, H, W) to (B, channels_out, H, W).
        """
        return self._unit(channels_in, channels_out, kernel_size=1, adn_ordering="ND")

    def norm_layer(self, channels: int) -> nn.Module:
        """The norm alone.

        Args:
            channels: C, at least 1.

        Returns:
            Maps (B, C, H, W) to that shape.
        """
        name, options = self._norm(channels)
        layer: nn.Module = get_norm_layer((name, options), spatial_dims=2, channels=channels)
        return layer

    def _norm(self, channels: int) -> tuple[str, dict[str, Any]]:
        """MONAI's name and options: affine in all, so no convolution before it needs a bias."""
        if self.norm == "group":
            return "group", {"num_groups": math.gcd(MAX_GROUPS, channels)}
        return self.norm, {"affine": True} if self.norm == "instance" else {}

    def _unit(self, channels_in: int, channels_out: int, **options: Any) -> nn.Module:
        unit: nn.Module = Convolution(
            spatial_dims=2,
            in_channels=channels_in,
            out_channels=channels_out,
            act=("relu", {"inplace": True}),
            norm=self._norm(channels_out),
            dropout=self.dropout or None,
            dropout_dim=2,
            bias=False,
            **options,
        )
        return unit


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
