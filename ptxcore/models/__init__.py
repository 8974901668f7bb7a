"""Networks, and their weights on disk."""

from ptxcore.models.network import SegmentationUNet, build_network
from ptxcore.models.weights import load_weights, recover_folder, replace_folder, save_weights

__all__ = [
    "SegmentationUNet",
    "build_network",
    "load_weights",
    "recover_folder",
    "replace_folder",
    "save_weights",
]
