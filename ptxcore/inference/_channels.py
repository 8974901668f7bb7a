"""The channels that a network is given for a window, beside the window itself.

A window does not say where it was cut. So the image slides together with the numbers of its rows
and columns, and the window's own tell the place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ptxcore.data.patches.context import context_corner, mirrored
from ptxcore.settings import FoldSettings


class Channels:
    """Completes the windows of one image.

    Attributes:
        stack: What slides: shape (1, 1, h, w), or (1, 3, h, w) with the numbers of rows and columns
            where the settings ask for context or positions.
    """

    def __init__(
        self, images: Tensor, settings: FoldSettings, *, is_mirrored: bool = False
    ) -> None:
        """Prepare an image.

        Args:
            images: Normalised, float32 of shape (1, 1, h, w).
            settings: Settings, of which `context_factor` and `position_channels` count here.
            is_mirrored: Whether left and right were exchanged: positions move with the anatomy, as
                they do where training mirrors a patch.
        """
        self._images = images
        self._factor = settings.context_factor
        self._has_positions = settings.position_channels
        self._sign = -1 if is_mirrored else 1
        self.stack = images
        if settings.num_channels > 1:
            height, width = images.shape[-2:]
            rows, columns = (
                torch.arange(length, dtype=torch.float32, device=images.device)
                for length in (height, width)
            )
            places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
            self.stack = torch.cat((images, places), dim=1)

    def complete(self, windows: Tensor) -> Tensor:
        """Windows of the stack as the network wants them.

        Args:
            windows: Shape (B, 1 or 3, p, q), cut from `stack`.

        Returns:
            Shape (B, C, p, q): the image, then context, rows and columns.
        """
        if windows.shape[1] == 1:
            return windows
        places = windows[:, 1:]
        parts = [windows[:, :1]]
        if self._factor:
            parts.append(torch.stack([self._around(window) for window in places]))
        if self._has_positions:
            height, width = self._images.shape[-2:]
            sizes = places.new_tensor([height, width]).view(1, 2, 1, 1)
            signs = places.new_tensor([1, self._sign]).view(1, 2, 1, 1)
            parts.append(((2 * places + 1) / sizes - 1) * signs)
        return torch.cat(parts, dim=1)

    def _around(self, places: Tensor) -> Tensor:
        """What `ptxcore.data.patches.context.surroundings` gives, shape (1, p, q)."""
        image = self._images[0, 0]
        first = (int(places[0, 0, 0]), int(places[1, 0, 0]))
        rows, columns = (
            torch.from_numpy(
                mirrored(context_corner(start, side, self._factor), side * self._factor, length)
            ).to(image.device)
            for start, side, length in zip(first, places.shape[-2:], image.shape, strict=True)
        )
        view = image[rows[:, None], columns[None, :]]
        return F.avg_pool2d(view[None], self._factor)
