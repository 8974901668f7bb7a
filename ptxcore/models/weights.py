"""Weights on disk: safetensors beside a JSON that says what they are. No pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.models.network import SegmentationUNet, build_network
from ptxcore.settings import FoldSettings

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def save_weights(folder: Path, network: nn.Module, settings: FoldSettings) -> None:
    """Write weights and settings into a folder, replacing what it holds in one step."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    data = save_tensors(tensors)
    description = {
        "settings": settings.as_dict(),
        "settings_digest": settings.digest(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    (making / WEIGHTS).write_bytes(data)
    (making / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    making.chmod(0o755)
    replace_folder(making, folder)


def load_weights(folder: Path) -> tuple[SegmentationUNet, FoldSettings]:
    """Build the network of a folder, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: Something is missing, or not what its hash says; nothing was loaded.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        data = (folder / WEIGHTS).read_bytes()
        settings = FoldSettings.from_mapping(description["settings"])
        expected = str(description["sha256"])
    except (OSError, ValueError, KeyError, TypeError, SettingsError) as error:
        raise CheckpointError(f"{folder}: no readable weights ({error})") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise CheckpointError(
            f"{folder / WEIGHTS}: found SHA-256 {found[:12]}, expected {expected[:12]}; "
            "the file is damaged or was exchanged"
        )
    network = build_network(settings, seed=0)
    try:
        network.load_state_dict(load_tensors(data))
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{folder}: weights do not fit their settings ({error})") from error
    return network.eval(), settings


def replace_folder(making: Path, folder: Path) -> None:
    """Put a finished folder in the place of another; a crash leaves the old or the new one.

    A folder cannot be renamed over another, so the old one steps aside first; `recover_folder`
    puts it back if a crash fell between the two renames.
    """
    aside = folder.with_name(folder.name + ".old")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    making.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Undo a replacement that a crash cut in two, and remove what it left."""
    aside = folder.with_name(folder.name + ".old")
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
    for making in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(making, ignore_errors=True)
