"""The files of a checkpoint: whole or not there after a crash, and refused if changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptxcore.atomic_file import whole_file
from ptxcore.digest import digest_of, with_digest
from ptxcore.errors import CheckpointError

#: Version of `state.json` and `result.json`; the first one had no digest.
FORMAT, _WITHOUT_DIGEST = 2, 1


def write_with_digest(path: Path, content: Mapping[str, Any]) -> None:
    """Write content as JSON with the format and a digest, as `write` does."""
    whole = with_digest({"format": FORMAT, **content})
    write(path, (json.dumps(whole, indent=1) + "\n").encode())


def read_with_digest(path: Path) -> dict[str, Any]:
    """The content of a `state.json` or `result.json`, as it was written.

    Raises:
        CheckpointError: It cannot be read, is of another format, or was changed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("format") if isinstance(content, dict) else None
        if version not in (FORMAT, _WITHOUT_DIGEST):
            raise CheckpointError(f"{path}: format: found {version!r}, expected {FORMAT}")
        digest = content.pop("digest", None)
        if version == FORMAT and digest != digest_of(content):
            raise CheckpointError(f"{path}: found another content than was saved (digest differs)")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: found no readable state ({error})") from error
    return dict(content)


def read_tensors(last: Path, state: Mapping[str, Any]) -> bytes:
    """The tensors that a `state.json` names, not yet parsed.

    Args:
        last: Folder of both.
        state: State, as `read_with_digest` gave it.

    Raises:
        OSError: They cannot be read.
        CheckpointError: They were changed.
    """
    path = last / str(state["tensors"])
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != state["sha256"]:
        raise CheckpointError(
            f"{path}: found other bytes than were saved; remove {last} to train this fold from its "
            "start"
        )
    return content


def write(path: Path, content: bytes) -> None:
    """Write a file so that a crash, of the process or the machine, leaves the old or the new."""
    with whole_file(path, is_durable=True) as draft:
        draft.write_bytes(content)
