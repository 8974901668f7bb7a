"""An ensemble on disk: one folder of weights per fold, and `ensemble.json` with digests.

    ensemble.json              rule, runtime, facts about its origin, SHA-256 of every other file
    fold-0/model.safetensors   weights
    fold-0/model.json          settings that rebuild the network

Nothing in it can run code. Every file is hashed before it is used, and lies inside the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.inference._ensemble import Ensemble
from ptxcore.models import load_weights, save_weights
from ptxcore.settings import FoldSettings, for_inference
from ptxcore.types import Rule, Runtime

DESCRIPTION = "ensemble.json"
FORMAT = 1


def write_ensemble(
    folder: Path,
    weights: Sequence[Path],
    *,
    rule: Rule,
    runtime: Runtime,
    inference: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write an ensemble to a new folder.

    Args:
        folder: Must not exist.
        weights: Folders that `save_weights` wrote, one per fold.
        rule: How the mean logit, as a probability, becomes a mask.
        runtime: Where and how the networks were scored.
        inference: Settings for inference in place of those that the weights were saved with.
        facts: Plain JSON values about where it comes from.

    Raises:
        CheckpointError: Weights are missing or damaged.
    """
    loaded = [load_weights(source) for source in weights]
    members = [(network, for_inference(one, inference or {})) for network, one in loaded]
    _write(folder, members, rule, runtime, facts or {})


def save_ensemble(folder: Path, ensemble: Ensemble, *, facts: Mapping[str, Any]) -> None:
    """Write an ensemble that is in memory to a new folder.

    Args:
        folder: Must not exist.
        ensemble: Networks on the CPU.
        facts: Plain JSON values about where it comes from.
    """
    _write(folder, ensemble.members, ensemble.rule, ensemble.runtime, facts)


def _write(
    folder: Path,
    members: Sequence[tuple[nn.Module, FoldSettings]],
    rule: Rule,
    runtime: Runtime,
    facts: Mapping[str, Any],
) -> None:
    folder.mkdir(parents=True)
    names = [f"fold-{number}" for number in range(len(members))]
    for name, (network, settings) in zip(names, members, strict=True):
        save_weights(folder / name, network, settings)
    description = {
        "format": FORMAT,
        "folds": names,
        "rule": rule.to_stored(),
        "runtime": dataclasses.asdict(runtime),
        "sha256": {
            path.relative_to(folder).as_posix(): _sha256(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
        "facts": dict(facts),
    }
    text = json.dumps(description, indent=2, sort_keys=True)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def load_ensemble(folder: Path) -> Ensemble:
    """Load an ensemble that `write_ensemble` wrote, on the runtime it was scored with if possible.

    Raises:
        CheckpointError: A file is missing, damaged, exchanged, of a newer format, or outside the
            folder.
    """
    path = folder / DESCRIPTION
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = found["format"]
        if version != FORMAT:
            raise CheckpointError(f"{path}: format: found {version!r}, expected {FORMAT}")
        for name, expected in found["sha256"].items():
            if _sha256(_inside(folder, name)) != expected:
                raise CheckpointError(
                    f"{folder / name}: found other content than the digest in {DESCRIPTION} is "
                    "of; the file is damaged or was exchanged"
                )
        folders = [_inside(folder, name) for name in found["folds"]]
        for name in found["folds"]:
            if not any(listed.startswith(f"{name}/") for listed in found["sha256"]):
                raise CheckpointError(f"{path}: {name}: found no SHA-256, expected one per file")
        rule, runtime = Rule(**found["rule"]), Runtime(**found["runtime"])
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename}: no such file; expected an ensemble") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SettingsError) as error:
        raise CheckpointError(f"{path}: not a description of an ensemble ({error})") from error
    return Ensemble.load(folders, rule=rule, runtime=usable_runtime(runtime))


def load_facts(folder: Path) -> dict[str, Any]:
    """What an ensemble that `load_ensemble` accepts says of its origin; empty where nothing."""
    facts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")).get("facts")
    return facts if isinstance(facts, dict) else {}


def usable_runtime(runtime: Runtime) -> Runtime:
    """The runtime itself, or float32 on the CPU where it asks for a GPU that is not there."""
    if runtime.device == "cuda" and not torch.cuda.is_available():
        return Runtime(num_threads=runtime.num_threads)
    return runtime


def _inside(folder: Path, name: str) -> Path:
    """A file or folder that the description names, links followed."""
    path = Path(os.path.realpath(folder / name))
    if not path.is_relative_to(os.path.realpath(folder)):
        raise CheckpointError(
            f"{folder / DESCRIPTION}: found the name {name!r}, which leads out of the folder, "
            "expected one inside; do not use this model"
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
