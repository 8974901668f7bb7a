"""A window that slides over an image, its results blended by a Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from ptxcore.errors import SettingsError
from ptxcore.inference._micro_batches import SplitForward

#: Windows that go through the network together, where they fit. On a CPU one is fastest; a GPU
#: wants more.
WINDOWS_PER_BATCH = {"cpu": 1, "cuda": 16}
#: As in MONAI: no pixel counts less, so that a corner which one window alone sees divides well.
_LEAST_WEIGHT = 1e-3
#: Pixels of those that go through a network with folded norms together: four windows of 256 px;
#: of larger ones it gains nothing.
PIXELS_PER_BATCH = 4 * 256**2


def window_of(shape: tuple[int, int], window_px: int) -> tuple[int, int]:
    """Height and width of the window over an image.

    Args:
        shape: Height and width of the image in pixels.
        window_px: Side of the window; an image's side shorter than it is one window long. 0 is no
            window: the whole image.
    """
    height, width = shape
    side = window_px or max(shape)
    return min(side, height), min(side, width)


def window_starts(
    shape: tuple[int, int], window_px: int, overlap: float
) -> tuple[tuple[int, int], ...]:
    """First row and column of each window of `slide`.

    Two overlaps that give the same give the same logits.

    Args:
        shape: Height and width of the image.
        window_px: Side of the window; 0 for the whole image.
        overlap: Overlap, as for `slide`.

    Raises:
        SettingsError: The overlap is out of its range.
    """
    if not 0 <= overlap < 1:
        raise SettingsError(f"overlap: found {overlap}, expected a share in [0, 1)")
    tops, lefts = (
        _starts(side, covered, max(1, int(covered * (1 - overlap))))
        for side, covered in zip(shape, window_of(shape, window_px), strict=True)
    )
    return tuple((top, left) for top in tops for left in lefts)


def _starts(side: int, window: int, step: int) -> list[int]:
    """Every step until the side is covered; the last window ends at the border."""
    return [*range(0, side - window, step), side - window]


def slide(
    forward: Callable[[Tensor], Tensor],
    images: Tensor,
    window_px: int,
    overlap: float,
    *,
    grouped: bool = False,
) -> Tensor:
    """Logits of a whole image from windows, in one pass where the window covers it.

    Windows start every `window_px * (1 - overlap)` px, the last ones end at the border, and where
    they overlap the mean is weighted by a Gaussian with a standard deviation of an eighth of the
    window (Isensee et al. 2021), so that the centre of a window, which sees its surroundings,
    counts most. This is what MONAI's inferer gives; but weights and their sum are computed once for
    all images of a shape, and MONAI, which takes seconds to import, is not needed. On an H200 its
    own loop took 1.4 times as long as the passes in it.

    Args:
        forward: Maps (B, S, p, q) to logits of shape (B, K, p, q), float32.
        images: Shape (1, S, h, w). A side shorter than the window is one window long.
        window_px: Side of the window; 0 takes the whole image.
        overlap: Share of the window that neighbours have in common, in [0, 1).
        grouped: Whether small windows go through the network together on a CPU too.

    Returns:
        Logits of shape (1, K, h, w), float32.

    Raises:
        SettingsError: The overlap is out of its range.
        OutOfMemory: A single window does not fit in memory.
    """
    split_forward = SplitForward(forward)
    height, width = images.shape[-2:]
    window = window_of((height, width), window_px)
    starts = window_starts((height, width), window_px, overlap)
    if window == (height, width):
        return split_forward(images)

    weight, total = _weights((height, width), window, starts, images.device)
    rows, columns = window
    sums: Tensor | None = None
    at_once = WINDOWS_PER_BATCH[images.device.type]
    if grouped:
        at_once = max(at_once, PIXELS_PER_BATCH // (rows * columns))
    for begin in range(0, len(starts), at_once):
        places = starts[begin : begin + at_once]
        windows = torch.cat(
            [images[..., top : top + rows, left : left + columns] for top, left in places]
        )
        weighted = split_forward(windows) * weight
        if sums is None:
            sums = weighted.new_zeros((weighted.shape[1], height, width))
        for (top, left), window_logits in zip(places, weighted, strict=True):
            sums[:, top : top + rows, left : left + columns] += window_logits
    assert sums is not None
    return sums[None] / total


@lru_cache(maxsize=8)
def _weights(
    shape: tuple[int, int],
    window: tuple[int, int],
    starts: tuple[tuple[int, int], ...],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Weight of each pixel of a window, and their sum over windows for each pixel of the image."""
    down, across = (_gaussian(side, device) for side in window)
    weight = down[:, None] * across
    weight.clamp_(min=max(float(weight.min()), _LEAST_WEIGHT))
    total = torch.zeros(shape, device=device)
    for top, left in starts:
        total[top : top + window[0], left : left + window[1]] += weight
    return weight, total


def _gaussian(side: int, device: torch.device) -> Tensor:
    """1 in the middle; a standard deviation of an eighth of the side."""
    place = torch.arange(-(side - 1) / 2, (side - 1) / 2 + 1, dtype=torch.float32, device=device)
    return torch.exp(place**2 / (-2 * (side / 8) ** 2))
