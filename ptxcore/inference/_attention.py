"""Where the attention gates of a network look, for a whole image on its own grid.

Windows slide as they do in prediction, and so does the Gaussian that blends them: what is shown is
what the gates did while the mask was made (without the mirrored pass of `tta`).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ptxcore.data.intensity import normalise
from ptxcore.inference._channels import Channels
from ptxcore.inference._predict import evaluating, prepared_for
from ptxcore.inference._windows import slide
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime


def predict_attention(
    network: nn.Module, image: NDArray[np.generic], settings: FoldSettings, runtime: Runtime
) -> NDArray[np.float32]:
    """Coefficients of every gate (Oktay et al. 2018, equation 2) on the original grid of an image.

    Args:
        network: Network from `build_network`, placed on the runtime's device; left in the mode it
            was in.
        image: Shape (H, W), bright = dense, any real type and range.
        settings: Settings, of which `image_size`, `resampling`, `patch_size`, `overlap` and
            `whole_image` count here.
        runtime: Device, precision and memory layout.

    Returns:
        Float32 array of shape (G, H, W) in [0, 1], the gate of the finest grid first: 1 lets a
        skip through, 0 shuts it. G is 0 without gates.

    Raises:
        SettingsError: The image is not a two-dimensional array of finite real pixels.
        OutOfMemory: A single window, or the whole image without windows, does not fit in memory.
    """
    from ptxcore.models import SegmentationUNet  # brings MONAI, for which no driver should wait

    assert isinstance(network, SegmentationUNet)
    values = normalise(prepared_for(image, settings))
    shape = np.shape(image)
    if not network.num_gates:
        return np.empty((0, *shape), dtype=np.float32)
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format

    def forward(batch: Tensor) -> Tensor:
        enabled = runtime.precision == "bfloat16"
        windows = channels.complete(batch).contiguous(memory_format=layout)
        with torch.autocast(runtime.device, dtype=torch.bfloat16, enabled=enabled):
            maps = network.attention_maps(windows)
        return torch.cat(maps, dim=1).float()

    with evaluating(network), torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(values))[None, None].to(runtime.device)
        channels = Channels(images, settings)
        maps = slide(forward, channels.stack, settings.window_size, settings.overlap)
        if maps.shape[-2:] != shape:
            maps = F.interpolate(maps, size=shape, mode="bilinear", align_corners=False)
        # Blending divides by a sum of weights, which may leave the range by a rounding.
        result: NDArray[np.float32] = maps[0].clamp(0, 1).cpu().numpy()
    return result
