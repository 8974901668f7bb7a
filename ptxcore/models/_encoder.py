"""EfficientNet-Lite0 as a contracting path, and its weights of ImageNet.

The network is Google's (Apache-2.0, github.com/tensorflow/tpu, efficientnet/lite): EfficientNet-B0
(Tan and Le 2019, arXiv:1905.11946, table 1) without squeeze-and-excitation and with ReLU6 for
Swish. Strided convolutions pad both sides alike, so that any size works.
"""

from __future__ import annotations

from collections import OrderedDict
from io import BytesIO

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptxcore.pretrained import read_pretrained

#: Kernel, stride, channels and number of the blocks of each stage; all but the first stage widen
#: six times inside.
_STAGES = (
    (3, 1, 16, 1),
    (3, 2, 24, 2),
    (5, 2, 40, 2),
    (3, 2, 80, 3),
    (5, 1, 112, 3),
    (5, 2, 192, 4),
    (3, 1, 320, 1),
)
_STEM = 32
#: Channels of the features at strides 2, 4, 8 and 16, and of the coarsest, at stride 32.
SKIPS = (16, 24, 40, 112)
COARSEST = 320
#: As in TensorFlow's code; PyTorch's default is 1e-5.
_EPSILON = 1e-3


class Encoder(nn.Module):
    """The stem and the blocks, each with its norms."""

    def __init__(self, num_channels: int) -> None:
        """Fresh weights.

        Args:
            num_channels: Channels of the input, C, at least 1.
        """
        super().__init__()
        self.stem = _unit(nn.Conv2d(num_channels, _STEM, 3, stride=2, padding=1, bias=False))
        blocks, width = [], _STEM
        for stage, (kernel, stride, channels, number) in enumerate(_STAGES):
            for place in range(number):
                blocks.append(
                    _Block(
                        width,
                        channels,
                        kernel=kernel,
                        stride=stride if place == 0 else 1,
                        widening=6 if stage else 1,
                    )
                )
                width = channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features at each stride.

        Args:
            images: Shape (B, C, H, W), floating; sides are multiples of 32.

        Returns:
            Those of `SKIPS`, and the coarsest, of shape (B, COARSEST, H / 32, W / 32).
        """
        features, skips = self.stem(images), []
        for block in self.blocks:
            if block.stride == 2:
                skips.append(features)
            features = block(features)
        return skips, features

    def load_imagenet(self) -> None:
        """Take the weights that learned ImageNet.

        A radiograph has one channel where a photograph has three: it is given as each of them, for
        which the kernels of the stem are added up. Other channels begin without effect.

        Raises:
            SettingsError: The package with the weights is not installed, or its file is another.
        """
        given = _read_weights()
        own = self.state_dict()
        for place, (name, tensor) in enumerate(own.items()):
            found = given[place]
            if place == 0:
                tensor.zero_()[:, :1] = found.sum(1, keepdim=True)
            else:
                assert tensor.shape == found.shape, name
                tensor.copy_(found)


class _Block(nn.Module):
    """Inverted residual (Sandler et al. 2018, arXiv:1801.04381, figure 4d)."""

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int, stride: int, widening: int
    ) -> None:
        super().__init__()
        inside = channels_in * widening
        self.stride = stride
        self.is_residual = stride == 1 and channels_in == channels_out
        widen = [_unit(nn.Conv2d(channels_in, inside, 1, bias=False))] if widening > 1 else []
        depthwise = _Depthwise(
            inside, inside, kernel, stride=stride, padding=kernel // 2, groups=inside, bias=False
        )
        narrow = nn.Conv2d(inside, channels_out, 1, bias=False)
        self.layers = nn.Sequential(*widen, _unit(depthwise), _unit(narrow, is_active=False))

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.layers(features)
        return features + found if self.is_residual else found


class _Depthwise(nn.Conv2d):
    """Learns in float32 on a CPU.

    Of the depthwise convolutions here those with stride 2 or a kernel of 5 have a backward pass in
    bfloat16 that takes 2.5 to 7 times as long as in float32 (PyTorch 2.13, oneDNN, AVX-512 with
    bfloat16, one thread).
    """

    def forward(self, features: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and features.device.type == "cpu"):
            return super().forward(features)
        with torch.autocast("cpu", enabled=False):
            found = functional.conv2d(
                features.float(),
                self.weight,
                stride=self.stride,
                padding=self.padding,
                groups=self.groups,
            )
        return found.to(features.dtype)


def _unit(convolution: nn.Conv2d, *, is_active: bool = True) -> nn.Module:
    """Convolution, norm and ReLU6, under the names of `Style`, so that norms are folded alike."""
    after: OrderedDict[str, nn.Module] = OrderedDict(
        N=nn.BatchNorm2d(convolution.out_channels, eps=_EPSILON)
    )
    if is_active:
        after["A"] = nn.ReLU6(inplace=True)
    return nn.Sequential(OrderedDict(conv=convolution, adn=nn.Sequential(after)))


def _read_weights() -> list[Tensor]:
    """Tensors of the file that the encoder has, in its order: what classifies comes last."""
    # Its hash is known; and no code of a pickle is run.
    tensors = torch.load(BytesIO(read_pretrained()), map_location="cpu", weights_only=True)
    return [*tensors.values()]
