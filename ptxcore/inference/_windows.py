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
    from monai.data.utils import dense_patch_slices

    window = window_of(shape, window_px)
    steps = [max(1, int(side * (1 - overlap))) for side in window]
    places = dense_patch_slices(shape, window, steps)
    return tuple((int(rows.start), int(columns.start)) for rows, columns in places)


def slide(
    forward: Callable[[Tensor], Tensor], images: Tensor, window_px: int, overlap: float
) -> Tensor:
    """Logits of a whole image from windows, in one pass where the window covers it.

    Windows start every `window_px * (1 - overlap)` px, the last ones end at the border, and where
    they overlap the mean is weighted by a Gaussian with a standard deviation of an eighth of the
    window (Isensee et al. 2021), so that the centre of a window, which sees its surroundings,
    counts most. This is what MONAI's inferer gives, made of its parts; but weights and their sum
    are computed once for all images of a shape. On an H200 its own loop took 1.4 times as long as
    the passes in it.

    Args:
        forward: Maps (B, S, p, q) to logits of shape (B, K, p, q), float32.
        images: Shape (1, S, h, w). A side shorter than the window is one window long.
        window_px: Side of the window; 0 takes the whole image.
        overlap: Share of the window that neighbours have in common, in [0, 1).

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
    from monai.data.utils import compute_importance_map

    weight = compute_importance_map(window, mode="gaussian", sigma_scale=0.125, device=device)
    assert isinstance(weight, Tensor)
    total = torch.zeros(shape, device=device)
    for top, left in starts:
        total[top : top + window[0], left : left + window[1]] += weight
    return weight, total
