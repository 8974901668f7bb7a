"""Networks by name, and their weights on disk.

PyTorch's layers are put together by the first call that builds a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptxcore.models._build import MAX_WIDTH, PRIOR, build_network, widths
from ptxcore.models.weights import load_weights, recover_folder, replace_folder, save_weights

if TYPE_CHECKING:
    from ptxcore.models._unet import SegmentationUNet, pad_to_multiple

__all__ = [
    "MAX_WIDTH",
    "PRIOR",
    "SegmentationUNet",
    "build_network",
    "load_weights",
    "pad_to_multiple",
    "recover_folder",
    "replace_folder",
    "save_weights",
    "widths",
]


def __getattr__(name: str) -> Any:
    if name in ("SegmentationUNet", "pad_to_multiple"):
        from ptxcore.models import _unet

        return getattr(_unet, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
