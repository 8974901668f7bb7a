"""Compare a registered model's files with the digest stored in the registry.

Hashes inside a package say that it is whole, not that it is ours: write access to the weights is
write access to the hashes. Loaded by MLflow, a package runs its own code besides. So promotion tags
the version with a digest of the whole folder; a reader that does not trust the artifact store
compares before reading, and reads data alone. Write access to the registry is not guarded against:
it could as well name another model champion.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ptxcore.errors import CheckpointError
from sweep.errors import UsageError
from sweep.mlflow.local import LocalVersion, local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

DIGEST_TAG = "ptxsweep.package_sha256"


def package_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's files: 64 hexadecimal digits.

    What MLflow and Python write into a local store when the model is loaded in place is left out:
    `registered_model_meta` and folders `__pycache__`. Nothing of ours reads them.

    Raises:
        CheckpointError: Something in it is neither a file nor a folder.
    """
    hashes: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if "__pycache__" in name.parts or name.as_posix() == "registered_model_meta":
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise CheckpointError(f"{path}: found neither a file nor a folder, expected a model's")
        if path.is_file():
            with path.open("rb") as file:
                hashes[name.as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def fetch(client: MlflowClient, version: ModelVersion, target: Path) -> Path:
    """Copy a version's files and compare them with its tag. Nothing in them is run.

    Args:
        client: Client of the registry.
        version: Version with its tags.
        target: Folder that no other user can write into.

    Returns:
        The folder of the copy.

    Raises:
        UsageError: The version has no tag.
        CheckpointError: The files are gone, or others than were registered.
    """
    what, expected = _registered(version)
    source = client.get_model_version_download_uri(version.name, version.version)
    place = local_path(source)
    if place is not None and not place.is_dir():
        raise CheckpointError(
            f"{what}: found no folder {place}, where its files were registered; bring them back, "
            "or run `ptxsweep promote` on its sweep again"
        )
    from mlflow.artifacts import download_artifacts

    target.mkdir(parents=True, exist_ok=True)  # the download makes none of nothing
    folder = Path(
        download_artifacts(source, dst_path=str(target), tracking_uri=client.tracking_uri)
    )
    _compare(folder, what, expected)
    return folder


def fetch_local(version: LocalVersion, target: Path) -> Path:
    """As `fetch`, of a version whose files lie in the home.

    Args:
        version: Version with its tags.
        target: Folder that no other user can write into.

    Returns:
        The folder of the copy.

    Raises:
        UsageError: The version has no tag.
        CheckpointError: The files are others than were registered, or cannot be read.
    """
    what, expected = _registered(version)
    folder = target / "model"
    try:
        shutil.copytree(version.place, folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"{what}: {version.place} cannot be copied ({reason})") from error
    _compare(folder, what, expected)
    return folder


def _registered(version: ModelVersion | LocalVersion) -> tuple[str, str]:
    """What messages call a version, and its digest."""
    what = f"model {version.name} version {version.version}"
    expected = version.tags.get(DIGEST_TAG)
    if expected is None:
        raise UsageError(
            f"{what}: found no tag {DIGEST_TAG}, expected the SHA-256 of its files; an older "
            "ptxsweep registered it, or something else: run `ptxsweep promote` on its sweep again"
        )
    return what, expected


def _compare(folder: Path, what: str, expected: str) -> None:
    found = package_digest(folder)
    if found != expected:
        raise CheckpointError(
            f"{what}: found files with SHA-256 {found[:12]}, expected {expected[:12]} as were "
            "registered; they are damaged or were exchanged in the artifact store: find out who "
            "writes there, then run `ptxsweep promote` on its sweep again, or promote --rollback"
        )
