"""A batch of windows that does not fit in memory goes through the network in parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ptxcore.errors import OutOfMemory


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: on a GPU, or on the host, for which PyTorch has no class.

    Args:
        error: What a pass or a step raised.
    """
    no_room = "can't allocate memory" in str(error)  # of its CPU allocator
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or no_room


class SplitForward:
    """A forward pass over as many windows at once as memory holds.

    In evaluation mode no window sees another, so that parts give what the whole would.

    Attributes:
        at_once: Windows of a part; None until a batch did not fit. It shrinks and never grows.
    """

    def __init__(self, forward: Callable[[Tensor], Tensor]) -> None:
        """Wrap a forward pass.

        Args:
            forward: Maps (B, S, p, q) to (B, K, p, q), window by window.
        """
        self._forward = forward
        self.at_once: int | None = None

    def __call__(self, windows: Tensor) -> Tensor:
        """`forward`, halved and tried again when it does not fit.

        Args:
            windows: Shape (B, S, p, q).

        Returns:
            Shape (B, K, p, q).

        Raises:
            OutOfMemory: A single window does not fit.
        """
        while True:
            size = min(self.at_once or len(windows), len(windows))
            try:
                if size == len(windows):
                    return self._forward(windows)
                return torch.cat([self._forward(part) for part in torch.split(windows, size)])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not above: an error that is being handled holds on to the tensors of the pass.
            if windows.device.type == "cuda":
                torch.cuda.empty_cache()
            if size == 1:
                height, width = windows.shape[-2:]
                raise OutOfMemory(
                    f"a window of {width} x {height} px does not fit the memory of "
                    f"{windows.device.type}; free some of it, predict on another device, or train "
                    "with a smaller patch_size, image_size or channels"
                )
            self.at_once = (size + 1) // 2
