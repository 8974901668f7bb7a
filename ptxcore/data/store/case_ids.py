"""Ids of cases: keyed hashes of the ids of their images.

Without a key, whoever knows the SOPInstanceUID of an image, or guesses the name of a file, could
compute the id of its case, and find it in every table and report. The key is a project's: the same
images have the same ids in all stores that were imported with it, so a sweep, a hold-out and an
evaluation know a case again. A store keeps the key beside its salt; copies of it have neither.

Drawn images have no patient, and their ids no key: a phantom is dealt alike on every machine.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from ptxcore.errors import DataError

#: Names the file of the key; without it, it is the user's.
KEY_VARIABLE = "PTXSWEEP_KEY"
_NUM_BYTES = 32


def plain_id(uid: str) -> str:
    """The id without a key: of drawn images, and in stores of earlier versions.

    Args:
        uid: SOPInstanceUID, or id of a PNG file; white space around it does not count.

    Returns:
        16 hexadecimal digits.
    """
    return hashlib.sha256(f"ptxsweep-case:{uid.strip()}".encode()).hexdigest()[:16]


def keyed_id(uid: str, key: bytes) -> str:
    """The id under a key.

    Args:
        uid: As for `plain_id`.
        key: Key from `read_key`.

    Returns:
        16 hexadecimal digits.
    """
    message = f"ptxsweep-case:{uid.strip()}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:16]


def fingerprint(key: bytes) -> str:
    """What tells keys apart, and says nothing of them: 16 hexadecimal digits."""
    return hashlib.sha256(b"ptxsweep-key:" + key).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class ProjectKey:
    """A key, and where it is kept.

    Attributes:
        key: 32 bytes.
        path: Path of its file; None if it could not be kept anywhere but in the store.
    """

    key: bytes
    path: Path | None


def project_key(path: Path | None = None) -> ProjectKey:
    """The key of a file, which is made where there is none.

    Args:
        path: Path of the file; None takes that of the environment variable `PTXSWEEP_KEY`, or the
            user's own in the folder of settings.

    Returns:
        If the user has no folder that can be written to, a new key that only the store will hold.

    Raises:
        DataError: The file that was named holds no key, or cannot be written.
    """
    named = path or (Path(found) if (found := os.environ.get(KEY_VARIABLE)) else None)
    try:
        place = named or _own_place()
        return ProjectKey(key=_kept(place), path=place)
    except (OSError, RuntimeError) as error:  # no home at all is a RuntimeError
        if named is not None:
            raise DataError(
                f"{named}: found no place for the key of the case ids ({type(error).__name__}), "
                "expected a file that can be read or made"
            ) from error
        return ProjectKey(key=secrets.token_bytes(_NUM_BYTES), path=None)


def existing_key() -> Path | None:
    """The file that `project_key` would read, if there is one; makes none."""
    try:
        path = Path(os.environ.get(KEY_VARIABLE) or _own_place())
        return path if path.is_file() else None
    except (OSError, RuntimeError):
        return None


def read_key(path: Path) -> bytes:
    """The key in a file.

    Args:
        path: A file with 64 hexadecimal digits.

    Raises:
        OSError: It cannot be read.
        DataError: It holds something else.
    """
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _NUM_BYTES:
        raise DataError(
            f"{path}: found no key of case ids, expected {2 * _NUM_BYTES} hexadecimal digits, as "
            "`data import` writes them into a new file"
        )
    return key


def write_key(path: Path, key: bytes) -> None:
    """Write a new file that its owner alone may read.

    Args:
        path: Path of the file.
        key: Key to be read by `read_key`.

    Raises:
        FileExistsError: There is one.
        OSError: It cannot be written.
    """
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")


def _own_place() -> Path:
    settings = os.environ.get("XDG_CONFIG_HOME")
    return (Path(settings) if settings else Path.home() / ".config") / "ptxsweep" / "case-ids.key"


def _kept(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        write_key(draft, secrets.token_bytes(_NUM_BYTES))
        try:
            os.link(draft, path)  # of two imports at once the first one's stays, and is whole
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return read_key(path)
