"""A window that slides over an image, its results blended by a Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ptxcore.inference._memory import FittedForward

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


def window_starts(shape: tuple[int, int], window_px: int, overlap: float) -> tuple[Any, ...]:
    """Where `slide` puts its windows: two overlaps that give the same give the same logits.

    Args:
        shape: Height and width of the image.
        window_px: Side of the window; 0 for the whole image.
        overlap: As for `slide`.
    """
    from monai.data.utils import dense_patch_slices

    window = window_of(shape, window_px)
    steps = [max(1, int(side * (1 - overlap))) for side in window]
    return tuple(map(tuple, dense_patch_slices(shape, window, steps, return_slice=False)))


def slide(
    forward: Callable[[Tensor], Tensor], images: Tensor, window_px: int, overlap: float
) -> Tensor:
    """Logits of a whole image from windows, in one pass where the window covers it.

    MONAI's inferer: windows start every `window_px * (1 - overlap)` px, the last ones end at the
    border, and where they overlap the mean is weighted by a Gaussian with a standard deviation of
    an eighth of the window (Isensee et al. 2021), so that the centre of a window, which sees its
    surroundings, counts most.

    Args:
        forward: Maps (B, S, p, q) to logits of shape (B, 1, p, q), float32.
        images: Shape (1, S, h, w). A side shorter than the window is one window long.
        window_px: Side of the window; 0 takes the whole image.
        overlap: Share of the window that neighbours have in common, in [0, 1).

    Returns:
        Logits of shape (1, 1, h, w), float32.

    Raises:
        OutOfMemory: A single window does not fit in memory.
    """
    fitted = FittedForward(forward)
    height, width = images.shape[-2:]
    window = window_of((height, width), window_px)
    if window == (height, width):
        return fitted(images)

    from monai.inferers.utils import sliding_window_inference  # MONAI takes seconds to import

    logits = sliding_window_inference(
        images,
        roi_size=window,
        sw_batch_size=WINDOWS_PER_BATCH[images.device.type],
        predictor=fitted,
        overlap=overlap,
        mode="gaussian",
        sigma_scale=0.125,
    )
    assert isinstance(logits, Tensor)
    return logits
