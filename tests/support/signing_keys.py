"""Ed25519 keys as `ssh-keygen -t ed25519 -N ''` writes them."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def write_key(path: Path, passphrase: bytes | None = None) -> Path:
    """A private key, and its public one beside it under `.pub`."""
    key = Ed25519PrivateKey.generate()
    hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        hidden = serialization.BestAvailableEncryption(passphrase)
    kind = (
        serialization.PrivateFormat.OpenSSH
        if passphrase is None
        else serialization.PrivateFormat.PKCS8
    )
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, hidden))
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    path.with_suffix(".pub").write_bytes(public + b" someone@somewhere\n")
    return path


def line_of(name: str, key: Path) -> str:
    """The line of a file of approvers for a key."""
    return f"{name} {key.with_suffix('.pub').read_text(encoding='utf-8')}"
