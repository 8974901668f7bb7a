"""Instance and group norm that keep step with batch norm on a CPU.

PyTorch's instance norm gives up the layout that convolutions are fastest in (channels last), and
the gradient of its group norm takes ten times as long there. Both are made here of its batch norm,
sample by sample: its kernel gives the statistics and the sums that a gradient needs in one pass
each, and scales by channel. Elsewhere PyTorch's own are used. Weights have the same names.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def _is_served(values: Tensor) -> bool:
    """Whether values lie on a CPU in channels last alone, and no graph is being exported."""
    is_last = values.is_contiguous(memory_format=torch.channels_last)
    on_cpu = values.device.type == "cpu" and not torch.compiler.is_compiling()
    return on_cpu and is_last and not values.is_contiguous()


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm (Ulyanov et al. 2016, arXiv:1607.08022), affine."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalised values, in their shape (B, C, H, W)."""
        if not _is_served(values):
            return super().forward(values)
        return _normalised(values, self.weight, self.bias, self.num_features, self.eps)


class GroupNorm(nn.GroupNorm):
    """Group norm (Wu and He 2018, arXiv:1803.08494), affine."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalised values, in their shape (B, C, H, W)."""
        if not _is_served(values):
            return super().forward(values)
        return _normalised(values, self.weight, self.bias, self.num_groups, self.eps)


def _normalised(
    values: Tensor, weight: Tensor, bias: Tensor, num_groups: int, eps: float
) -> Tensor:
    result: Tensor = _GroupNorm.apply(values, weight, bias, num_groups, eps)  # type: ignore[no-untyped-call]
    return result


class _GroupNorm(torch.autograd.Function):
    """Group norm; with a group for each channel it is an instance norm."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, num_groups: int, eps: float
    ) -> Tensor:
        batch, channels, height, width = values.shape
        if num_groups < channels:
            result, mean, scale = torch.native_group_norm(
                values, weight, bias, batch, channels, height * width, num_groups, eps
            )
            mean, scale = (_by_channel(one, channels) for one in (mean, scale))
        else:
            result = torch.empty_like(values)
            mean, scale = values.new_empty(2, batch, channels, dtype=weight.dtype).unbind()
            for sample in range(batch):
                torch.ops.aten.native_batch_norm.out(
                    *(values[sample : sample + 1], weight, bias, None, None, True, 0.0, eps),
                    out=result[sample : sample + 1],
                    save_mean=mean[sample],
                    save_invstd=scale[sample],
                )
        ctx.save_for_backward(values, weight, mean, scale)
        ctx.num_groups = num_groups
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """With x' the normalised x, M its values and s its 1 / standard deviation:
        s (w g - sum(w g) / M - x' sum(w g x') / M), sums over a group.
        """
        values, weight, mean, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        batch, channels, height, width = values.shape
        of_products, of_gradient = _sums(gradient, values, weight, mean, scale)
        num_values = height * width * channels // ctx.num_groups
        of_groups = [
            (one * weight).view(batch, ctx.num_groups, -1).sum(2) / num_values
            for one in (of_products, of_gradient)
        ]
        pull, shift = (_by_channel(one, channels) for one in of_groups)
        slope = -pull * scale**2
        result = _scaled(gradient, scale * weight, torch.zeros_like(scale))
        result.add_(_scaled(values, slope, -shift * scale - slope * mean))
        return result, of_products.sum(0), of_gradient.sum(0), None, None


def _by_channel(values: Tensor, channels: int) -> Tensor:
    """One value a group, shape (B, G) or with more axes of 1, as (B, channels)."""
    groups = values.view(len(values), -1)
    return groups.repeat_interleave(channels // groups.shape[1], dim=1)


def _sums(
    gradient: Tensor, values: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums of the gradient times the normalised values, and of the gradient, each (B, C)."""
    found = [
        torch.ops.aten.native_batch_norm_backward(
            *(gradient[one : one + 1], values[one : one + 1], weight, None, None),
            *(mean[one], scale[one], True, 0.0, [False, True, True]),
        )
        for one in range(len(values))
    ]
    return torch.stack([sums[1] for sums in found]), torch.stack([sums[2] for sums in found])


def _scaled(values: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Values times a factor plus an offset, each of shape (B, C), rounded once."""
    result = torch.empty_like(values)
    zero, one = torch.zeros_like(factor[0]), torch.ones_like(factor[0])
    unused = torch.empty_like(zero)
    for sample in range(len(values)):
        torch.ops.aten.native_batch_norm.out(
            *(values[sample : sample + 1], factor[sample], offset[sample], zero, one, False),
            *(0.0, 0.0),
            out=result[sample : sample + 1],
            save_mean=unused,
            save_invstd=unused,
        )
    return result
