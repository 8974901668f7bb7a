"""U-Net and Attention U-Net out of MONAI's convolution blocks.

Composed here, because MONAI's `AttentionUnet` mixes batch with instance norm, keeps dropout out
of its gates and up-convolutions, fixes its input to multiples of 2^(levels - 1), and does not
give its attention maps. Gates follow Oktay et al., "Attention U-Net", 2018: additive attention
at the resolution of the skip connection.
"""

from __future__ import annotations

import math

import torch
from monai.networks.blocks.convolutions import Convolution
from torch import nn
from torch.nn import functional

from ptxcore.settings import FoldSettings

#: The last layer starts at the share of positive pixels, so that the first steps are not spent on
#: learning that most pixels are background.
PRIOR = 0.01
#: Deeper levels stop growing here.
MAX_CHANNELS = 512


def _convolution(inputs: int, outputs: int, settings: FoldSettings, kernel: int = 3) -> nn.Module:
    return Convolution(
        spatial_dims=2,
        in_channels=inputs,
        out_channels=outputs,
        kernel_size=kernel,
        act="RELU",
        norm="BATCH" if settings.norm == "batch" else ("INSTANCE", {"affine": True}),
        dropout=settings.dropout or None,
        bias=False,
    )


class _Level(nn.Sequential):
    """Two convolutions at one resolution."""

    def __init__(self, inputs: int, outputs: int, settings: FoldSettings) -> None:
        super().__init__(
            _convolution(inputs, outputs, settings), _convolution(outputs, outputs, settings)
        )


class AttentionGate(nn.Module):
    """Weighs a skip connection by what the level below sees."""

    def __init__(self, skip: int, gate: int, settings: FoldSettings) -> None:
        super().__init__()
        inner = max(1, skip // 2)
        self.of_skip = nn.Conv2d(skip, inner, 1, bias=False)
        self.of_gate = nn.Conv2d(gate, inner, 1)
        self.drop = nn.Dropout(settings.dropout)
        self.weight = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """Attention in (0, 1), shape (B, 1, h, w), for skip (B, C, h, w) and gate (B, D, h, w)."""
        both = functional.relu(self.of_skip(skip) + self.of_gate(gate))
        attention: torch.Tensor = self.weight(self.drop(both)).sigmoid()
        return attention


class SegmentationUNet(nn.Module):
    """U-Net with or without attention gates; takes any height and width."""

    def __init__(self, settings: FoldSettings) -> None:
        super().__init__()
        widths = [
            min(settings.channels * 2**level, max(MAX_CHANNELS, settings.channels))
            for level in range(settings.levels)
        ]
        self.multiple = 2 ** (settings.levels - 1)
        self.down = nn.ModuleList(
            _Level(inputs, outputs, settings)
            for inputs, outputs in zip([1, *widths[:-1]], widths, strict=True)
        )
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.reduce = nn.ModuleList(
            _convolution(below, above, settings, kernel=1) for above, below in pairs
        )
        self.gates = nn.ModuleList(
            AttentionGate(above, above, settings)
            for above, _ in (pairs if settings.network == "attention_unet" else [])
        )
        self.up = nn.ModuleList(_Level(2 * above, above, settings) for above, _ in pairs)
        self.head = nn.Conv2d(widths[0], 1, 1)
        nn.init.constant_(self.head.bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, 1, H, W) for images of that shape."""
        return self._run(images, None)

    def attention_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Attention per level, finest first, each (B, 1, h, w) in (0, 1); none for a U-Net."""
        maps: list[torch.Tensor] = []
        self._run(images, maps)
        return maps[::-1]

    def _run(self, images: torch.Tensor, maps: list[torch.Tensor] | None) -> torch.Tensor:
        height, width = images.shape[-2:]
        extra = [-size % self.multiple for size in (width, height)]
        x = images
        if any(extra):
            x = functional.pad(images, (0, extra[0], 0, extra[1]), mode="replicate")
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else functional.max_pool2d(x, 2))
            skips.append(x)
        for level in range(len(skips) - 2, -1, -1):
            skip = skips[level]
            x = functional.interpolate(self.reduce[level](x), scale_factor=2.0, mode="nearest")
            if len(self.gates):
                attention = self.gates[level](skip, x)
                if maps is not None:
                    maps.append(attention)
                skip = skip * attention
            x = self.up[level](torch.cat([skip, x], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits[..., :height, :width]


def build_network(settings: FoldSettings, *, seed: int) -> SegmentationUNet:
    """A network with weights drawn from a seed; the global random state stays as it was.

    Args:
        settings: network, channels, levels, dropout and norm are read.
        seed: Of the weights, 0 to 2^63 - 1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SegmentationUNet(settings)
