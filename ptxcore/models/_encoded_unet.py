"""A U-Net with a pretrained encoder for its contracting path."""

from __future__ import annotations

from torch import Tensor, nn

from ptxcore.models._blocks import Style
from ptxcore.models._encoder import COARSEST, SKIPS, Encoder
from ptxcore.models._unet import SegmentationUNet

#: Widths of the expanding path over that of its finest level: less than doubling, since the
#: encoder, which it goes with, is narrow on fine grids.
GROWTH = (1, 2, 3, 4, 8)


class EncodedUNet(SegmentationUNet):
    """Its skips are the encoder's features, projected to the widths of the expanding path; that on
    the finest grid, which the encoder has not, is a convolution of the image.
    """

    encoder: Encoder

    def _add_contracting(self, widths: tuple[int, ...], style: Style, num_channels: int) -> None:
        self.head = style.convolution(num_channels, widths[0])
        self.encoder = Encoder(num_channels)
        self.projections = nn.ModuleList(
            style.projection(found, wanted)
            for found, wanted in zip(SKIPS, widths[1:-1], strict=True)
        )

    def _contract(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        found, coarsest = self.encoder(images)
        skips = [
            project(features) for project, features in zip(self.projections, found, strict=True)
        ]
        return [self.head(images), *skips], coarsest


def encoded_widths(channels: int) -> tuple[int, ...]:
    """Channels of each level, the finest first; those of the coarsest are the encoder's.

    Args:
        channels: Width of the finest level, at least 1.
    """
    return (*(channels * factor for factor in GROWTH), COARSEST)
