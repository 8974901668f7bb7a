"""Weights on disk: `model.safetensors` and `model.json`, which says what they are.

No pickle anywhere: a weights file is data and cannot run code. A folder is written beside its
place and swapped in whole, so that weights and description always belong together.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.models._build import build_network
from ptxcore.settings import FoldSettings

if TYPE_CHECKING:
    from ptxcore.models._unet import SegmentationUNet

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
#: Version of the layout, raised when older code could not read it.
FORMAT = 1


def save_weights(folder: Path, network: nn.Module, settings: FoldSettings) -> None:
    """Write the weights of a network and the settings that rebuild it.

    Args:
        folder: Made if missing; what it holds is replaced in one step.
        network: Network from `build_network(settings, ...)`, on any device, in any memory layout.
        settings: The settings of that network.

    Raises:
        OSError: The folder cannot be written.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    content = safetensors.torch.save(tensors)
    values = settings.as_dict()
    description = {
        "format": FORMAT,
        "version": _package_version(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "settings": values,
        "settings_digest": _digest(values),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        (making / WEIGHTS).write_bytes(content)
        (making / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", "utf-8")
        making.chmod(0o755)  # a temporary folder is its owner's alone
        replace_folder(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def load_weights(folder: Path) -> tuple[SegmentationUNet, FoldSettings]:
    """Rebuild a network from its folder. The weights are hashed before they are parsed.

    Args:
        folder: Folder, as `save_weights` wrote it.

    Returns:
        The network, in evaluation mode on the CPU, and its settings.

    Raises:
        CheckpointError: Something is missing, damaged, of another format, or does not fit.
    """
    description = _read_description(folder / DESCRIPTION)
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
        settings = FoldSettings.from_mapping(description["settings"])
    except OSError as error:
        raise CheckpointError(f"{path}: no readable weights ({error})") from error
    except SettingsError as error:
        raise CheckpointError(f"{folder / DESCRIPTION}: settings: {error}") from error
    found, expected = hashlib.sha256(content).hexdigest(), description["sha256"]
    if found != expected:
        raise CheckpointError(
            f"{path}: found SHA-256 {found[:12]}, expected {expected[:12]}; "
            "the file is damaged or was exchanged"
        )
    network = build_network(settings, seed=0, pretrained=False)
    try:
        network.load_state_dict(safetensors.torch.load(content))
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: does not fit the network of its settings ({error}); "
            "it may be of another version of ptxsweep"
        ) from error
    return network.eval(), settings


def weights_digest(folder: Path) -> str:
    """What tells weights and their settings apart: 64 hexadecimal digits.

    Nothing is hashed here: `load_weights` compares the files with what they say of themselves.

    Args:
        folder: Folder, as `save_weights` wrote it.

    Raises:
        CheckpointError: It cannot be read.
    """
    description = _read_description(folder / DESCRIPTION)
    both = description["sha256"] + description["settings_digest"]
    return hashlib.sha256(both.encode()).hexdigest()


def replace_folder(making: Path, folder: Path) -> None:
    """Put a finished folder in the place of another; a crash leaves the old or the new one.

    A folder cannot be renamed over another, so the old one steps aside first; `recover_folder`
    puts it back if a crash fell between the two renames.

    Args:
        making: On the same file system; is gone afterwards.
        folder: Where it goes, there already or not.

    Raises:
        OSError: A folder cannot be renamed.
    """
    aside = _aside(folder)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    making.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Undo a replacement that a crash cut in two, and remove what it left.

    Args:
        folder: Where `replace_folder` was to put the new one; no process may be writing it now.

    Raises:
        OSError: The old folder cannot be renamed.
    """
    aside = _aside(folder)
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
    for making in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(making, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")


def _read_description(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: no readable description of weights ({error})") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        given = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise CheckpointError(f"{path}: format: found {given!r}, expected {FORMAT}")
    for name, kind in (("sha256", str), ("settings", dict), ("settings_digest", str)):
        if not isinstance(found.get(name), kind):
            raise CheckpointError(
                f"{path}: {name}: found {found.get(name)!r}, expected a {kind.__name__}"
            )
    # Over the settings as written: a later version may know more of them than this file.
    if _digest(found["settings"]) != found["settings_digest"]:
        raise CheckpointError(f"{path}: settings: found others than were saved (digest differs)")
    return found


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _package_version() -> str:
    try:
        return version("ptxsweep")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "unknown"
