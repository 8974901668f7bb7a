"""Ed25519 signatures with keys as `ssh-keygen -t ed25519` makes them.

Who may sign stands in a file in the form of OpenSSH's allowed signers, one line each:
`NAME ssh-ed25519 AAAA...`. A signature says who made it, not that the clock of its maker was right.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sweep.errors import UsageError

_KIND = "ssh-ed25519"
_ADVICE = f"expected NAME {_KIND} AAAA..., as in the file .pub that `ssh-keygen -t ed25519` writes"


@dataclass(frozen=True)
class Approver:
    """Somebody whose signature counts.

    Attributes:
        name: As the file has it.
        key: Public key.
        fingerprint: SHA-256 of the key, as `ssh-keygen -l` shows it.
    """

    name: str
    key: Ed25519PublicKey
    fingerprint: str


def read_approvers(path: Path) -> tuple[Approver, ...]:
    """Those who may sign; none where there is no such file.

    Args:
        path: Lines of a name and a public key; empty ones, and those that begin with #, are
            skipped.

    Raises:
        UsageError: A line is no such pair, or there is none.
    """
    if not path.exists() and not path.is_symlink():  # a link that leads nowhere asks for keys, too
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}), {_ADVICE}") from error
    found = [
        _approver(path, number, line.split())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not found:
        raise UsageError(f"{path}: found no key, {_ADVICE}; or remove the file")
    return tuple(found)


def _approver(path: Path, number: int, words: Sequence[str]) -> Approver:
    try:
        name, kind, blob = words[:3]
        key = serialization.load_ssh_public_key(f"{kind} {blob}".encode())
        assert isinstance(key, Ed25519PublicKey)
    except (ValueError, UnsupportedAlgorithm, AssertionError):
        raise UsageError(
            f"{path}, line {number}: found no name with an Ed25519 key, {_ADVICE}"
        ) from None
    return Approver(name, key, fingerprint_of(key))


def fingerprint_of(key: Ed25519PublicKey) -> str:
    """SHA-256 of a public key, as `ssh-keygen -l` shows it."""
    text = key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).split()[1]
    digest = hashlib.sha256(base64.b64decode(text)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def load_key(path: Path) -> Ed25519PrivateKey:
    """A private key without a passphrase.

    Raises:
        UsageError: The file holds none.
    """
    expected = "expected a private key of `ssh-keygen -t ed25519 -N ''`"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--key {path}: {error.strerror}, {expected}") from error
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            key = load(content, None)
        except TypeError:
            raise UsageError(f"--key {path}: found one with a passphrase, {expected}") from None
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, Ed25519PrivateKey):
            return key
    raise UsageError(f"--key {path}: found no Ed25519 key, {expected}")


def sign(key: Ed25519PrivateKey, statement: Mapping[str, Any]) -> str:
    """The signature of plain JSON values, in base64."""
    return base64.b64encode(key.sign(_bytes(statement))).decode()


def signer_of(
    statement: Mapping[str, Any], signature: Any, approvers: Sequence[Approver]
) -> Approver | None:
    """Whose signature it is; None if it is none of theirs, or of other values.

    Args:
        statement: What was signed.
        signature: From `sign`, or anything.
        approvers: Those whose signatures count.
    """
    try:
        content = base64.b64decode(str(signature), validate=True)
    except ValueError:
        return None
    for approver in approvers:
        try:
            approver.key.verify(content, _bytes(statement))
        except InvalidSignature:
            continue
        return approver
    return None


def _bytes(statement: Mapping[str, Any]) -> bytes:
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
