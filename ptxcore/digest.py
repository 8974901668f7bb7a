"""JSON files that carry the digest of their content, so that a later change does not pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptxcore.atomic_file import whole_file
from ptxcore.errors import FoldPlanError


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content as JSON with sorted keys: 64 hexadecimal digits.

    Args:
        content: What JSON can hold.

    Raises:
        TypeError: It holds something else.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def with_digest(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its digest, ready for JSON.

    Args:
        content: What JSON can hold.

    Raises:
        TypeError: It holds something else.
    """
    return {**content, "digest": digest_of(content)}


def save_with_digest(path: Path, content: Mapping[str, Any]) -> None:
    """Write content and digest, whole or not at all.

    Args:
        path: Path of the file; its folder is made, one that is there is replaced.
        content: What JSON can hold, its "kind" among it.

    Raises:
        OSError: The file cannot be written.
        TypeError: The content holds something else.
    """
    text = json.dumps(with_digest(content), indent=1, sort_keys=True)
    with whole_file(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def load_with_digest(path: Path, kind: str) -> dict[str, Any]:
    """Read the content that `save_with_digest` wrote.

    Args:
        path: Path of the file.
        kind: Kind that its content must name, as messages call it too.

    Returns:
        The content without its digest.

    Raises:
        FoldPlanError: There is no such file, it was changed, or it is of another kind.
    """
    if not path.is_file():
        raise FoldPlanError(f"{path}: found no {kind}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("digest")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        found = type(error).__name__
        raise FoldPlanError(f"{path}: found damage ({found}), expected a {kind}") from error
    if digest != digest_of(content):
        raise FoldPlanError(f"{path}: the {kind} was changed after it was made; its digest differs")
    if content.get("kind") != kind:
        raise FoldPlanError(f"{path}: found a {content.get('kind')}, expected a {kind}")
    return dict(content)
