"""One image through one network, on the grid it came on.

A network with a case head also says whether there is anything to segment. It learned that of
patches, so where windows slide an image is as positive as its most positive window.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ptxcore.data.intensity import normalise
from ptxcore.data.resample import resize, resize_image, target_shape
from ptxcore.errors import SettingsError
from ptxcore.inference._channels import Channels
from ptxcore.inference._windows import slide, window_starts
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime


class GridLogits(NamedTuple):
    """What a network says of an image, on the network's grid and device.

    Attributes:
        mask: Logits of pixels, float32 of shape (1, 1, h, w), or (1, K, h, w) of a graph of K.
        case: Logit that the mask is not empty, float32 of shape (1,) or (K,); None without a head.
    """

    mask: Tensor
    case: Tensor | None


class ImageLogits(NamedTuple):
    """What a network, or several, say of an image on its original grid.

    Attributes:
        mask: Logits of pixels, float32 of shape (H, W).
        case: Logit that the mask is not empty; None without a case head.
    """

    mask: NDArray[np.float32]
    case: float | None


#: Passes of one image through one network, by what tells them apart.
Passes = dict[tuple[Any, ...], GridLogits]


def place(network: nn.Module, runtime: Runtime) -> nn.Module:
    """Move a network, in place, to the device and memory layout of a runtime, and return it.

    Args:
        network: Network on any device.
        runtime: Runtime, of which `device` and `channels_last` count here.

    Raises:
        SettingsError: The runtime asks for a GPU and there is none.
    """
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device: found 'cuda' where PyTorch sees no GPU, expected 'cpu'")
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    moved: nn.Module = network.to(device=runtime.device, memory_format=layout)  # type: ignore[call-overload]
    return moved


def predict_logits(
    network: nn.Module, image: NDArray[np.generic], settings: FoldSettings, runtime: Runtime
) -> NDArray[np.float32]:
    """Logits of an image on its original grid.

    Args:
        network: Network from `build_network`, placed on the runtime's device.
        image: Shape (H, W), bright = dense, any real type and range.
        settings: Settings, of which `image_size`, `resampling`, `patch_size` and those for
            inference count here.
        runtime: Device, precision and memory layout.

    Returns:
        Float32 array of shape (H, W).

    Raises:
        SettingsError: The image is not a two-dimensional array of finite real pixels.
        OutOfMemory: A single window does not fit in memory.
    """
    prepared = prepared_for(image, settings)
    height, width = np.shape(image)
    return predict_prepared(network, prepared, (height, width), settings, runtime)


def prepared_for(image: NDArray[np.generic], settings: FoldSettings) -> NDArray[Any]:
    """An image on the network's grid, not yet normalised.

    Args:
        image: Shape (H, W), any real type and range.
        settings: Settings, of which `image_size` and `resampling` count here.

    Returns:
        Shape (h, w); of the image's type if that is uint8 or uint16.

    Raises:
        SettingsError: The image is not a two-dimensional array of finite real pixels.
    """
    pixels = _checked(image)
    height, width = pixels.shape
    shape = target_shape(height, width, settings.image_size)
    # Integers go the way of the store; an array of other numbers has no range to clip to.
    in_store_type = pixels.dtype in (np.uint8, np.uint16)
    bring = resize_image if in_store_type else resize
    return bring(pixels, shape, settings.resampling)


def predict_prepared(
    network: nn.Module,
    prepared: NDArray[np.generic],
    output_shape: tuple[int, int],
    settings: FoldSettings,
    runtime: Runtime,
) -> NDArray[np.float32]:
    """Logits of an image that is already on the network's grid, not yet normalised.

    Args:
        network: Network from `build_network`, placed on the runtime's device; left in the mode it
            was in.
        prepared: Shape (h, w), any real type.
        output_shape: Height and width of the original grid. Logits reach it bilinearly, corners
            not aligned: pixels are areas, and the areas of both grids cover the same image.
        settings: Settings, of which `patch_size` and those for inference count here.
        runtime: Device, precision and memory layout.

    Returns:
        Float32 array of shape `output_shape`.

    Raises:
        SettingsError: The image is not a two-dimensional array of finite real pixels.
        OutOfMemory: A single window does not fit in memory.
    """
    return predict_image(network, prepared, output_shape, settings, runtime).mask


def predict_image(
    network: nn.Module,
    prepared: NDArray[np.generic],
    output_shape: tuple[int, int],
    settings: FoldSettings,
    runtime: Runtime,
) -> ImageLogits:
    """As `predict_prepared`, with what the case head says.

    Args:
        network: Network, as for `predict_prepared`.
        prepared: Prepared image, as for `predict_prepared`.
        output_shape: Height and width of the original grid.
        settings: Settings, as for `predict_prepared`, and `case_head`.
        runtime: Runtime, as for `predict_prepared`.

    Raises:
        SettingsError: The image is not a two-dimensional array of finite real pixels.
        OutOfMemory: A single window does not fit in memory.
    """
    found = grid_logits(network, prepared, settings, runtime)
    case = None if found.case is None else float(found.case[0])
    return ImageLogits(on_grid(found.mask, output_shape), case)


def predict_grid(
    network: nn.Module,
    prepared: NDArray[np.generic],
    settings: FoldSettings,
    runtime: Runtime,
    passes: Passes | None = None,
) -> Tensor:
    """As `predict_prepared`, but on the network's own grid and device: the mask of `grid_logits`.

    Args:
        network: Network, as for `grid_logits`.
        prepared: Prepared image, as for `grid_logits`.
        settings: Settings, as for `grid_logits`.
        runtime: Runtime, as for `grid_logits`.
        passes: Passes, as for `grid_logits`.

    Returns:
        Float32 tensor of shape (1, 1, h, w).

    Raises:
        SettingsError: The image is not a two-dimensional array of finite real pixels.
        OutOfMemory: A single window does not fit in memory.
    """
    return grid_logits(network, prepared, settings, runtime, passes).mask


def grid_logits(
    network: nn.Module,
    prepared: NDArray[np.generic],
    settings: FoldSettings,
    runtime: Runtime,
    passes: Passes | None = None,
) -> GridLogits:
    """Logits of an image on the network's own grid and device.

    Of windows the highest case logit counts; of an image and its mirror (`tta`) the mean.

    Args:
        network: Network, as for `predict_prepared`; with a case head where the settings say so.
        prepared: Prepared image, as for `predict_prepared`.
        settings: Settings, as for `predict_prepared`, and `case_head`.
        runtime: Runtime, as for `predict_prepared`.
        passes: Filled with this image's passes, and asked before one is made: a second call for the
            same image and network may differ in settings for inference alone, and repeats none.

    Raises:
        SettingsError: The image is not a two-dimensional array of finite real pixels.
        OutOfMemory: A single window does not fit in memory.
    """
    values = normalise(_checked(prepared))
    with evaluating(network), torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(values))[None, None].to(runtime.device)
        known: Passes = {} if passes is None else passes
        height, width = values.shape
        starts = window_starts((height, width), settings.window_size, settings.overlap)
        if (False, starts) not in known:
            known[False, starts] = _windowed(network, images, settings, runtime)
        found = known[False, starts]
        if settings.tta:
            if (True, starts) not in known:
                mirrored = images.flip(-1)
                known[True, starts] = _windowed(
                    network, mirrored, settings, runtime, is_mirrored=True
                )
            other = known[True, starts]
            case = None if found.case is None or other.case is None else found.case + other.case
            found = GridLogits(
                (found.mask + other.mask.flip(-1)) / 2, None if case is None else case / 2
            )
    return found


def on_grid(logits: Tensor, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Bring logits to another grid that covers the same image, bilinearly.

    Args:
        logits: Shape (1, 1, h, w), on any device.
        shape: Height and width of the other grid.

    Returns:
        Float32 array of that shape.
    """
    with torch.inference_mode():
        if logits.shape[-2:] != tuple(shape):
            logits = F.interpolate(logits, size=shape, mode="bilinear", align_corners=False)
        result: NDArray[np.float32] = logits[0, 0].cpu().numpy()
    return result


def _windowed(
    network: nn.Module,
    images: Tensor,
    settings: FoldSettings,
    runtime: Runtime,
    *,
    is_mirrored: bool = False,
) -> GridLogits:
    """One pass where the window covers the image."""
    channels = Channels(images, settings, is_mirrored=is_mirrored)
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    cases: list[Tensor] = []  # of windows that are given twice, for want of memory, twice

    def forward(batch: Tensor) -> Tensor:
        enabled = runtime.precision == "bfloat16"
        windows = channels.complete(batch).contiguous(memory_format=layout)
        with torch.autocast(runtime.device, dtype=torch.bfloat16, enabled=enabled):
            if settings.case_head:
                logits, case = network.with_case(windows)  # type: ignore[operator]
                cases.append(case.float())
            else:
                logits = network(windows)
        result: Tensor = logits.float()
        return result

    mask = slide(
        forward,
        channels.stack,
        settings.window_size,
        settings.overlap,
        grouped=runtime.folded_norms,
    )
    return GridLogits(mask, torch.cat(cases).amax(0) if cases else None)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and back afterwards into the mode it was in.

    Args:
        network: Network in either mode.
    """
    if not any(module.training for module in network.modules()):
        yield  # setting a mode sets it in each module, which a small network notices
        return
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def _checked(image: NDArray[Any]) -> NDArray[Any]:
    pixels = np.asarray(image)
    if pixels.ndim != 2 or not pixels.size:
        raise SettingsError(f"image: found shape {pixels.shape}, expected (height, width)")
    if pixels.dtype.kind not in "buif":
        raise SettingsError(f"image: found type {pixels.dtype}, expected real numbers")
    if pixels.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32, in which all is computed, is infinite
            num_odd = int(np.count_nonzero(~np.isfinite(pixels.astype(np.float32, copy=False))))
        if num_odd:
            raise SettingsError(f"image: found {num_odd} NaN or infinite pixels, expected none")
    return pixels
