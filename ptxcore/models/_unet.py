"""U-Net with or without attention gates, for inputs of any size.

Both networks share every block, so that a comparison of "unet" with "attention_unet" is one of
the gates alone (MONAI's `UNet` has one convolution per level where its `AttentionUnet` has two).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ptxcore.models._blocks import AttentionGate, Style, double_convolution


class SegmentationUNet(nn.Module):
    """Contracting and expanding path with skips (Ronneberger et al. 2015, arXiv:1505.04597).

    Strided convolutions halve the grid and transposed ones double it, as in MONAI's networks.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        style: Style,
        *,
        gated: bool,
        supervised: bool = False,
        has_case_head: bool = False,
        num_channels: int = 1,
    ) -> None:
        """Build the paths.

        Args:
            widths: Channels of each level, the finest first, two or more.
            style: Norm and dropout of all blocks.
            gated: Whether skips pass an attention gate. The finest does not, unless it is the only
                one: its features do not describe enough of the image (Oktay et al., section 2.3),
                and on the finest grid a gate costs most.
            supervised: Whether the coarser levels of the expanding path have an output too.
            has_case_head: Whether it also gives one logit an image, from the mean and the maximum
                of each channel of the coarsest level: the maximum keeps what is small.
            num_channels: Channels of the input, C.
        """
        super().__init__()
        self.num_levels = len(widths)
        self._add_contracting(widths, style, num_channels)
        # The expanding path, stored as it runs: coarse to fine.
        steps = list(zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.up = nn.ModuleList(style.up_convolution(lower, upper) for upper, lower in steps)
        self.gates = nn.ModuleList(
            AttentionGate(style, upper)
            if gated and (level < len(steps) - 1 or len(steps) == 1)
            else _Open()
            for level, (upper, _) in enumerate(steps)
        )
        self.merge = nn.ModuleList(style.convolution(2 * upper, upper) for upper, _ in steps)
        self.output = nn.Conv2d(widths[0], 1, kernel_size=1)
        # Last, so that the weights above do not depend on it. Coarse to fine.
        self.auxiliary = nn.ModuleList(
            nn.Conv2d(upper, 1, kernel_size=1) for upper, _ in steps[:-1] if supervised
        )
        # A convolution: a matrix product has no deterministic kernel on a GPU unless a variable of
        # the environment says so.
        self.case_output = nn.Conv2d(2 * widths[-1], 1, kernel_size=1) if has_case_head else None

    def _add_contracting(self, widths: tuple[int, ...], style: Style, num_channels: int) -> None:
        """The layers of `_contract`. The weights of all that follows depend on what it draws."""
        self.head = double_convolution(style, num_channels, widths[0])
        self.down = nn.ModuleList(
            double_convolution(style, upper, lower, stride=2) for upper, lower in pairwise(widths)
        )

    def _contract(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features of every level but the coarsest, the finest first, and those of the coarsest."""
        features = self.head(images)
        skips = []
        for down in self.down:
            skips.append(features)
            features = down(features)
        return skips, features

    @property
    def num_gates(self) -> int:
        """Attention gates, and so maps of `attention_maps`."""
        return sum(isinstance(gate, AttentionGate) for gate in self.gates)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (B, 1, H, W): of the finest output alone.

        Args:
            images: Shape (B, C, H, W), floating, any height and width.
        """
        _, levels, size = self._levels(images)
        return self._finest(levels, size)

    def with_case(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The mask, and whether there is one at all; of a network with a case head alone.

        Args:
            images: Shape (B, C, H, W), as for `forward`.

        Returns:
            What `forward` gives, and a logit an image that its mask is not empty, shape (B, 1).
        """
        coarsest, levels, size = self._levels(images)
        return self._finest(levels, size), self._case(coarsest)

    def all_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """What deep supervision trains (Lee et al. 2015, arXiv:1409.5185).

        Args:
            images: Shape (B, C, H, W).

        Returns:
            Logits of each output, the finest first, each of shape (B, 1, H, W): coarser ones are
            brought to the grid of the images bilinearly, so that any size works and the truth
            stays as it is. The first is what `forward` gives; without deep supervision the only.
        """
        return self.all_outputs(images)[0]

    def all_outputs(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """What is trained: `all_logits`, and with a case head the case logits of `with_case`.

        Args:
            images: Shape (B, C, H, W).
        """
        coarsest, levels, size = self._levels(images)
        outputs = [self.output(levels[-1])]
        # `auxiliary` runs coarse to fine and stops below the finest level.
        for output, features in reversed(list(zip(self.auxiliary, levels, strict=False))):
            outputs.append(
                F.interpolate(
                    output(features),
                    size=levels[-1].shape[-2:],
                    mode="bilinear",
                    align_corners=False,
                )
            )
        masks = tuple(logits[..., : size.height, : size.width] for logits in outputs)
        return masks, None if self.case_output is None else self._case(coarsest)

    def _finest(self, levels: list[Tensor], size: Size) -> Tensor:
        logits: Tensor = self.output(levels[-1])
        return logits[..., : size.height, : size.width]

    def _case(self, coarsest: Tensor) -> Tensor:
        assert self.case_output is not None, "asked of networks with a case head alone"
        pooled = [pool((2, 3), keepdim=True) for pool in (coarsest.mean, coarsest.amax)]
        logits: Tensor = self.case_output(torch.cat(pooled, dim=1))
        return logits.flatten(1)

    def _levels(self, images: Tensor) -> tuple[Tensor, list[Tensor], Size]:
        """Features of the coarsest level, and of the expanding path, coarse to fine; all padded.
        And the size to crop to.
        """
        padded, size = pad_to_multiple(images, 2 ** (self.num_levels - 1))
        skips, coarsest = self._contract(padded)
        features = coarsest
        levels: list[Tensor] = []
        for up, gate, merge in zip(self.up, self.gates, self.merge, strict=True):
            below = up(features)
            features = merge(torch.cat((gate(below, skips.pop()), below), dim=1))
            levels.append(features)
        return coarsest, levels, size

    @torch.no_grad()
    def attention_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Where the gates look.

        Args:
            images: Shape (B, C, H, W).

        Returns:
            Coefficients in [0, 1] of each gate, finest first, each of shape (B, 1, H, W):
            brought to the grid of the images, bilinearly. Empty without gates.
        """
        maps: list[Tensor] = []
        handles = [
            gate.coefficients.register_forward_hook(lambda _m, _i, out: maps.append(out))
            for gate in self.gates
            if isinstance(gate, AttentionGate)
        ]
        try:
            self(images)
        finally:
            for handle in handles:
                handle.remove()
        height, width = images.shape[-2:]
        multiple = 2 ** (self.num_levels - 1)
        padded = (_padded_side(height, multiple), _padded_side(width, multiple))
        return tuple(
            F.interpolate(m.float(), size=padded, mode="bilinear", align_corners=False)[
                ..., :height, :width
            ]
            for m in reversed(maps)
        )


class Size(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int


def pad_to_multiple(images: Tensor, multiple: int) -> tuple[Tensor, Size]:
    """Pad at the bottom and on the right until both sides divide by `multiple`.

    At least two multiples, since a norm over one pixel has no variance. Reflects where the image
    is larger than what is added, else repeats its edge: both leave no step for the network to see.

    Args:
        images: Shape (B, C, H, W).
        multiple: Multiple in pixels.

    Returns:
        The padded images, and the size to crop the result to.
    """
    size = Size(*images.shape[-2:])
    bottom = _padded_side(size.height, multiple) - size.height
    right = _padded_side(size.width, multiple) - size.width
    if bottom == right == 0:
        return images, size
    mode = "reflect" if bottom < size.height and right < size.width else "replicate"
    return F.pad(images, (0, right, 0, bottom), mode=mode), size


def _padded_side(side: int, multiple: int) -> int:
    return max(2, math.ceil(side / multiple)) * multiple


class _Open(nn.Module):
    """A gate that is always open."""

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        return skip
