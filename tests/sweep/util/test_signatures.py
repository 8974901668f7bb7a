"""Signatures: whose they are, and what is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from signing_keys import line_of, write_key

from sweep.errors import UsageError
from sweep.util.signatures import load_key, read_approvers, sign, signer_of


def test_a_signature_is_of_one_key_and_of_one_statement(tmp_path: Path) -> None:
    alice, bob = (write_key(tmp_path / name) for name in ("alice", "bob"))
    (tmp_path / "approvers").write_text(
        f"# those who may\n\n{line_of('alice', alice)}{line_of('bob', bob)}", encoding="utf-8"
    )
    approvers = read_approvers(tmp_path / "approvers")
    assert [one.name for one in approvers] == ["alice", "bob"]
    said = {"model": "m", "version": "3", "reason": None}
    signature = sign(load_key(bob), said)
    signer = signer_of(said, signature, approvers)
    assert signer is not None
    assert signer.name == "bob"
    assert signer_of({**said, "version": "4"}, signature, approvers) is None
    assert signer_of(said, signature, approvers[:1]) is None
    for nothing in (None, "", "zzz", 7):
        assert signer_of(said, nothing, approvers) is None


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no OpenSSH here")
def test_keys_are_those_of_openssh(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    (tmp_path / "approvers").write_text(line_of("carol", path), encoding="utf-8")
    (carol,) = read_approvers(tmp_path / "approvers")
    assert signer_of({}, sign(load_key(path), {}), [carol]) == carol
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(path)], check=True, capture_output=True, text=True
    )
    assert carol.fingerprint == shown.stdout.split()[1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "found no key, expected NAME ssh-ed25519 AAAA"),
        ("# nobody\n", "found no key"),
        ("alice\n", "line 1: found no name with an Ed25519 key, expected NAME ssh-ed25519"),
        ("\nalice ssh-rsa AAAA\n", "line 2: found no name with an Ed25519 key"),
        ("alice ssh-ed25519 AAAA\n", "line 1: found no name with an Ed25519 key"),
    ],
)
def test_what_names_no_approver_is_refused(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "approvers").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=found):
        read_approvers(tmp_path / "approvers")
    assert read_approvers(tmp_path / "none") == ()


def test_what_is_no_private_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_key(tmp_path / "none")
    with pytest.raises(UsageError, match="found no Ed25519 key, expected a private key of `ssh"):
        load_key(write_key(tmp_path / "key").with_suffix(".pub"))
    with pytest.raises(UsageError, match="found one with a passphrase"):
        load_key(write_key(tmp_path / "locked", b"secret"))


def test_a_link_to_keys_that_are_gone_is_refused(tmp_path: Path) -> None:
    """A share that is not mounted must not make a home one that asks for no approval."""
    (tmp_path / "approvers").symlink_to(tmp_path / "share" / "approvers")
    with pytest.raises(UsageError, match="approvers: cannot be read"):
        read_approvers(tmp_path / "approvers")
